"""The fast gradient sign method: one step of full length along the gradient of the loss."""

from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.analysis.ball import Ball, Best, Loss


def fgsm(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    norm: str = "linf",
    radius: float | Tensor,
    low: float | None = None,
    high: float | None = None,
    loss: Loss | None = None,
) -> Tensor:
    r"""Move each input to the edge of its ball, along the gradient of the loss there.

    .. math:: x + r\, d(\nabla_x \ell), \qquad
        d_\infty(g) = \operatorname{sign}(g), \quad d_2(g) = g / \|g\|_2

    It is the best move there is where the loss is linear within the ball, and a weak attack where
    it is not: robustness is measured with :func:`lipschitz_rnn.analysis.pgd`, and this is what that
    has to beat. The model's mode, parameters and their gradients are left alone.

    Args:
        model: As :func:`lipschitz_rnn.analysis.pgd` takes it.
        input: The clean inputs.
        target: Their classes, (B,), or what ``loss`` takes.
        norm: ``"linf"``: every number is moved by at most the radius; ``"l2"``: every sample is,
            over all times and features together.
        radius: At least 0: one for all samples, or (B,).
        low: Inputs stay at or above it; the clean ones must lie there already.
        high: Likewise, at or below it.
        loss: What is raised, a number for each sample; the cross-entropy if None.

    Returns:
        The moved inputs, also where moving them lowered the loss. Those whose gradient is zero or
        not finite stay.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If a shape or value does not fit.

    Examples:
        >>> import torch
        >>> model = nn.Linear(2, 2, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.eye(2))
        >>> fgsm(model, torch.tensor([[1.0, 0.5]]), torch.tensor([0]), radius=0.5)
        tensor([[0.5000, 1.0000]])

    References:
        Goodfellow, Shlens, Szegedy (2015), Explaining and harnessing adversarial examples, ICLR,
        sec. 4; its normalised gradient for l2 is that of Miyato, Dai, Goodfellow (2017),
        Adversarial training methods for semi-supervised text classification, ICLR, sec. 3.
    """
    ball = Ball("fgsm", model, input, norm, radius, low, high)
    if loss is None:
        require_shape("fgsm", "target", target, (ball.batch,), "(B,)")
    gradient = Best(input, ball.axis, loss, target).gradient(model, input)
    return ball.inside(ball.radius * ball.direction(gradient))
