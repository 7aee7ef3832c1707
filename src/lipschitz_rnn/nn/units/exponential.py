"""The exponential RNN: an orthogonal recurrent matrix by the matrix exponential."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import orthogonal

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.units.looped import LoopCell, Weights

INITS = ("cayley", "henaff")
NONLINEARITIES = ("modrelu", "tanh")


class ExponentialRNNCell(LoopCell):
    r"""One step of an exponential RNN (expRNN).

    .. math::
        W = \exp(A), \quad A = -A^\top, \qquad
        h_{+} = \sigma(W h + U x), \quad \sigma(z) = \mathrm{sign}(z)\,\mathrm{relu}(|z| + b)

    The nonlinearity is modReLU with a learned threshold b; with ``nonlinearity="tanh"``
    :math:`h_{+} = \tanh(W h + U x + b)`. Only the N(N-1)/2 entries of A below its diagonal are
    parameters. W is computed once per sequence.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        nonlinearity: ``"modrelu"`` or ``"tanh"``.
        init: A starts with blocks of :math:`\begin{pmatrix} 0 & s \\ -s & 0 \end{pmatrix}` on its
            diagonal: ``"cayley"`` draws :math:`s = -\sqrt{(1-\cos t)/(1+\cos t)}` with t uniform in
            [0, π/2], ``"henaff"`` s uniform in [-π, π].
        bias: Whether b is learned; else it is 0, and modReLU the identity.
        device: Of the parameters.
        dtype: Of the parameters. In half precision W is orthogonal to its two or three digits only.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P).
        weight_hh: W, (H, H); ``parametrizations.weight_hh.original`` holds the entries of A, row by
            row.
        bias: b, (H,), or None.

    Raises:
        TypeError: If a size is no integer.
        ValueError: If a size is not positive or a name unknown.

    Note:
        U starts as in ``nn.Linear``; b at 0 for modReLU, so that the unit starts linear, and as in
        ``nn.Linear`` for tanh.

    Examples:
        >>> cell = ExponentialRNNCell(1, 360)
        >>> sum(p.numel() for p in cell.parameters())  # with 10 classes 68950, "69K"
        65340

    References:
        Lezcano-Casado, Martínez-Rubio (2019), Cheap Orthogonal Constraints in Neural Networks: A
        Simple Parametrization of the Orthogonal and Unitary Group, ICML. modReLU: Arjovsky, Shah,
        Bengio (2016), Unitary Evolution Recurrent Neural Networks, ICML. ``"henaff"``: Henaff,
        Szlam, LeCun (2016), Recurrent Orthogonal Networks and Long-Memory Tasks, ICML.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "modrelu",
        init: str = "cayley",
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        options = {"nonlinearity": nonlinearity, "init": init, "bias": bias}
        super().__init__(input_size, hidden_size, options)
        require_choice(self._where, "nonlinearity", nonlinearity, NONLINEARITIES)
        require_choice(self._where, "init", init, INITS)
        self._add("weight_ih", hidden_size, input_size, device=device, dtype=dtype)
        self._add_skew("weight_hh", device=device, dtype=dtype)
        orthogonal(self, "weight_hh", orthogonal_map="matrix_exp", use_trivialization=False)
        self._add("bias", hidden_size, device=device, dtype=dtype, wanted=bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw initial values."""
        free = self._free("weight_hh")
        t = torch.rand(self.hidden_size // 2, dtype=free.dtype, device=free.device)
        if self.options["init"] == "cayley":
            s = -torch.tan(t * (math.pi / 4))  # tan(t/2) = √((1 - cos t)/(1 + cos t))
        else:
            s = (2 * t - 1) * math.pi
        row = torch.arange(1, self.hidden_size, 2, device=free.device)
        with torch.no_grad():
            # entry (i, i - 1) comes last of the i(i + 1)/2 entries in rows up to i
            free.zero_().index_copy_(0, row * (row + 1) // 2 - 1, -s)
        self._reset_input()
        if self.bias is not None and self.options["nonlinearity"] == "modrelu":
            nn.init.zeros_(self.bias)

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
        z = functional.linear(state, w) + functional.linear(input, u)
        if self.options["nonlinearity"] == "tanh":
            return torch.tanh(z if b is None else z + b)
        return z if b is None else torch.sign(z) * torch.relu(torch.abs(z) + b)
