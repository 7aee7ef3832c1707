"""Random changes of the steps of sequences and of their times."""

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_in_range, require_shape
from lipschitz_rnn.analysis.perturbations import Perturbed, precision


def drop_steps(
    input: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    dt: float | Tensor | None = None,
    hold: bool = False,
    batch_first: bool = True,
) -> Perturbed:
    """Remove random steps of each sequence; those that stay keep their order.

    Exactly ``round(share * T)`` steps of every sample go, but one stays at least, so that the
    sequences of a batch stay equally long. With a larger share and the same generator more steps
    go, and the same ones among them.

    Args:
        input: Sequences: (B, T, ...), numbers or symbols.
        share: Of the steps, in [0, 1].
        generator: Of the choices.
        dt: For how long each input is held: a number, (T,) or (B, T); 1 if None.
        hold: Whether time goes on while steps are missing, the last input before them being held.
            Before the first step that stays it is that one, so that the total time is kept. A
            continuous-time unit can be told so.
        batch_first: False for (T, B, ...), and (T, B).

    Returns:
        Shorter sequences. With ``hold`` their ``dt`` have the times of the missing steps added,
        (B, T'); otherwise those that stay are kept as they are.

    Raises:
        ValueError: If ``share`` is not in [0, 1] or a shape does not fit.

    Examples:
        >>> x = torch.arange(6.0).reshape(1, 6, 1)
        >>> shorter = drop_steps(x, 0.5, torch.Generator().manual_seed(0), hold=True)
        >>> shorter.input.flatten(), shorter.dt
        (tensor([0., 3., 5.]), tensor([[3., 2., 1.]]))
    """
    require_in_range("drop_steps", "share", share, 0, 1)
    batch, steps = _sizes("drop_steps", input, batch_first)
    count = min(round(share * steps), steps - 1)
    stays = ~_choose(batch, steps, count, generator).to(input.device)
    index = stays.nonzero()[:, 1].reshape(batch, steps - count)
    shorter = _take(input, index, batch_first)
    if not hold and (dt is None or isinstance(dt, (int, float))):
        return Perturbed(shorter, dt)
    times = _times("drop_steps", dt, input, batch_first)
    if not hold:
        return Perturbed(shorter, _laid_out(times.gather(1, index), batch_first))
    holder = (stays.cumsum(1) - 1).clamp_min(0)  # place of the step whose input is held
    held = times.new_zeros(index.shape).scatter_add(1, holder, times)
    return Perturbed(shorter, _laid_out(held, batch_first))


def repeat_steps(
    input: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    dt: float | Tensor | None = None,
    batch_first: bool = True,
) -> Perturbed:
    """Let random steps of each sequence occur twice in a row.

    Exactly ``round(share * T)`` steps of every sample do, so that the sequences of a batch stay
    equally long. A repeated step has its time ``dt`` twice, too.

    Args:
        input: Sequences: (B, T, ...), numbers or symbols.
        share: Of the steps, in [0, 1].
        generator: Of the choices.
        dt: For how long each input is held: a number, (T,) or (B, T), or None.
        batch_first: False for (T, B, ...), and (T, B).

    Returns:
        Longer sequences.

    Raises:
        ValueError: If ``share`` is not in [0, 1] or a shape does not fit.

    Examples:
        >>> x = torch.arange(6.0).reshape(1, 6, 1)
        >>> repeat_steps(x, 0.5, torch.Generator().manual_seed(0)).input.flatten()
        tensor([0., 1., 1., 2., 2., 3., 4., 4., 5.])
    """
    require_in_range("repeat_steps", "share", share, 0, 1)
    batch, steps = _sizes("repeat_steps", input, batch_first)
    count = round(share * steps)
    twice = _choose(batch, steps, count, generator).to(input.device)
    every = torch.arange(steps, device=input.device).repeat(batch)
    index = every.repeat_interleave(1 + twice.flatten().long()).reshape(batch, steps + count)
    longer = _take(input, index, batch_first)
    if dt is None or isinstance(dt, (int, float)):
        return Perturbed(longer, dt)
    times = _times("repeat_steps", dt, input, batch_first).gather(1, index)
    return Perturbed(longer, _laid_out(times, batch_first))


def jitter_times(
    input: Tensor,
    strength: float,
    generator: torch.Generator,
    *,
    dt: float | Tensor | None = None,
    batch_first: bool = True,
) -> Perturbed:
    r"""Move the times at which the inputs come, in an order that is kept.

    .. math:: t_i = i + s u_i, \qquad u_i \sim \mathcal U(-\tfrac12, \tfrac12), \qquad
        \mathrm{dt}_i = t_{i+1} - t_i > 1 - s

    with :math:`t_0 = 0` and :math:`t_T = T`, so that the total time is kept. The inputs stay as
    they are, and a unit that takes times is told the true ones.

    Args:
        input: Sequences: (B, T, ...), numbers or symbols.
        strength: s, in [0, 1).
        generator: Of the times.
        dt: Times of the clean data, which the jittered ones multiply: a number, (T,) or (B, T). If
            they are not all equal, only the expected total is kept.
        batch_first: False for (T, B, ...), and (T, B).

    Returns:
        The input, and times ``dt`` of each sample's own, (B, T).

    Raises:
        ValueError: If ``strength`` is not in [0, 1) or a shape does not fit.

    Examples:
        >>> jittered = jitter_times(torch.zeros(1, 4, 1), 0.5, torch.Generator().manual_seed(0))
        >>> jittered.dt.sum()
        tensor(4.)
    """
    require_in_range("jitter_times", "strength", strength, 0, 1, open_high=True)
    batch, steps = _sizes("jitter_times", input, batch_first)
    moved = torch.zeros(batch, steps + 1, dtype=torch.float64, device=generator.device)
    moved[:, 1:-1] = strength * (
        torch.rand(batch, steps - 1, generator=generator, dtype=torch.float64, device=moved.device)
        - 0.5
    )
    times = _times("jitter_times", dt, input, batch_first)
    jittered = (1 + moved.diff(dim=1)).to(times)  # t_(i+1) - t_i without differences of large t
    return Perturbed(input, _laid_out(times * jittered, batch_first))


def _sizes(where: str, input: Tensor, batch_first: bool) -> tuple[int, int]:
    """B and T."""
    first = input.shape[:2] if batch_first else input.shape[:2][::-1]
    if len(first) < 2 or first[1] < 1:
        letters = "(B, T, ...)" if batch_first else "(T, B, ...)"
        raise ValueError(
            f"{where}: expected `input` of shape {letters} with at least one step, got "
            f"{tuple(input.shape)}."
        )
    return first[0], first[1]


def _choose(batch: int, steps: int, count: int, generator: torch.Generator) -> Tensor:
    """True at ``count`` random steps of each sample, (B, T)."""
    device = generator.device
    drawn = torch.rand(batch, steps, generator=generator, dtype=torch.float64, device=device)
    chosen = torch.zeros(batch, steps, dtype=torch.bool, device=device)
    return chosen.scatter(1, drawn.argsort(1)[:, :count], True)


def _laid_out(value: Tensor, batch_first: bool) -> Tensor:
    """(B, T, ...) in the layout of the caller, or the other way round."""
    return value if batch_first else value.transpose(0, 1)


def _take(input: Tensor, index: Tensor, batch_first: bool) -> Tensor:
    """The steps ``index``, (B, T'), of each sample."""
    rows = torch.arange(len(index), device=index.device)[:, None]
    return _laid_out(_laid_out(input, batch_first)[rows, index], batch_first)


def _times(where: str, dt: float | Tensor | None, input: Tensor, batch_first: bool) -> Tensor:
    """``dt`` of each sample and step, (B, T)."""
    batch, steps = _sizes(where, input, batch_first)
    if not isinstance(dt, Tensor):
        number = 1.0 if dt is None else float(dt)
        return torch.full((batch, steps), number, dtype=precision(input), device=input.device)
    if dt.dim() == 2:
        shape, letters = ((batch, steps), "(B, T)") if batch_first else ((steps, batch), "(T, B)")
        require_shape(where, "dt", dt, shape, letters)
        return _laid_out(dt, batch_first)
    require_shape(where, "dt", dt, (steps,), "(T,)")
    return dt.expand(batch, steps)
