"""Whole models: encoder, recurrent unit, head."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lipschitz_rnn._base.checks import require_in_range, require_positive_int
from lipschitz_rnn.nn.layer import RecurrentLayer
from lipschitz_rnn.nn.layout import read_input, read_lengths, read_mask
from lipschitz_rnn.nn.missing import fill_missing
from lipschitz_rnn.nn.packed import run_packed
from lipschitz_rnn.nn.state import State


def _width(rnn: nn.Module) -> int:
    """Features of a recurrent layer's output; torch's LSTM may project them."""
    size = getattr(rnn, "proj_size", 0) or rnn.hidden_size
    return int(size) * (2 if rnn.bidirectional else 1)  # type: ignore[arg-type]


class SequenceRegressor(nn.Module):
    r"""Read a sequence, answer with numbers: :math:`y = D h + d`.

    Args:
        rnn: A recurrent layer with the contract of ``torch.nn.RNN``: ``LipschitzRNN``,
            ``RecurrentLayer``, or torch's own RNN, GRU and LSTM.
        output_size: Q, numbers per answer.
        encoder: Applied to the input of every step before ``rnn``; nothing by default.
        every_step: Whether to answer after every step, instead of after the last valid one.
        bias: Whether the head has a bias d.
        dropout: Probability of dropping a state before the head, in training mode.

    Shape:
        - input: as ``rnn`` takes it: (T, B, P), (B, T, P), (T, P) or packed
        - lengths: (B,), valid steps of each sequence of a padded batch
        - Output: (B, Q) or (Q,); with ``every_step`` the layout of the input, with Q features

    Attributes:
        rnn: The recurrent layer.
        encoder: The encoder, or ``nn.Identity``.
        head: The linear readout D, d.

    Raises:
        ValueError: If a size is not positive or the dropout no probability.

    Examples:
        >>> model = SequenceRegressor(nn.GRU(3, 8, batch_first=True), 2)
        >>> model(torch.randn(4, 7, 3), lengths=torch.tensor([7, 3, 5, 1])).shape
        torch.Size([4, 2])
    """

    def __init__(
        self,
        rnn: nn.Module,
        output_size: int,
        *,
        encoder: nn.Module | None = None,
        every_step: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        require_positive_int(where, "output_size", output_size)
        require_in_range(where, "dropout", dropout, 0, 1)
        self.encoder = nn.Identity() if encoder is None else encoder
        self.rnn = rnn
        self.head = nn.Linear(_width(rnn), output_size, bias=bias)
        self.every_step = every_step
        self.dropout = float(dropout)
        reference = next(rnn.parameters(), None)
        if reference is not None:
            self.head.to(device=reference.device, dtype=reference.dtype)

    def _encode(self, input: Tensor | PackedSequence) -> Tensor | PackedSequence:
        if isinstance(input, PackedSequence):
            return input._replace(data=self.encoder(input.data))
        encoded: Tensor = self.encoder(input)
        return encoded

    def _answer(self, state: Tensor) -> Tensor:
        answer: Tensor = self.head(functional.dropout(state, self.dropout, self.training))
        return answer

    def _last(self, h_n: State) -> Tensor:
        """State of the last layer, both directions side by side."""
        h = h_n if isinstance(h_n, Tensor) else h_n[0]
        return torch.cat((h[-2], h[-1]), -1) if self.rnn.bidirectional else h[-1]

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        dt: float | Tensor | PackedSequence | None = None,
        mask: Tensor | PackedSequence | None = None,
        lengths: Tensor | None = None,
        need_state: bool = False,
    ) -> Tensor | PackedSequence | tuple[Tensor | PackedSequence, State]:
        """Answer a batch of sequences.

        Args:
            input: The sequences.
            hx: Initial state of ``rnn``.
            dt: Time steps, for an ``rnn`` that takes them.
            mask: Which inputs were observed; the others are filled before the encoder sees them, as
                ``rnn.missing`` says, or held for an ``rnn`` without that attribute.
            lengths: Valid steps of each sequence of a padded batch, at least 1.
            need_state: Whether the state after each sequence's last valid step is wanted too, to go
                on from in the next call.

        Returns:
            The answers, a tensor or packed like the input; with ``need_state`` a pair of them and
            the state. With ``every_step`` and ``lengths`` the answers of padded steps are zero.

        Raises:
            TypeError: If ``lengths`` are not integers.
            ValueError: If ``lengths`` or ``mask`` does not fit the input.
        """
        if mask is not None:
            input = self._fill(input, mask)
        encoded = self._encode(input)
        if lengths is not None:
            encoded, dt = self._pack(encoded, lengths, dt)
        options: dict[str, Any] = {} if dt is None else {"dt": dt}
        if not self.every_step and isinstance(self.rnn, RecurrentLayer):
            options["need_output"] = False
        plain = isinstance(self.rnn, nn.RNNBase) and not options
        if plain and isinstance(encoded, PackedSequence):
            output, h_n = run_packed(self.rnn, encoded, hx)  # type: ignore[arg-type]
        else:
            output, h_n = self.rnn(encoded, hx, **options)
        answers: Tensor | PackedSequence
        if not self.every_step:
            answers = self._answer(self._last(h_n))
        elif isinstance(output, PackedSequence):
            answers = output._replace(data=self._answer(output.data))
        else:
            answers = self._answer(output)
        if isinstance(answers, PackedSequence) and lengths is not None:
            first = bool(self.rnn.batch_first)
            steps = input.shape[1 if first else 0]  # type: ignore[union-attr]
            answers = pad_packed_sequence(answers, batch_first=first, total_length=steps)[0]
        return (answers, h_n) if need_state else answers

    def _fill(
        self, input: Tensor | PackedSequence, mask: Tensor | PackedSequence
    ) -> Tensor | PackedSequence:
        where, first = type(self).__name__, bool(self.rnn.batch_first)
        layout, values = read_input(where, input, input.data.shape[-1], first)
        mask = read_mask(layout, mask, values)
        return layout.output(fill_missing(values, mask, getattr(self.rnn, "missing", "hold")))

    def _pack(
        self,
        input: Tensor | PackedSequence,
        lengths: Tensor,
        dt: float | Tensor | PackedSequence | None,
    ) -> tuple[PackedSequence, float | Tensor | PackedSequence | None]:
        """Pack a padded batch, and ``dt`` with it if it has a batch axis."""
        where, first = type(self).__name__, bool(self.rnn.batch_first)
        if isinstance(input, PackedSequence) or input.dim() != 3:
            raise ValueError(
                f"{where}: expected a padded batch with `lengths`, got a packed or unbatched input."
            )
        batch, steps = input.shape[:2] if first else (input.shape[1], input.shape[0])
        lengths = read_lengths(where, lengths, batch, steps)
        packed = pack_padded_sequence(input, lengths, first, enforce_sorted=False)
        if isinstance(dt, Tensor) and dt.dim() == 2:
            dt = pack_padded_sequence(dt, lengths, first, enforce_sorted=False)
        elif isinstance(dt, Tensor) and dt.dim() == 1:
            dt = dt[: packed.batch_sizes.shape[0]]  # padding that no sequence reaches is dropped
        return packed, dt


class SequenceClassifier(SequenceRegressor):
    r"""Read a sequence, answer with the logits of its class: :math:`y = D h + d`.

    Args:
        rnn: A recurrent layer, as in :class:`SequenceRegressor`, and so are the others.
        num_classes: C, number of classes.
        encoder: Applied to the input of every step before ``rnn``.
        every_step: Whether to answer after every step, instead of after the last valid one.
        bias: Whether the head has a bias.
        dropout: Probability of dropping a state before the head, in training mode.

    Shape:
        - Output: (B, C) or (C,); with ``every_step`` the layout of the input, with C features

    Examples:
        >>> from lipschitz_rnn.nn import LipschitzRNN
        >>> model = SequenceClassifier(LipschitzRNN(1, 128), num_classes=10)
        >>> sum(p.numel() for p in model.parameters())  # "34k" in print
        34314
    """

    def __init__(
        self,
        rnn: nn.Module,
        num_classes: int,
        *,
        encoder: nn.Module | None = None,
        every_step: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        require_positive_int("SequenceClassifier", "num_classes", num_classes)
        super().__init__(
            rnn, num_classes, encoder=encoder, every_step=every_step, bias=bias, dropout=dropout
        )


class LanguageModel(nn.Module):
    r"""Predict the next symbol at every step: embedding, recurrent layer, head.

    Args:
        rnn: A recurrent layer with the contract of ``torch.nn.RNN``; its ``input_size`` is the size
            of the embedding.
        vocab_size: V, number of symbols.
        bias: Whether the head has a bias.
        dropout: Probability of dropping a state before the head, in training mode.
        tie_weights: Whether embedding and head share one matrix; their sizes must agree.

    Shape:
        - tokens: (T, B), (B, T) if ``rnn`` is batch_first, or (T,); integers in [0, V)
        - hx, h_n: as ``rnn`` has them; hand ``h_n`` (detached) to the next segment
        - Output: the shape of ``tokens`` with V logits each

    Attributes:
        encoder: The embedding, uniform in ±0.1.
        rnn: The recurrent layer.
        head: The linear readout.

    Raises:
        ValueError: If a size is not positive, or tied weights have different sizes.

    Examples:
        >>> from lipschitz_rnn.nn import LipschitzRNN
        >>> model = LanguageModel(LipschitzRNN(200, 750), vocab_size=50)
        >>> sum(p.numel() for p in model.parameters())  # "1.32M" in print, it is believed
        1323300
    """

    def __init__(
        self,
        rnn: nn.Module,
        vocab_size: int,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        tie_weights: bool = False,
    ) -> None:
        super().__init__()
        require_positive_int("LanguageModel", "vocab_size", vocab_size)
        require_in_range("LanguageModel", "dropout", dropout, 0, 1)
        embedding_size, width = int(rnn.input_size), _width(rnn)  # type: ignore[arg-type]
        if tie_weights and embedding_size != width:
            raise ValueError(
                "LanguageModel: expected an rnn whose input and output have the same size with "
                f"tie_weights=True, got {embedding_size} and {width}."
            )
        self.encoder = nn.Embedding(vocab_size, embedding_size)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        self.rnn = rnn
        self.head = nn.Linear(width, vocab_size, bias=bias)
        if tie_weights:
            self.head.weight = self.encoder.weight
        self.dropout = float(dropout)
        reference = next(rnn.parameters(), None)
        if reference is not None:
            self.encoder.to(device=reference.device, dtype=reference.dtype)
            self.head.to(device=reference.device, dtype=reference.dtype)

    def forward(self, tokens: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        """Predict the symbol after each one.

        Args:
            tokens: The symbols.
            hx: State to go on from; zero if None.

        Returns:
            The logits, and the state to hand to the next segment.
        """
        output, h_n = self.rnn(self.encoder(tokens), hx)
        return self.head(functional.dropout(output, self.dropout, self.training)), h_n
