"""The Lipschitz unit with noise in training."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import require_in_range
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.parametrizations import Positive
from lipschitz_rnn.nn.unit import UnitOptions, register_unit, reset_unit
from lipschitz_rnn.nn.units.looped import LoopCell, Weights


class NoisyLipschitzRNNCell(LoopCell):
    r"""One step of a Lipschitz unit that noise perturbs in training mode.

    .. math::
        h_{+} = h + d \circ m \circ f(h) + a\,\xi, \qquad f(h) = A h + \tanh(W h + U x + b)

    with :math:`m` uniform in :math:`[1 - \eta, 1]` and :math:`\xi` standard normal, drawn for each
    unit, sample and step. The step d is learned for each unit. In evaluation mode
    :math:`h_{+} = h + d \circ f(h)`. A and W come from free matrices by :class:`SymmetricSkew`.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        beta: β of both matrices, in [0, 1].
        gamma: γ of both matrices, at least 0.
        beta_a: β of A alone; ``beta`` if None.
        gamma_a: γ of A alone; ``gamma`` if None.
        beta_w: β of W alone; ``beta`` if None.
        gamma_w: γ of W alone; ``gamma`` if None.
        step_size: Where the learned d starts, above 0. It stays positive.
        additive_noise: a, at least 0.
        multiplicative_noise: η, in [0, 1].
        init_std: Free matrices start with standard deviation ``init_std / H``; U and b as in
            ``nn.Linear``.
        bias: Whether there is a bias b.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (B, P) or (P,)
        - hx: (B, H) or (H,)
        - Output: (B, H) or (H,)

    Attributes:
        weight_ih: U, (H, P).
        weight_hh: W, (H, H); ``parametrizations.weight_hh.original`` holds the free matrix.
        weight_a: A, (H, H), likewise.
        bias: b, (H,), or None.
        step_size: d, (H,); its free parameter lives on another scale (inverse softplus): keep it
            out of weight decay.
        generator: Source of the noise; None for torch's own. Set it to a ``torch.Generator``.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range.

    Examples:
        >>> cell, x = NoisyLipschitzRNNCell(3, 8), torch.randn(2, 3)
        >>> bool(torch.equal(cell(x), cell(x)))
        False
        >>> bool(torch.equal(cell.eval()(x), cell(x)))
        True

    References:
        Lim, Erichson, Hodgkinson, Mahoney (2021), Noisy Recurrent Neural Networks, NeurIPS.
    """

    weight_a: Tensor
    step_size: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        beta: float = 0.75,
        gamma: float = 0.001,
        beta_a: float | None = None,
        gamma_a: float | None = None,
        beta_w: float | None = None,
        gamma_w: float | None = None,
        step_size: float = 0.01,
        additive_noise: float = 0.02,
        multiplicative_noise: float = 0.02,
        init_std: float = 0.1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        unit: dict[str, Any] = {
            "beta": beta,
            "gamma": gamma,
            "beta_a": beta_a,
            "gamma_a": gamma_a,
            "beta_w": beta_w,
            "gamma_w": gamma_w,
            "step_size": step_size,
            "init_std": init_std,
            "bias": bias,
        }
        noise = {"additive_noise": additive_noise, "multiplicative_noise": multiplicative_noise}
        super().__init__(input_size, hidden_size, unit | noise)
        require_in_range(self._where, "additive_noise", additive_noise, 0)
        require_in_range(self._where, "multiplicative_noise", multiplicative_noise, 0, 1)
        fixed: dict[str, Any] = {"method": "euler", "substeps": 1, "nonlinearity": "tanh"}
        fixed |= {"alpha": 1.0, "trainable": ()}
        self._unit = UnitOptions.make(self._where, **unit, **fixed)
        register_unit(self, "", input_size, hidden_size, self._unit, device=device, dtype=dtype)
        if dtype in (torch.float16, torch.bfloat16):
            dtype = torch.float32  # a small number, or a small update of it, would be lost
        start = torch.full((hidden_size,), step_size, device=device, dtype=dtype)
        self.register_parameter("step_size", nn.Parameter(start))
        parametrize.register_parametrization(self, "step_size", Positive())
        self.generator: torch.Generator | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the authors' initial values; the learned steps start again."""
        reset_unit(self, "", self.input_size, self._unit)
        self.step_size = torch.full_like(self._free("step_size"), self._unit.step_size)

    def forward(
        self, input: Tensor, hx: Tensor | None = None, dt: float | Tensor | None = None
    ) -> Tensor:
        """Advance the state by one step.

        Args:
            input: Held over the step, (B, P) or (P,).
            hx: The state, (B, H) or (H,); zero if None.
            dt: The step is ``step_size * dt``: a number, or (B,). The additive noise is that of a
                Brownian motion: multiplied by the square root of ``dt``.

        Returns:
            The next state, shape and dtype of ``hx``.
        """
        new: Tensor = self._batched(self.bind(), input, hx, dt)
        return new

    def vector_field(self, input: Tensor, hx: Tensor) -> Tensor:
        """Right-hand side f(h) for a held input, without noise and without d.

        Args:
            input: (B, P) or (P,).
            hx: (B, H) or (H,).

        Returns:
            Shape of ``hx``.
        """
        slope: Tensor = self._batched(self._bound(self._field), input, hx)
        return slope

    def bind(self) -> Any:
        """The step for batches as a function: with noise if in training mode."""
        return self._bound(self._noisy_step if self.training else self._step)

    def _bind_mean(self) -> Any:
        return self._bound(self._step)

    def _weights(self) -> Weights:
        matrices = self.weight_ih, self.weight_hh, self.weight_a
        return *matrices, self.bias, self.step_size  # type: ignore[return-value]

    def _field(self, weights: Weights, input: Tensor, state: Tensor, dt: Tensor | None) -> Tensor:
        u, w, a, b, _ = weights
        z = functional.linear(state, w) + functional.linear(input, u, b)
        return functional.linear(state, a) + torch.tanh(z)

    def _step(self, weights: Weights, input: Tensor, state: Tensor, dt: Tensor | None) -> Tensor:
        slope = self._field(weights, input, state, dt)
        d = weights[-1] if dt is None else weights[-1] * dt.to(state.dtype).reshape(-1, 1)
        return state + d * slope

    def _noisy_step(
        self, weights: Weights, input: Tensor, state: Tensor, dt: Tensor | None
    ) -> Tensor:
        loss: float = self.options["multiplicative_noise"]
        a: float = self.options["additive_noise"]
        place: dict[str, Any] = {"dtype": state.dtype, "device": state.device}
        m = 1 - loss * torch.rand(state.shape, generator=self.generator, **place)
        slope = m * self._field(weights, input, state, dt)
        noise = a * torch.randn(state.shape, generator=self.generator, **place)
        if dt is None:
            return state + weights[-1] * slope + noise
        time = dt.to(state.dtype).reshape(-1, 1)
        return state + weights[-1] * time * slope + time.sqrt() * noise
