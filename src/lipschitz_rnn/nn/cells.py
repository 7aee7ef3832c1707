"""One step of the unit."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.layout import step_time
from lipschitz_rnn.nn.unit import (
    UnitOptions,
    register_unit,
    reset_unit,
    scan_unit,
    unit_field,
)
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.call import LOW_PRECISION


class LipschitzRNNCell(nn.Module):
    r"""One step of a Lipschitz recurrent unit.

    .. math::
        \dot h = \alpha A h + \sigma(W h + U x + b), \qquad
        h_{+} = h + \varepsilon \bigl(\alpha A h + \sigma(W h + U x + b)\bigr) \text{ (Euler)}

    A and W come from free matrices by :class:`SymmetricSkew`. The arguments are those of
    :class:`LipschitzRNN`, which runs the same unit over whole sequences and is the faster choice
    there.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        beta: β of both matrices, in [0, 1].
        gamma: γ of both matrices, at least 0.
        beta_a: β of A alone; ``beta`` if None.
        gamma_a: γ of A alone; ``gamma`` if None.
        beta_w: β of W alone; ``beta`` if None.
        gamma_w: γ of W alone; ``gamma`` if None.
        step_size: ε, above 0.
        method: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a :class:`ButcherTableau`.
        substeps: Integrator steps taken per input.
        nonlinearity: Name of σ, or a :class:`Nonlinearity`.
        alpha: α; 0 leaves out the linear term and its parameter.
        gated: Whether the whole right-hand side is multiplied by a gate.
        trainable: Scalars to learn, any of ``"step_size"``, ``"alpha"``, ``"beta_a"``,
            ``"gamma_a"``, ``"beta_w"``, ``"gamma_w"``.
        constraint: ``"contractive"``, ``"contractive-flow"`` or None.
        rate: μ of the constraint, at least 0.
        init_std: Free matrices start with standard deviation ``init_std / H``.
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
        weight_a: A, (H, H), likewise, without α; None if α is 0.
        bias: b, (H,), or None.

    Examples:
        >>> cell = LipschitzRNNCell(3, 8)
        >>> h = None
        >>> for x in torch.randn(5, 2, 3):
        ...     h = cell(x, h)
        >>> h.shape
        torch.Size([2, 8])

    References:
        Erichson et al. (2021), Lipschitz Recurrent Neural Networks, ICLR.
    """

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
        step_size: float = 0.03,
        method: str | ButcherTableau = "euler",
        substeps: int = 1,
        nonlinearity: str | Nonlinearity = "tanh",
        alpha: float = 1.0,
        gated: bool = False,
        trainable: Iterable[str] = (),
        constraint: str | None = None,
        rate: float = 0.01,
        init_std: float = 0.1,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        require_positive_int("LipschitzRNNCell", "input_size", input_size)
        require_positive_int("LipschitzRNNCell", "hidden_size", hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.options = UnitOptions.make(
            "LipschitzRNNCell",
            beta=beta,
            gamma=gamma,
            beta_a=beta_a,
            gamma_a=gamma_a,
            beta_w=beta_w,
            gamma_w=gamma_w,
            step_size=step_size,
            method=method,
            substeps=substeps,
            nonlinearity=nonlinearity,
            alpha=alpha,
            gated=gated,
            trainable=trainable,
            constraint=constraint,
            rate=rate,
            init_std=init_std,
            bias=bias,
        )
        register_unit(self, "", input_size, hidden_size, self.options, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the authors' initial values; learned scalars start again."""
        reset_unit(self, "", self.input_size, self.options)

    def forward(
        self, input: Tensor, hx: Tensor | None = None, dt: float | Tensor | None = None
    ) -> Tensor:
        """Advance the state by one step.

        Args:
            input: Held over the step, (B, P) or (P,).
            hx: The state, (B, H) or (H,); zero if None.
            dt: The step is ``step_size * dt``: a number, or (B,).

        Returns:
            The next state, shape and dtype of ``hx``. For an input in half precision the default
            one is float32, since what is lost in 8 bits would be lost at every step.

        Raises:
            ValueError: If a shape does not fit.
        """
        self._check(input, hx)
        if input.dim() == 1:
            h = None if hx is None else hx.unsqueeze(0)
            return self.forward(input.unsqueeze(0), h, dt).squeeze(0)
        if hx is None:
            # in half precision the state is carried in float32: see lipschitz_scan
            dtype = torch.float32 if input.dtype in LOW_PRECISION else input.dtype
            hx = input.new_zeros(input.shape[0], self.hidden_size, dtype=dtype)
        if dt is not None:
            dt = step_time("LipschitzRNNCell", dt, input).unsqueeze(0)
        _, last = scan_unit(self, "", self.options, input.unsqueeze(0), hx, dt, output="last")
        return last

    def _check(self, input: Tensor, hx: Tensor | None) -> None:
        where, batched = "LipschitzRNNCell", input.dim() != 1
        batch: tuple[int | None, ...] = (None,) if batched else ()
        letters = ("(B, P)", "(B, H)") if batched else ("(P,)", "(H,)")
        require_shape(where, "input", input, (*batch, self.input_size), letters[0])
        if hx is not None:
            batch = (input.shape[0],) if batched else ()
            require_shape(where, "hx", hx, (*batch, self.hidden_size), letters[1])

    def vector_field(self, input: Tensor, hx: Tensor) -> Tensor:
        """Right-hand side dh/dt for a held input: α A h + σ(W h + U x + b), times the gate if any.

        Args:
            input: x, (B, P) or (P,).
            hx: h, (B, H) or (H,).

        Returns:
            dh/dt in the units of ``hx`` per unit of time, shape of ``hx``.
        """
        self._check(input, hx)
        if input.dim() == 1:
            return self.vector_field(input.unsqueeze(0), hx.unsqueeze(0)).squeeze(0)
        return unit_field(self, "", self.options, input, hx)

    def jacobian(self, input: Tensor, hx: Tensor, dt: float | Tensor | None = None) -> Tensor:
        r"""Derivative of one step, :math:`\partial h_{t+1} / \partial h_t`.

        For the Euler method :math:`I + \varepsilon (\alpha A + \mathrm{diag}(\sigma'(z)) W)`; exact
        for every method, gate and number of substeps.

        Args:
            input: (B, P) or (P,).
            hx: The state it is taken at, (B, H) or (H,).
            dt: As in :meth:`forward`.

        Returns:
            (B, H, H) or (H, H), rows for outputs, columns for inputs; differentiable.
        """

        def column(direction: Tensor) -> Tensor:
            tangent = direction.expand_as(hx)
            step = lambda h: self.forward(input, h, dt)  # noqa: E731
            moved: Tensor = torch.func.jvp(step, (hx,), (tangent,))[1]
            return moved

        basis = torch.eye(self.hidden_size, dtype=hx.dtype, device=hx.device)
        columns: Tensor = torch.func.vmap(column, out_dims=-1)(basis)
        return columns

    def extra_repr(self) -> str:
        """Sizes, and every option that is not at its default."""
        return ", ".join([str(self.input_size), str(self.hidden_size), *self.options.describe()])

    def __repr__(self) -> str:
        return f"LipschitzRNNCell({self.extra_repr()})"
