"""How a state depends on earlier ones, and a loss on every state."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn.analysis.step_map import StepMap, step_times
from lipschitz_rnn.analysis.units import UnitRun, run_layer, single_unit
from lipschitz_rnn.nn import SequenceRegressor

Loss = Callable[[Tensor, Tensor], Tensor]
"""Answers and target to one loss for each sample, (B,)."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class JacobianNorms:
    """Singular values of the derivative of the last state by each earlier one.

    Attributes:
        unit: Name of the unit.
        kind: Its class.
        times: t of each row, ascending, the last one T; t = 0 is the initial state.
        log_singular_values: ln of the singular values of dh_T/dh_t, the largest first, (len(times),
            B, N), in float64. Those below about 1e-14 T of the largest are rounding.
        steps: T.
    """

    unit: str
    kind: str
    times: tuple[int, ...]
    log_singular_values: Tensor
    steps: int

    @property
    def norms(self) -> Tensor:
        """Spectral norms, (len(times), B); they may over- or underflow, their logarithms do not."""
        return self.log_singular_values[..., 0].exp()


def jacobian_norms(
    unit: StepMap | nn.Module,
    input: Tensor,
    hx: Tensor | None = None,
    *,
    dt: float | Tensor | None = None,
    every: int = 1,
) -> JacobianNorms:
    r"""Singular values of the state-to-state Jacobians over time.

    .. math:: P_T = I, \qquad P_{t-1} = P_t J_t, \qquad
        P_t = \frac{\partial h_T}{\partial h_t} = J_T J_{T-1} \cdots J_{t+1}

    The product is formed backward in float64 and divided by its norm at each step, whose logarithm
    is kept: it can neither overflow nor vanish. Its large singular values are accurate to about T
    roundings; small ones are known only relative to the largest, which is what a product in
    floating point holds.

    Args:
        unit: A map of :func:`layer_cells` in float64; or a cell, or a layer of one unit, which is
            looked at in float64 whatever its dtype.
        input: The data, (T, B, P), time first.
        hx: Initial states, (B, N); zero if None.
        dt: For how long each input is held: a number, (T,) or (T, B).
        every: Distance in steps between the times that are decomposed, counted from T; the initial
            state is always one of them.

    Returns:
        The logarithms of the singular values. It costs T·N derivatives along a direction, and a
        decomposition of (N, N) for each time, for each sequence.

    Raises:
        TypeError: If ``unit`` is a map in another precision than float64.
        ValueError: If a shape does not fit.

    Examples:
        >>> from lipschitz_rnn.analysis.units import cell_of
        >>> eye = torch.eye(2, dtype=torch.float64)
        >>> half = cell_of(-eye, 0 * eye, step_size=0.5)  # h+ = h / 2
        >>> jacobian_norms(half, torch.zeros(3, 1, 1)).norms[:, 0]
        tensor([0.1250, 0.2500, 0.5000, 1.0000], dtype=torch.float64)

    References:
        Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks,
        ICML, sec. 2.
    """
    unit = single_unit("jacobian_norms", unit)
    where, letters = "jacobian_norms", "(T, B, P)"
    require_shape(where, "input", input, (None, None, unit.input_size), letters)
    require_positive_int(where, "every", every)
    steps, batch = input.shape[:2]
    input = input.to(unit.device, unit.dtype)
    hx = None if hx is None else hx.to(unit.device, unit.dtype)
    states, held = unit.run(input, hx, dt), step_times(dt, input)
    product = torch.eye(unit.state_size, dtype=torch.float64, device=unit.device)
    product = product.expand(batch, -1, -1)
    scale = torch.zeros(batch, 1, dtype=torch.float64, device=unit.device)
    times, logs = [steps], [_log_singular_values(product)]
    for t in range(steps - 1, -1, -1):  # from dh_T/dh_(t+1) to dh_T/dh_t
        product = product @ unit.jacobian(input[t], states[t], held[t])
        norm = torch.linalg.matrix_norm(product, keepdim=True)
        norm = norm.where(norm > 0, 1.0)  # all zero: it stays so
        product, scale = product / norm, scale + norm.log().squeeze(-1)
        if (steps - t) % every == 0 or t == 0:
            times.append(t)
            logs.append(_log_singular_values(product) + scale)
    return JacobianNorms(unit.name, unit.kind, tuple(times[::-1]), torch.stack(logs[::-1]), steps)


def _log_singular_values(product: Tensor) -> Tensor:
    """Of matrices (B, N, N); NaN for those of a state that has run off to infinity."""
    finite = product.isfinite().all(-1).all(-1)[:, None]  # (B, 1)
    values: Tensor = torch.linalg.svdvals(product.nan_to_num(0.0, 0.0, 0.0))  # LAPACK takes no NaN
    return values.log().where(finite, torch.nan)


@dataclass(frozen=True, eq=False)
class GradientNorms:
    """Norm of the gradient of each sample's loss by the state of one unit at each time.

    Attributes:
        unit: Name of the unit.
        kind: Its class.
        norms: (T + 1, B), the initial state first, in the order in which the unit reads: a reverse
            one from the end of the sequence.
        mean: Over the samples, (T + 1,).
        levels: Which quantiles.
        quantiles: Over the samples, (len(levels), T + 1).
        loss: Mean over the samples.
    """

    unit: str
    kind: str
    norms: Tensor
    mean: Tensor
    levels: tuple[float, ...]
    quantiles: Tensor
    loss: float


def gradient_norms(
    model: SequenceRegressor,
    input: Tensor,
    target: Tensor,
    *,
    dt: float | Tensor | None = None,
    loss: Loss | None = None,
    dtype: torch.dtype | None = None,
) -> dict[str, GradientNorms]:
    r"""How much the loss of each sample depends on the state at each time.

    .. math::
        g_t = \frac{\partial \ell}{\partial h_t}
        = J_{t+1}^\top g_{t+1} + \Bigl(\frac{\partial y_t}{\partial h_t}\Bigr)^\top
        \frac{\partial \ell}{\partial y_t}

    carried backward by vector-Jacobian products of single steps, through all layers and directions.
    Each sample has its own loss, so that nothing depends on the size of the batch. Dropout and
    noise are off, and states start at zero.

    Args:
        model: A ``SequenceClassifier`` or :class:`SequenceRegressor` on a ``LipschitzRNN`` or a
            ``RecurrentLayer``.
        input: As the model takes it: (T, B, P), or (B, T, P) with ``batch_first``. All sequences
            are as long as the batch.
        target: As the loss takes it: (B,) classes or (B, Q) numbers; (T, B) or (T, B, Q), in the
            layout of the input, for a model that answers at every step.
        dt: For how long each input is held, as the model takes it: a number, (T,) or (T, B), the
            latter in the layout of the input.
        loss: Losses (B,) of answers and target. By default the cross-entropy for integer targets
            and the mean square for others, averaged over the steps that answer.
        dtype: What to compute in; that of the model if None.

    Returns:
        The norms of each unit, by its name. It costs about one gradient in plain PyTorch.

    Raises:
        ValueError: If the input is no batch of sequences.

    Examples:
        >>> from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
        >>> model = SequenceClassifier(LipschitzRNN(2, 8), 3)
        >>> norms = gradient_norms(model, torch.randn(5, 4, 2), torch.tensor([0, 2, 1, 0]))
        >>> norms["l0"].norms.shape
        torch.Size([6, 4])

    References:
        Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks,
        ICML, sec. 2.
    """
    first = bool(model.rnn.batch_first)
    with torch.no_grad():
        encoded: Tensor = copy.deepcopy(model.encoder).eval()(input)
    if encoded.dim() != 3:
        raise ValueError(
            "gradient_norms: expected `input` to be a batch of sequences, (T, B, P), or (B, T, P) "
            f"with batch_first=True, got {tuple(input.shape)}. Give one sequence a batch axis."
        )
    encoded = encoded.transpose(0, 1) if first else encoded
    dt = dt.mT if first and isinstance(dt, Tensor) and dt.dim() == 2 else dt
    runs = run_layer(model.rnn, encoded, dt=dt, dtype=dtype)
    directions = int(model.rnn.num_directions)  # type: ignore[arg-type]
    losses, direct = _at_the_head(model, runs[-directions:], target, loss)
    found: dict[str, GradientNorms] = {}
    for last in range(len(runs), 0, -directions):
        pair = runs[last - directions : last]
        below = torch.zeros_like(pair[0].input)
        for run, gradient in zip(pair, direct, strict=True):
            norms, by_input = _backward(run, gradient)
            found[run.unit.name] = _summary(run.unit, norms, losses)
            below += by_input.flip(0) if _is_reverse(run) else by_input
        # each direction of the layer below gets its share, in the order in which it read
        shares = below.chunk(directions, -1)
        direct = [share.flip(0) if k else share for k, share in enumerate(shares)]
    return {run.unit.name: found[run.unit.name] for run in runs}


def _is_reverse(run: UnitRun) -> bool:
    return run.unit.name.endswith("_reverse")


def _losses_of(answers: Tensor, target: Tensor, time_axis: int | None) -> Tensor:
    """Cross-entropy for classes, mean square for numbers; one for each sample."""
    if target.is_floating_point():
        losses = (answers - target.to(answers.dtype)).square().mean(-1)
    else:
        flat = functional.cross_entropy(answers.flatten(0, -2), target.flatten(), reduction="none")
        losses = flat.view(target.shape)
    return losses if time_axis is None else losses.mean(time_axis)


def _at_the_head(
    model: SequenceRegressor, runs: list[UnitRun], target: Tensor, loss: Loss | None
) -> tuple[Tensor, list[Tensor]]:
    """Losses (B,), and their gradients by each direction's output, (T, B, H) as it read."""
    first, dtype = bool(model.rnn.batch_first), runs[0].states.dtype
    outputs = [run.states[1:, :, : run.unit.hidden_size].requires_grad_() for run in runs]
    if model.every_step:
        ordered = zip(runs, outputs, strict=True)
        read = torch.cat([y.flip(0) if _is_reverse(run) else y for run, y in ordered], -1)
        read = read.transpose(0, 1) if first else read
    else:
        read = torch.cat([y[-1] for y in outputs], -1)
    weight = model.head.weight.detach().to(dtype)
    bias = model.head.bias.detach().to(dtype) if model.head.bias is not None else None
    with torch.enable_grad():
        answers = functional.linear(read, weight, bias)
        axis = (1 if first else 0) if model.every_step else None
        losses = _losses_of(answers, target, axis) if loss is None else loss(answers, target)
        gradients = torch.autograd.grad(losses.sum(), outputs)
    return losses.detach(), list(gradients)


def _backward(run: UnitRun, direct: Tensor) -> tuple[Tensor, Tensor]:
    """Norms (T + 1, B), and the gradient by the input, (T, B, P), from that by the output."""
    unit, steps, held = run.unit, len(direct), step_times(run.dt, run.input)
    gradient = unit.start(direct.shape[1])
    norms, by_input = [], []
    for t in range(steps, 0, -1):
        # the output is the first part of the state
        gradient = gradient + functional.pad(direct[t - 1], (0, unit.state_size - unit.hidden_size))
        norms.append(gradient.norm(dim=-1))
        to_input, gradient = unit.pull(run.input[t - 1], run.states[t - 1], gradient, held[t - 1])
        by_input.append(to_input)
    norms.append(gradient.norm(dim=-1))
    return torch.stack(norms[::-1]), torch.stack(by_input[::-1])


def _summary(unit: StepMap, norms: Tensor, losses: Tensor) -> GradientNorms:
    levels = torch.tensor(QUANTILES, dtype=norms.dtype, device=norms.device)
    return GradientNorms(
        unit=unit.name,
        kind=unit.kind,
        norms=norms,
        mean=norms.mean(-1),
        levels=QUANTILES,
        quantiles=norms.quantile(levels, dim=-1),
        loss=float(losses.mean()),
    )
