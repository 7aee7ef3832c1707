"""DeepFool: about the smallest perturbation of each input that changes its class."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import (
    require_choice,
    require_floating,
    require_in_range,
    require_positive_int,
    require_shape,
)
from lipschitz_rnn.analysis.ball import (
    NO_CLASS,
    NORMS,
    batch_axis,
    classes_of,
    inner_box,
    require_box,
)

_Box = tuple[Tensor, Tensor]  # ends for each number


@dataclass(frozen=True, eq=False)
class DeepFoolResult:
    """Where each input was moved to, and how far that is.

    Attributes:
        input: The moved inputs; the clean ones where no other class was reached.
        distances: How far they were moved, over all times and features of a sample, (B,), float64;
            inf where no other class was reached.
        predicted: Classes of the clean inputs, (B,); -1 where logits are NaN.
        reached: Classes of the moved inputs, (B,).
        steps: Linearisations taken, (B,).
    """

    input: Tensor
    distances: Tensor
    predicted: Tensor
    reached: Tensor
    steps: Tensor


def deepfool(
    model: nn.Module,
    input: Tensor,
    *,
    norm: str = "l2",
    steps: int = 50,
    overshoot: float = 0.02,
    refine: int = 10,
    low: float | None = None,
    high: float | None = None,
    batch_size: int = 256,
) -> DeepFoolResult:
    r"""Step to the nearest boundary of the linearised model until the class changes.

    .. math:: l = \arg\min_{k \ne y} \frac{|f_k - f_y|}{\|w_k\|_q}, \qquad
        x \leftarrow x + (1 + \eta) \frac{|f_l - f_y|}{\|w_l\|_q}\, d(w_l), \qquad
        w_k = \nabla_x (f_k - f_y)

    with y the predicted class of the clean input, q = 2 and d(w) = w / ‖w‖₂ for l2, q = 1 and
    d(w) = sign(w) for linf, and η the overshoot. It lengthens each step, and so the sum of them,
    and the class is looked at there. Numbers at an end of the box have no part in a step that would
    take them out of it. Last, the class is looked at between the clean and the moved input, and the
    nearest point found that has another one, by bisection.

    The distance is an upper bound on that to the nearest input of another class. For a linear model
    without a box it is that distance, up to the last bisection and rounding; for others it need not
    be, as all attacks. A class is what the model computes for a batch: it may be another one in
    batches of another size, as close to the boundary as rounding goes. The ends of the box are
    rounded as :func:`pgd` rounds them. The model is run in the mode it is in; its parameters and
    their gradients are left alone.

    Args:
        model: Answers a batch of inputs with logits, (B, C). Samples lie along the first axis, or
            along the second of a recurrent model without ``batch_first``.
        input: The clean inputs.
        norm: ``"l2"`` or ``"linf"``: what is small.
        steps: Linearisations of each sample at most; each costs C gradients.
        overshoot: η, at least 0; at 0 rounding decides on which side of a boundary a step ends.
        refine: Bisections, at least 0: forward passes that leave 2^-refine of the distance open.
        low: Inputs stay at or above it; the clean ones must lie there already.
        high: Likewise, at or below it.
        batch_size: Samples moved at a time.

    Returns:
        The moved inputs and their distances. No other class is reached where the gradients of all
        margins are zero or not finite, or the steps did not suffice.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If a shape or value does not fit.

    Examples:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        >>> found = deepfool(model, torch.tensor([[1.0, 0.5]]), refine=20)  # margin 5, slope 5
        >>> round(float(found.distances), 4)
        1.0

    References:
        Moosavi-Dezfooli, Fawzi, Frossard (2016), DeepFool: a simple and accurate method to fool
        deep neural networks, CVPR, algorithm 2 and sec. 3.3 for other norms.
    """
    where = "deepfool"
    require_choice(where, "norm", norm, NORMS)
    require_floating(where, "input", input)
    require_positive_int(where, "steps", steps)
    require_positive_int(where, "batch_size", batch_size)
    require_in_range(where, "overshoot", overshoot, 0)
    if refine != 0:
        require_positive_int(where, "refine", refine)
    box = require_box(where, input, low, high)
    axis = batch_axis(model)
    samples = input.detach().movedim(axis, 0)
    found = []
    for part in torch.split(samples, batch_size):
        walk = _Walk(model, axis, part.shape[1:], part.dtype, norm, 1 + overshoot, box)
        found.append(walk.run(_rows(part), steps, refine))
    moved, predicted, reached, taken = (torch.cat(parts) for parts in zip(*found, strict=True))
    moved = moved.reshape(samples.shape).to(input.dtype)
    away = _rows(moved) - _rows(samples)
    distances = torch.linalg.vector_norm(away, 2 if norm == "l2" else math.inf, 1)
    distances = distances.where(_fell(reached, predicted), math.inf)
    return DeepFoolResult(moved.movedim(0, axis), distances, predicted, reached, taken)


def _rows(samples: Tensor) -> Tensor:
    return samples.double().unsqueeze(-1).flatten(1)  # (B, 1) if a sample is a single number


def _fell(reached: Tensor, predicted: Tensor) -> Tensor:
    return (reached != predicted) & (reached != NO_CLASS) & (predicted != NO_CLASS)


def _blocked(x: Tensor, w: Tensor, box: _Box) -> Tensor:
    """Numbers at an end of the box that w would take out of it."""
    low, high = box
    return ((x <= low) & (w < 0)) | ((x >= high) & (w > 0))


@dataclass(frozen=True, eq=False)
class _Walk:
    """Samples as flat rows in float64, (B, D), whatever the model takes."""

    model: nn.Module
    axis: int
    shape: torch.Size  # of one sample
    dtype: torch.dtype
    norm: str
    stretch: float  # 1 + overshoot
    box: tuple[float, float]

    def run(self, clean: Tensor, steps: int, refine: int) -> tuple[Tensor, ...]:
        """Moved samples, classes before and after, and steps taken."""
        predicted, (low, high) = self.classes(clean), inner_box(clean, self.dtype, *self.box)
        moved, taken = clean.clone(), torch.zeros_like(predicted)
        left = (predicted != NO_CLASS).nonzero().squeeze(1)
        for _ in range(steps):
            if not len(left):
                break
            step = self.step(moved[left], predicted[left], (low[left], high[left]))
            useful = step.any(1)
            left, step = left[useful], step[useful]
            moved[left] = (moved[left] + self.stretch * step).clamp(low[left], high[left])
            taken[left] += 1
            left = left[~_fell(self.classes(moved[left]), predicted[left])]
        return *self.shrink(clean, moved, predicted, refine, (low, high)), taken

    def answer(self, x: Tensor) -> Tensor:
        """Logits, (B, C)."""
        rows = x.to(self.dtype).reshape(-1, *self.shape)
        answers: Tensor = self.model(rows.movedim(0, self.axis))
        require_shape("deepfool", "model(input)", answers, (len(x), None), "(B, C)")
        return answers

    def classes(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            answers = self.answer(x)
        return classes_of(answers)

    def step(self, x: Tensor, predicted: Tensor, box: _Box) -> Tensor:
        """To the nearest boundary of the linearised model; zero where there is none."""
        eps = torch.finfo(self.dtype).eps
        nearest = torch.full_like(x[:, 0], torch.finfo(self.dtype).max)
        step = torch.zeros_like(x)
        with torch.enable_grad():
            x = x.requires_grad_()
            answers = self.answer(x)
            own = answers.gather(1, predicted[:, None])
            for k, gap in enumerate((answers - own).unbind(1)):  # at k = y no gradient: skipped
                (w,) = torch.autograd.grad(gap.sum(), x, retain_graph=True)
                w = w.where(~_blocked(x, w, box), 0.0)
                slope = torch.linalg.vector_norm(w, 2 if self.norm == "l2" else 1, 1)
                # with what rounding may hide of the gap, so that no step is lost in it
                noise = (w * x).abs().sum(1) + answers[:, k].abs() + own[:, 0].abs()
                distance = ((gap.abs() + eps * noise) / slope).detach()
                closer = (distance < nearest) & slope.isfinite()
                way = w / slope[:, None] if self.norm == "l2" else w.sign()
                step = (distance[:, None] * way).where(closer[:, None], step)
                nearest = distance.where(closer, nearest)
        return step.detach()

    def shrink(
        self, clean: Tensor, moved: Tensor, predicted: Tensor, refine: int, box: _Box
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The nearest sample found between clean and moved that has another class, or the clean."""
        reached = self.classes(moved)
        kept, enough = torch.zeros_like(moved[:, :1]), torch.ones_like(moved[:, :1])
        for _ in range(refine):
            share = (kept + enough) / 2
            there = self.classes(torch.lerp(clean, moved, share).clamp(*box))
            fell = _fell(there, predicted)
            reached = there.where(fell, reached)
            kept, enough = share.where(~fell[:, None], kept), share.where(fell[:, None], enough)
        nearest = torch.lerp(clean, moved, enough).clamp(*box)
        return nearest.where(_fell(reached, predicted)[:, None], clean), predicted, reached
