"""The Lipschitz recurrent neural network over whole sequences."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn._base.typing import Device
from lipschitz_rnn.nn.layer import RecurrentLayer
from lipschitz_rnn.nn.plain import FromMatrices
from lipschitz_rnn.nn.state import State
from lipschitz_rnn.nn.streaming import advance, packed_layer, step_times
from lipschitz_rnn.nn.unit import UnitOptions, register_unit, reset_unit, scan_unit
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity
from lipschitz_rnn.ops.call import LOW_PRECISION, MEMORIES


class LipschitzRNN(FromMatrices, RecurrentLayer):
    r"""A Lipschitz recurrent neural network, with the contract of :class:`torch.nn.RNN`.

    .. math::
        \dot h = \alpha A h + \sigma(W h + U x_t + b), \qquad
        h_t = h_{t-1} + \varepsilon \bigl(\alpha A h_{t-1} + \sigma(W h_{t-1} + U x_t + b)\bigr)

    (the update is the Euler step), with A and W from free matrices by the symmetric-skew scheme

    .. math::
        S_{\beta,\gamma}(M) = (1-\beta)(M + M^\top) + \beta (M - M^\top) - \gamma I .

    Beyond ``nn.RNN`` it takes irregular times (``dt``), missing inputs (``mask``) and streams
    (:meth:`step`). See :class:`RecurrentLayer` for the shapes; any other cell gets the same
    contract from there. :meth:`from_matrices` makes a layer that runs a given A and W as they are.

    Args:
        input_size: P, features of the input.
        hidden_size: H, features of the state.
        num_layers: Layers on top of each other.
        beta: β of both matrices, in [0, 1]: 1 is skew-symmetric, 0.5 unstructured, 0 symmetric.
        gamma: γ of both matrices, at least 0: damping.
        beta_a: β of A alone; ``beta`` if None.
        gamma_a: γ of A alone; ``gamma`` if None.
        beta_w: β of W alone; ``beta`` if None.
        gamma_w: γ of W alone; ``gamma`` if None.
        step_size: ε, above 0, in units of time.
        method: ``"euler"``, ``"midpoint"``, ``"heun"``, ``"rk4"`` or a :class:`ButcherTableau`.
        substeps: Integrator steps of size ``step_size / substeps`` taken per input.
        nonlinearity: ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softplus"``, ``"sine"``,
            ``"identity"`` or a :class:`Nonlinearity`.
        alpha: α, which scales the linear term; 0 leaves it out, and its parameter too.
        gated: Whether the whole right-hand side is multiplied by
            :math:`\mathrm{sigmoid}(W h + U_g x + b_g)`.
        trainable: Scalars to learn in each layer and direction, any of ``"step_size"``,
            ``"alpha"``, ``"beta_a"``, ``"gamma_a"``, ``"beta_w"``, ``"gamma_w"``. β stays inside
            (0, 1), γ and ε above 0. Their free parameters live on another scale (logit, inverse
            softplus): keep them out of weight decay.
        constraint: ``"contractive"``: A and W are damped, at every update, until the step that is
            run contracts; ``"contractive-flow"``: until the differential equation does, by
            condition (a). None leaves them free. With ``"contractive"`` the slopes of σ must reach
            0, and times ``dt`` that it does not cover are refused: above 1 by Euler's method, all
            but 0 and 1 by others. See :mod:`lipschitz_rnn.nn.contraction`.
        rate: μ, at least 0: with a constraint, how fast trajectories must approach each other, per
            unit of time. One step gives no more than :math:`-\ln|R(-1)|/\varepsilon`, R being the
            method's stability function (for Euler :math:`\ln(1000)/\varepsilon`).
        init_std: Free matrices start normal with standard deviation ``init_std / H``; U and b as in
            ``nn.Linear``.
        bias: Whether there is a bias b.
        batch_first: Whether input and output are (B, T, P).
        dropout: Probability of dropping an output between layers, in training mode.
        bidirectional: Whether a second set of units reads the sequence backwards.
        missing: ``"hold"`` or ``"zero"``: what stands in for a missing input.
        memory: ``"store"``, or ``"recompute"`` for long sequences: training holds about the square
            root of T states and computes the others once more, for a third more work. It saves
            memory where the outputs themselves are not kept: with ``need_output=False``.
        device: Of the parameters.
        dtype: Of the parameters.

    Shape:
        - input: (T, B, P), (B, T, P) with ``batch_first``, (T, P), or a PackedSequence
        - output: the same with D·H features, D = 2 if bidirectional, else 1
        - hx, h_n: (L·D, B, H) or (L·D, H)

    Attributes:
        weight_ih_l[k]: U of layer k, (H, P) or (H, D·H).
        weight_hh_l[k]: W, (H, H); ``parametrizations.weight_hh_l[k].original`` is the free matrix.
        weight_a_l[k]: A, (H, H), likewise and without α; None if α is 0.
        log_metric_l[k], log_multiplier_l[k]: With ``constraint="contractive"``, (H,) and (S, H):
            of the metric and the multipliers that prove it, through a scaled tanh that keeps them
            within what rounding bears. A and W above are then the free ones, from which those that
            are run are made.
        bias_l[k]: b, (H,), or None. The reverse direction's names end in ``_reverse``.

    Note:
        Reading ``weight_hh_l0`` computes W; to set it, assign a whole matrix, ``rnn.weight_hh_l0 =
        w``, since in-place changes act on the computed copy. Like every module with torch's
        parametrisations, the layer is saved by its ``state_dict``, not pickled whole.

        Precision. In float16 and bfloat16 the recurrence is carried out in float32 and outputs are
        rounded once; :meth:`step` then keeps its state in float32. Under ``torch.autocast`` the
        layer runs, and returns, in float32. See :func:`lipschitz_rnn.ops.lipschitz_scan`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value is out of range or a name unknown.

    Examples:
        >>> rnn = LipschitzRNN(3, 16, step_size=0.1, batch_first=True)
        >>> output, h_n = rnn(torch.randn(4, 50, 3))
        >>> output.shape, h_n.shape
        (torch.Size([4, 50, 16]), torch.Size([1, 4, 16]))

    References:
        Erichson, Azencot, Queiruga, Hodgkinson, Mahoney (2021), Lipschitz Recurrent Neural
        Networks, ICLR, arXiv 2006.12070.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
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
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        missing: str = "hold",
        memory: str = "store",
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        # Not RecurrentLayer's constructor: the units live here under torch's flat names.
        nn.Module.__init__(self)
        self._configure(
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            missing=missing,
        )
        self.options = UnitOptions.make(
            "LipschitzRNN",
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
        require_choice("LipschitzRNN", "memory", memory, MEMORIES)
        self.memory = memory
        self.bias = bias
        self.nonlinearity = nonlinearity
        for index, suffix in enumerate(self._suffixes):
            size = self._input_size_of(index // self.num_directions)
            register_unit(self, suffix, size, hidden_size, self.options, device=device, dtype=dtype)
        self.reset_parameters()

    @property
    def _suffixes(self) -> list[str]:
        ends = ("", "_reverse")[: self.num_directions]
        return [f"_l{layer}{end}" for layer in range(self.num_layers) for end in ends]

    def reset_parameters(self) -> None:
        """Draw the authors' initial values; learned scalars start again."""
        for index, suffix in enumerate(self._suffixes):
            size = self._input_size_of(index // self.num_directions)
            reset_unit(self, suffix, size, self.options)

    def _scan(
        self,
        index: int,
        input: Tensor,
        state: State | None,
        dt: Tensor | None,
        valid: Tensor | None,
        output: str,
    ) -> tuple[Tensor | None, Tensor]:
        if state is None:
            state = input.new_zeros(input.shape[1], self.hidden_size)
        if not isinstance(state, Tensor):
            raise TypeError(
                f"LipschitzRNN: expected `hx` to be one tensor, got {type(state).__name__}."
            )
        if valid is not None:  # a step of length zero keeps the state
            dt = valid.to(input.dtype) if dt is None else dt
        suffix = self._suffixes[index]
        return scan_unit(self, suffix, self.options, input, state, dt, output, self.memory)

    def step(
        self, input: Tensor, state: State | None = None, dt: float | Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Feed one observation of a stream; see :meth:`RecurrentLayer.step`.

        Under ``torch.no_grad`` the weights are laid out once for the kernel and kept until a
        parameter changes. As elsewhere in torch, a change through ``parameter.data`` goes unseen.

        Returns:
            The output, (B, H) or (H,), and the state to hand to the next call.
        """
        fast = self._fast_step(input, state, dt)
        if fast is not None:
            return fast
        if state is None and isinstance(input, Tensor) and input.dtype in LOW_PRECISION:
            # what is lost in half precision would be lost at every step
            batch = (input.shape[0],) if input.dim() == 2 else ()
            shape = (self.num_layers, *batch, self.hidden_size)
            state = input.new_zeros(shape, dtype=torch.float32)
        return super().step(input, state, dt)

    def _fast_step(
        self, input: Tensor, state: State | None, dt: float | Tensor | None
    ) -> tuple[Tensor, Tensor] | None:
        """The step by the kernel alone, or None for calls that need more, or a message."""
        if torch.is_grad_enabled() or self.bidirectional or (self.dropout and self.training):
            return None
        packed = packed_layer(self, lambda: self._suffixes, self.options, input)
        times = None if packed is None else step_times(dt, input)
        if packed is None or times is None or input.shape[-1] != self.input_size:
            return None
        if self.options.constraint == "contractive" and not self.options.target.covers(times):
            return None
        shape = (self.num_layers, *input.shape[:-1], self.hidden_size)
        if state is None:
            h = input.new_zeros(shape)
        elif isinstance(state, Tensor) and state.shape == shape and state.dtype == input.dtype:
            h = state.clone(memory_format=torch.contiguous_format)
        else:
            return None
        return advance(packed, input, h, times), h

    def extra_repr(self) -> str:
        """Sizes, and every option that is not at its default."""
        sizes = [str(self.input_size), str(self.hidden_size)]
        if self.num_layers != 1:
            sizes.append(f"num_layers={self.num_layers}")
        if self.memory != "store":
            sizes.append(f"memory={self.memory!r}")
        return ", ".join(filter(None, [*sizes, *self.options.describe(), super().extra_repr()]))

    def __repr__(self) -> str:
        return f"LipschitzRNN({self.extra_repr()})"
