"""The Cayley RNN: an orthogonal recurrent matrix by Cayley's transform."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import orthogonal

from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.units.looped import LoopCell, Weights


class CayleyRNNCell(LoopCell):
    r"""One step of an RNN whose recurrent matrix is orthogonal by Cayley's transform.

    .. math::
        W = (I + K)^{-1} (I - K), \quad K = C - C^\top, \qquad h_{+} = \tanh(W h + U x + b)

    Only the N(N-1)/2 entries of K below its diagonal are parameters. W is computed once per
    sequence. Matrices with an eigenvalue -1 are out of reach, as K would have to be infinite.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        bias: Whether there is a bias b.
        device: Of the parameters.
        dtype: Of the parameters, not half precision: torch solves no linear systems in it.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P).
        weight_hh: W, (H, H); ``parametrizations.weight_hh.original`` holds the entries of K, row by
            row.
        bias: b, (H,), or None.

    Raises:
        TypeError: If a size is no integer.
        ValueError: If a size is not positive.

    Note:
        C starts as the orthogonal polar factor of a Gaussian matrix; U and b as in ``nn.Linear``.

    Examples:
        >>> cell = CayleyRNNCell(1, 16, dtype=torch.float64)
        >>> w = cell.weight_hh
        >>> bool(torch.allclose(w @ w.T, torch.eye(16, dtype=torch.float64)))
        True

    References:
        Helfrich, Willmott, Ye (2018), Orthogonal Recurrent Neural Networks with Scaled Cayley
        Transform, ICML.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, {"bias": bias})
        self._add("weight_ih", hidden_size, input_size, device=device, dtype=dtype)
        # torch's map is (I - S/2)⁻¹ (I + S/2), that of the formula for S = -2 K
        self._add_skew("weight_hh", scale=-2.0, device=device, dtype=dtype)
        orthogonal(self, "weight_hh", orthogonal_map="cayley", use_trivialization=False)
        self._add("bias", hidden_size, device=device, dtype=dtype, wanted=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw initial values."""
        free = self._free("weight_hh")
        if free.device.type != "meta":  # there are no numbers to decompose
            size = self.hidden_size
            # the polar factor of a Gaussian matrix is uniform among orthogonal ones, as is this
            c = nn.init.orthogonal_(torch.empty(size, size, dtype=free.dtype, device=free.device))
            rows, columns = torch.tril_indices(size, size, -1, device=free.device)
            with torch.no_grad():
                free.copy_((c - c.mT)[rows, columns])
        self._reset_input()

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Advance the state by one step.

        Args:
            input: (B, P) or (P,).
            hx: The state, (B, H) or (H,); zero if None.

        Returns:
            The next state, shape and dtype of ``hx``.
        """
        new: Tensor = self._batched(self.bind(), input, hx)
        return new

    def _weights(self) -> Weights:
        return self.weight_ih, self.weight_hh, self.bias  # type: ignore[return-value]

    def _step(self, weights: Weights, input: Tensor, state: Any, dt: Tensor | None) -> Tensor:
        u, w, b = weights
        return torch.tanh(functional.linear(state, w) + functional.linear(input, u, b))
