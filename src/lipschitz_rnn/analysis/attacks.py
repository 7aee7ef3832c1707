"""Projected gradient ascent on a model's input: what robustness is measured against."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn.analysis.ball import Ball, Best, Loss, batch_axis, classify


def pgd(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str,
    radius: float | Tensor,
    steps: int,
    step_size: float | Tensor,
    generator: torch.Generator | None = None,
    random_start: bool = True,
    low: float | None = None,
    high: float | None = None,
    loss: Loss | None = None,
) -> Tensor:
    r"""Projected gradient ascent of the loss on the input, within a ball around it.

    .. math:: x \leftarrow \Pi\bigl(x + s\, d(\nabla_x \ell)\bigr), \qquad
        d_\infty(g) = \operatorname{sign}(g), \quad d_2(g) = g / \|g\|_2

    Projections are done in float64 and rounded towards the clean input, so that no budget is
    exceeded in the input's dtype either. Nor are ``low`` and ``high``, which are rounded inwards;
    but clean numbers that are outside by the rounding of a bound to their dtype are accepted, and
    may stay. The model is run in the mode it is in; its parameters and their gradients are left
    alone.

    Args:
        model: Answers a batch of inputs with logits, (B, C), or with what ``loss`` takes. Samples
            lie along the first axis, or along the second of a recurrent model without
            ``batch_first``.
        input: The clean inputs.
        target: Their classes, (B,), or what ``loss`` takes.
        norm: ``"linf"``: every number is moved by at most the radius; ``"l2"``: every sample is,
            over all times and features together.
        radius: At least 0: one for all samples, or (B,).
        steps: Gradients taken.
        step_size: s, likewise.
        generator: Of the random start.
        random_start: Whether to start from a uniform point of the ball, instead of the clean input.
        low: Inputs stay at or above it; the clean ones must lie there already.
        high: Likewise, at or below it.
        loss: What is raised, a number for each sample; the cross-entropy if None.

    Returns:
        The best input met for each sample, the clean one included: with the cross-entropy one that
        is misclassified if there is any, and of these the one with the highest loss.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If a shape or value does not fit.

    Examples:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.eye(2))
        >>> clean, target = torch.tensor([[1.0, 0.5]]), torch.tensor([0])
        >>> pgd(model, clean, target, norm="linf", radius=0.5, steps=4, step_size=0.25)
        tensor([[0.5000, 1.0000]])

    References:
        Madry, Makelov, Schmidt, Tsipras, Vladu (2018), Towards deep learning models resistant to
        adversarial attacks, ICLR, sec. 2.1.
    """
    ball = Ball("pgd", model, input, norm, radius, low, high)
    start = ball.random(generator) if random_start else None
    return _ascend(ball, model, input, target, steps, step_size, start, loss).input


def pgd_losses(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str,
    radius: float | Tensor,
    steps: int,
    step_size: float | Tensor,
    generator: torch.Generator | None = None,
    random_start: bool = True,
    low: float | None = None,
    high: float | None = None,
    loss: Loss | None = None,
) -> Tensor:
    """Mean loss along the ascent of :func:`pgd`: where it does not rise, the attack is not one.

    Args:
        model: As :func:`pgd` takes it, and so are all other arguments.
        input: The clean inputs.
        target: Their classes, (B,).
        norm: ``"linf"`` or ``"l2"``.
        radius: At least 0.
        steps: Gradients taken.
        step_size: Length of each step.
        generator: Of the random start.
        random_start: Whether there is one.
        low: Smallest value of an input.
        high: Largest one.
        loss: What is raised.

    Returns:
        The mean over the samples at the start and after each step, (steps + 1,), float64: of the
        inputs the ascent is at, which need not be the best it met.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If a shape or value does not fit.

    Examples:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = model.requires_grad_(False).weight.fill_(1.0)
        >>> clean = torch.zeros(1, 2)
        >>> pgd_losses(
        ...     model, clean, clean, norm="linf", radius=0.5, steps=3, step_size=0.25,
        ...     random_start=False, loss=lambda answers, target: answers.squeeze(1),
        ... )
        tensor([0.0000, 0.5000, 1.0000, 1.0000], dtype=torch.float64)
    """
    ball = Ball("pgd_losses", model, input, norm, radius, low, high)
    start = ball.random(generator) if random_start else None
    best = _ascend(ball, model, input, target, steps, step_size, start, loss)
    return torch.stack(best.losses[1:]).double().mean(1)  # the first is of the clean input


def _ascend(
    ball: Ball,
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    steps: int,
    step_size: float | Tensor,
    start: Tensor | None,
    loss: Loss | None,
) -> Best:
    require_positive_int(ball.where, "steps", steps)
    reach = ball.column("step_size", step_size)
    if loss is None:
        require_shape(ball.where, "target", target, (ball.batch,), "(B,)")
    best = Best(input, ball.axis, loss, target)
    with torch.no_grad():
        best.see(input, model(input))
    x = input if start is None else ball.inside(start)
    for _ in range(steps):
        gradient = best.gradient(model, x)
        x = ball.inside(x.double() - ball.center + reach * ball.direction(gradient))
    with torch.no_grad():
        best.see(x, model(x))
    return best


def empirical_accuracy(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str,
    radii: Sequence[float],
    steps: int,
    step_size: float | None = None,
    restarts: int = 1,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    low: float | None = None,
    high: float | None = None,
    attack: Callable[..., Tensor] = pgd,
) -> Tensor:
    """Share of samples that are right and stay so under attack, at each radius.

    A sample that falls at one radius counts as fallen at every larger one, whose ball holds the
    same input. So the result never rises with the radius, and is never below what a certificate
    says. No answer with a NaN logit is right.

    Args:
        model: As :func:`pgd` takes it, and so are all arguments not listed here.
        input: The clean inputs.
        target: Their classes, (B,).
        norm: ``"linf"`` or ``"l2"``.
        radii: At least 0; at 0 it is the accuracy as usual.
        steps: Gradients of each attack.
        step_size: 2.5 times the radius over the steps if None.
        restarts: Attacks on a sample at each radius, from random starts.
        batch_size: Samples attacked at a time.
        generator: Of the random starts.
        low: Smallest value of an input.
        high: Largest one.
        attack: What attacks, with the signature of :func:`pgd`.

    Returns:
        The accuracies, in the order of ``radii``, float64.

    Raises:
        ValueError: If a shape or value does not fit.
    """
    require_positive_int("empirical_accuracy", "restarts", restarts)
    require_positive_int("empirical_accuracy", "batch_size", batch_size)
    axis = batch_axis(model)
    order = sorted(range(len(radii)), key=lambda i: radii[i])
    counts = torch.zeros(len(radii), dtype=torch.float64)
    for index in torch.split(torch.arange(len(target), device=target.device), batch_size):
        x, y = input.index_select(axis, index), target[index]
        standing = classify(model, x) == y
        for place in order:
            r = radii[place]
            for _ in range(restarts if r != 0 else 0):
                if not standing.any():
                    break
                left = standing.nonzero().squeeze(1)
                found = attack(
                    model,
                    x.index_select(axis, left),
                    y[left],
                    norm=norm,
                    radius=r,
                    steps=steps,
                    step_size=2.5 * r / steps if step_size is None else step_size,
                    generator=generator,
                    low=low,
                    high=high,
                )
                standing[left] = classify(model, found) == y[left]
            counts[place] += standing.sum().item()
    return counts / len(target)
