"""Random changes of the values of an input."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_floating, require_in_range


@dataclass(frozen=True, eq=False)
class Perturbed:
    """A batch of sequences after a change.

    Attributes:
        input: The sequences, in the layout they came in.
        dt: For how long each input is held, in the layout of the input: what was given if the
            change left times alone, None if none was given.
    """

    input: Tensor
    dt: float | Tensor | None = None


def white_noise(
    input: Tensor,
    std: float,
    generator: torch.Generator,
    *,
    dt: float | Tensor | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Perturbed:
    r"""Add independent Gaussian noise to every number.

    .. math:: \tilde x = x + \sigma z, \qquad z \sim \mathcal N(0, 1)

    The result is not clipped: it leaves the range of the data, unless ``low`` or ``high`` says
    where to cut.

    Args:
        input: The clean inputs, of any shape.
        std: σ, at least 0, in units of the input.
        generator: Of the noise.
        dt: Handed on.
        low: What smaller results are set to; None leaves them.
        high: Likewise for larger ones.

    Returns:
        The noisy inputs.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If the standard deviation is negative or not finite.

    Examples:
        >>> generator = torch.Generator().manual_seed(0)
        >>> noise = white_noise(torch.zeros(100, 100, 1), 0.5, generator).input
        >>> round(noise.std().item(), 2)
        0.5
    """
    require_floating("white_noise", "input", input)
    require_in_range("white_noise", "std", std, 0)
    noise = torch.randn(
        input.shape, generator=generator, dtype=precision(input), device=generator.device
    )
    noisy = input + (std * noise).to(input)
    if low is not None or high is not None:
        noisy = noisy.clamp(low, high)
    return Perturbed(noisy, dt)


def salt_and_pepper(
    input: Tensor,
    share: float,
    generator: torch.Generator,
    low: float,
    high: float,
    *,
    dt: float | Tensor | None = None,
) -> Perturbed:
    """Replace numbers at random by the smallest or the largest value.

    Each number is replaced with probability ``share``, independently of the others; by ``low`` or
    by ``high``, with probability 1/2 each. So the share that is replaced varies around ``share``.

    Args:
        input: The clean inputs, of any shape.
        share: Probability, in [0, 1].
        generator: Of the choices.
        low: Pepper.
        high: Salt.
        dt: Handed on.

    Returns:
        The inputs with replaced numbers.

    Raises:
        TypeError: If the input does not hold floating-point numbers.
        ValueError: If ``share`` is no probability, or ``low`` above ``high``.

    Examples:
        >>> generator = torch.Generator().manual_seed(0)
        >>> grey = torch.full((1, 8), 0.5)
        >>> salt_and_pepper(grey, 0.5, generator, 0.0, 1.0).input
        tensor([[0.0000, 0.5000, 0.0000, 0.0000, 0.0000, 0.5000, 0.0000, 0.5000]])
    """
    where = "salt_and_pepper"
    require_floating(where, "input", input)
    require_in_range(where, "share", share, 0, 1)
    require_in_range(where, "low", low, -float("inf"), high)
    drawn = torch.rand(
        2, *input.shape, generator=generator, dtype=precision(input), device=generator.device
    ).to(input.device)
    grain = torch.full_like(input, high).masked_fill(drawn[1] < 0.5, low)
    return Perturbed(grain.where(drawn[0] < share, input), dt)


def precision(input: Tensor) -> torch.dtype:
    """What to draw random numbers and times in: half precision is too coarse."""
    dtype = input.dtype if input.is_floating_point() else torch.get_default_dtype()
    return torch.promote_types(dtype, torch.float32)
