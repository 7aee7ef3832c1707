"""What attacks share: the ball that inputs stay in, and the best input met."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lipschitz_rnn._base.checks import require_choice, require_floating, require_shape

NORMS = ("linf", "l2")
"""Balls that perturbations are kept in: of every number alone, or of a sample's whole sequence."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Answers and target to one loss for each sample, (B,)."""

NO_CLASS = -1
"""Of logits that are not numbers."""

_CLOSER = 1 - 1e-12  # what norms in float64 may be off by themselves


def batch_axis(model: nn.Module) -> int:
    """Axis of the samples in a model's input."""
    return 0 if getattr(getattr(model, "rnn", model), "batch_first", True) else 1


def classes_of(answers: Tensor) -> Tensor:
    """The classes of logits (..., C); ``NO_CLASS``, which is never right, where one is NaN."""
    # argmax would take a NaN for the largest
    return answers.argmax(-1).where(~answers.isnan().any(-1), NO_CLASS)


def classify(model: nn.Module, input: Tensor) -> Tensor:
    """The predicted classes, (B,)."""
    with torch.no_grad():
        return classes_of(model(input))


def require_box(
    where: str, input: Tensor, low: float | None, high: float | None
) -> tuple[float, float]:
    """The bounds as numbers; raise ``ValueError`` unless the input lies between them."""
    # compared in the input's dtype: float32's 0.1, though above 0.1, is not above a bound of 0.1
    below, above = (-math.inf if low is None else low), (math.inf if high is None else high)
    if bool(((input < below) | (input > above)).any()):
        raise ValueError(
            f"{where}: expected `input` between low={low} and high={high}, got values from "
            f"{input.min().item():g} to {input.max().item():g}."
        )
    return below, above


def inner_box(clean: Tensor, dtype: torch.dtype, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Between which float64 each number may be moved: numbers of the dtype, within the box."""
    ends = clean.new_tensor([low, high], dtype=torch.float64)
    near = ends.to(dtype)
    outside = torch.stack((near[0].double() < ends[0], near[1].double() > ends[1]))
    inner = torch.nextafter(near, near.new_tensor([math.inf, -math.inf])).where(outside, near)
    clean = clean.double()  # which may be outside by the rounding that require_box admits
    return torch.minimum(clean, inner[0].double()), torch.maximum(clean, inner[1].double())


class Ball:
    """A ball around each sample, cut by a box; all in float64."""

    def __init__(
        self,
        where: str,
        model: nn.Module,
        input: Tensor,
        norm: str,
        radius: float | Tensor,
        low: float | None,
        high: float | None,
    ) -> None:
        require_choice(where, "norm", norm, NORMS)
        require_floating(where, "input", input)
        below, above = require_box(where, input, low, high)
        self.where = where
        self.norm, self.low, self.high, self.dtype = norm, below, above, input.dtype
        self.center = input.detach().double()
        self.box = inner_box(self.center, input.dtype, below, above)
        self.axis = batch_axis(model)
        self.batch = input.shape[self.axis]
        self.radius = self.column("radius", radius)

    def column(self, name: str, value: float | Tensor) -> Tensor:
        """One number for each sample, ready to broadcast against the input."""
        numbers = torch.as_tensor(value, dtype=torch.float64, device=self.center.device)
        if numbers.dim():
            require_shape(self.where, name, numbers, (self.batch,), "(B,)")
        if not bool(((numbers >= 0) & numbers.isfinite()).all()):
            raise ValueError(
                f"{self.where}: expected a finite `{name}` of at least 0, got {value}."
            )
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

    def corner(self, generator: torch.Generator | None) -> Tensor:
        """As far from the center as the ball goes: a random corner of the cube, or a direction."""
        device = self.center.device if generator is None else generator.device
        shape = self.center.shape
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=device)
        return self.radius * self.direction(drawn.to(self.center.device))

    def inside(self, moved: Tensor) -> Tensor:
        """The nearest allowed input, in its own dtype."""
        radius = self.radius * _CLOSER
        if self.norm == "linf":
            moved = moved.clamp(-radius, radius)
        else:
            length = self.length(moved)
            moved = moved * (radius / length.where(length > radius, radius)).nan_to_num(0.0)
        # cutting moves towards the clean input, which is in the box
        rounded = (self.center + moved).clamp(*self.box).to(self.dtype)
        too_far = (rounded.double() - self.center).abs() > moved.abs()
        return torch.nextafter(rounded, self.center.to(self.dtype)).where(too_far, rounded)


class Best:
    """The best input met for each sample."""

    def __init__(self, input: Tensor, axis: int, loss: Loss | None, target: Tensor) -> None:
        self.input, self.axis = input.detach().clone(), axis
        self.loss, self.target = loss, target
        self.losses: list[Tensor] = []  # of all inputs seen, (B,) each
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
            wrong = classes_of(answers.detach()) != self.target
        else:
            losses = self.loss(answers, self.target)
            wrong = torch.zeros_like(losses, dtype=torch.bool)
        values = losses.detach()
        self.losses.append(values)
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
