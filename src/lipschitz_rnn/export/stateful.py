"""A model with its state, whatever kind of model it is."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn.nn import LanguageModel, SequenceRegressor
from lipschitz_rnn.nn.patches import PatchModel
from lipschitz_rnn.nn.pooled import PooledRegressor
from lipschitz_rnn.nn.state import State


class Stateful(nn.Module):
    """A model that takes its state and gives it back."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input: Tensor,
        hx: State,
        dt: Tensor | None = None,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run the model.

        Args:
            input: A padded batch, in the model's layout.
            hx: The state to begin from; nothing for a model of whole series.
            dt: Times, as the model takes them.
            lengths: Valid steps of each sequence, (B,).
            mask: Which values were observed.

        Returns:
            Its answers, zero over padding, and the state after each sequence's last step, if any.
        """
        model = self.model
        if isinstance(model, PatchModel | PooledRegressor):
            return model(input, dt=dt, mask=mask, lengths=lengths), ()
        if isinstance(model, LanguageModel):
            answers, h_n = model(input, hx)
            return answers, h_n
        if isinstance(model, SequenceRegressor):
            answers, h_n = model(input, hx, dt=dt, mask=mask, lengths=lengths, need_state=True)
            return answers, h_n
        times = {} if dt is None else {"dt": dt}
        if lengths is None:
            output, h_n = model(input, hx, **times)
            return output, h_n
        first = bool(model.batch_first)
        many = {"batch_first": first, "enforce_sorted": False}
        packed = {k: pack_padded_sequence(v, lengths, **many) for k, v in times.items()}
        output, h_n = model(pack_padded_sequence(input, lengths, **many), hx, **packed)
        steps = input.shape[1 if first else 0]
        return pad_packed_sequence(output, first, total_length=steps)[0], h_n
