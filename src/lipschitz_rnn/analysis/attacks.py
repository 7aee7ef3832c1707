"""Attacks on a model's input: what robustness is measured against."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.checks import (
    require_choice,
    require_floating,
    require_positive_int,
    require_shape,
)

NORMS = ("linf", "l2")
"""Balls that perturbations are kept in: of every number alone, or of a sample's whole sequence."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Answers and target to one loss for each sample, (B,)."""

_CLOSER = 1 - 1e-12  # what norms in float64 may be off by themselves


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
    exceeded in the input's dtype either. The model is run in the mode it is in; its parameters and
    their gradients are left alone.

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
    ball = _Ball(model, input, norm, radius, low, high)
    require_positive_int("pgd", "steps", steps)
    reach = ball.column("step_size", step_size)
    if loss is None:
        require_shape("pgd", "target", target, (ball.batch,), "(B,)")
    best = _Best(input, ball.axis, loss, target)
    with torch.no_grad():
        best.see(input, model(input))
    x = ball.inside(ball.random(generator)) if random_start else input
    for _ in range(steps):
        gradient = best.gradient(model, x)
        x = ball.inside(x.double() - ball.center + reach * ball.direction(gradient))
    with torch.no_grad():
        best.see(x, model(x))
    return best.input


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
    says.

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
    axis = _batch_axis(model)
    order = sorted(range(len(radii)), key=lambda i: radii[i])
    counts = torch.zeros(len(radii), dtype=torch.float64)
    for index in torch.split(torch.arange(len(target), device=target.device), batch_size):
        x, y = input.index_select(axis, index), target[index]
        standing = _is_right(model, x, y)
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
                standing[left] = _is_right(model, found, y[left])
            counts[place] += standing.sum().item()
    return counts / len(target)


def _is_right(model: nn.Module, input: Tensor, target: Tensor) -> Tensor:
    with torch.no_grad():
        right: Tensor = model(input).argmax(-1) == target
    return right


def _batch_axis(model: nn.Module) -> int:
    return 0 if getattr(getattr(model, "rnn", model), "batch_first", True) else 1


class _Ball:
    """A ball around each sample, cut by a box; all in float64."""

    def __init__(
        self,
        model: nn.Module,
        input: Tensor,
        norm: str,
        radius: float | Tensor,
        low: float | None,
        high: float | None,
    ) -> None:
        require_choice("pgd", "norm", norm, NORMS)
        require_floating("pgd", "input", input)
        below, above = (-math.inf if low is None else low), (math.inf if high is None else high)
        if bool(((input < below) | (input > above)).any()):
            raise ValueError(
                f"pgd: expected `input` between low={low} and high={high}, got values from "
                f"{input.min().item():g} to {input.max().item():g}."
            )
        self.norm, self.low, self.high, self.dtype = norm, below, above, input.dtype
        self.center = input.detach().double()
        self.axis = _batch_axis(model)
        self.batch = input.shape[self.axis]
        self.radius = self.column("radius", radius)

    def column(self, name: str, value: float | Tensor) -> Tensor:
        """One number for each sample, ready to broadcast against the input."""
        numbers = torch.as_tensor(value, dtype=torch.float64, device=self.center.device)
        if numbers.dim():
            require_shape("pgd", name, numbers, (self.batch,), "(B,)")
        if not bool(((numbers >= 0) & numbers.isfinite()).all()):
            raise ValueError(f"pgd: expected a finite `{name}` of at least 0, got {value}.")
        shape = [1] * self.center.dim()
        shape[self.axis] = self.batch
        return numbers.expand(self.batch).reshape(shape)

    def length(self, x: Tensor, order: float = 2) -> Tensor:
        """Norm of each sample, ready to broadcast."""
        others = [axis for axis in range(x.dim()) if axis != self.axis]
        norm: Tensor = torch.linalg.vector_norm(x, order, others, keepdim=True)
        return norm

    def direction(self, gradient: Tensor) -> Tensor:
        """Of the steepest ascent; none where the gradient is zero or not finite."""
        gradient = gradient.double().nan_to_num(0.0, 0.0, 0.0)
        if self.norm == "linf":
            return gradient.sign()
        largest = self.length(gradient, math.inf)  # so that no squares of small numbers vanish
        gradient = gradient / largest.where(largest > 0, 1.0)
        return gradient / self.length(gradient).clamp_min(1.0)  # at least 1, unless it is zero

    def random(self, generator: torch.Generator | None) -> Tensor:
        """Uniform in the ball."""
        device = self.center.device if generator is None else generator.device
        shape = self.center.shape
        if self.norm == "linf":
            drawn = torch.rand(shape, generator=generator, dtype=torch.float64, device=device)
            return self.radius * (2 * drawn.to(self.center.device) - 1)
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=device)
        share = torch.rand(self.batch, generator=generator, dtype=torch.float64, device=device)
        share = self.column("share", share) ** (max(self.batch, 1) / max(shape.numel(), 1))
        return self.radius * share * self.direction(drawn.to(self.center.device))

    def inside(self, moved: Tensor) -> Tensor:
        """The nearest allowed input, in its own dtype."""
        radius = self.radius * _CLOSER
        if self.norm == "linf":
            moved = moved.clamp(-radius, radius)
        else:
            length = self.length(moved)
            moved = moved * (radius / length.where(length > radius, radius)).nan_to_num(0.0)
        # cutting moves towards the clean input, which is in the box
        rounded = (self.center + moved).clamp(self.low, self.high).to(self.dtype)
        too_far = (rounded.double() - self.center).abs() > moved.abs()
        return torch.nextafter(rounded, self.center.to(self.dtype)).where(too_far, rounded)


class _Best:
    """The best input met for each sample."""

    def __init__(self, input: Tensor, axis: int, loss: Loss | None, target: Tensor) -> None:
        self.input, self.axis = input.detach().clone(), axis
        self.loss, self.target = loss, target
        self.rank: tuple[Tensor, Tensor] | None = None

    def gradient(self, model: nn.Module, x: Tensor) -> Tensor:
        """Of the loss at x, which is noted on the way."""
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            answers = model(x)
            losses = self.see(x, answers)
            (gradient,) = torch.autograd.grad(losses.sum(), x)
        return gradient

    def see(self, x: Tensor, answers: Tensor) -> Tensor:
        """Keep the samples that are better than those so far; the losses, (B,)."""
        if self.loss is None:
            losses = functional.cross_entropy(answers, self.target, reduction="none")
            wrong = answers.detach().argmax(-1) != self.target
        else:
            losses = self.loss(answers, self.target)
            wrong = torch.zeros_like(losses, dtype=torch.bool)
        values = losses.detach()
        if self.rank is None:
            self.rank = wrong, values
            return losses
        fallen, highest = self.rank
        better = (wrong & ~fallen) | ((wrong == fallen) & (values > highest))
        self.rank = wrong.where(better, fallen), values.where(better, highest)
        shape = [1] * x.dim()
        shape[self.axis] = len(better)
        self.input = x.detach().where(better.reshape(shape), self.input)
        return losses
