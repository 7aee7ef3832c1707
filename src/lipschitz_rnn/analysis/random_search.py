"""Random search: an attack without gradients, which one with gradients has to beat."""

import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_positive_int, require_shape
from lipschitz_rnn.analysis.ball import Ball, Best, Loss


def random_search(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str,
    radius: float | Tensor,
    tries: int,
    generator: torch.Generator | None = None,
    low: float | None = None,
    high: float | None = None,
    loss: Loss | None = None,
) -> Tensor:
    """Best of inputs drawn from where the ball ends.

    For linf they are corners of the cube, every number moved by plus or minus the radius; for l2
    they are uniform on the sphere. Then they are cut by the box. The model's mode is left alone.

    Args:
        model: As :func:`lipschitz_rnn.analysis.pgd` takes it.
        input: The clean inputs.
        target: Their classes, (B,), or what ``loss`` takes.
        norm: ``"linf"`` or ``"l2"``, the latter over all times and features of a sample.
        radius: At least 0: one for all samples, or (B,).
        tries: Inputs drawn for each sample; each costs a forward pass.
        generator: Of the draws.
        low: Inputs stay at or above it; the clean ones must lie there already.
        high: Likewise, at or below it.
        loss: What is to be high, a number for each sample; the cross-entropy if None.

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
        >>> random_search(model, clean, target, norm="linf", radius=0.5, tries=60)  # of 4 corners
        tensor([[0.5000, 1.0000]])
    """
    ball = Ball("random_search", model, input, norm, radius, low, high)
    require_positive_int("random_search", "tries", tries)
    if loss is None:
        require_shape("random_search", "target", target, (ball.batch,), "(B,)")
    best = Best(input, ball.axis, loss, target)
    with torch.no_grad():
        best.see(input, model(input))
        for _ in range(tries):
            x = ball.inside(ball.corner(generator))
            best.see(x, model(x))
    return best.input
