"""The authors' initialisers, with their scaling convention."""

import torch
from torch import Tensor, nn


def scaled_normal_(
    m: Tensor, init_std: float = 0.1, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill a free matrix with :math:`M_{ij} \sim \mathcal N(0, (\mathtt{init\_std} / N)^2)`.

    The standard deviation falls as 1/N, not 1/√N: the spectra of A and W start tiny, and with a
    small step the unit starts as a near-identity map.

    Args:
        m: The free parameter of A or W, shape (N, N); overwritten.
        init_std: The numerator; 0.1 in the authors' code.
        generator: Source of randomness; torch's global one by default.

    Returns:
        ``m``.
    """
    return nn.init.normal_(m, std=init_std / m.shape[0], generator=generator)


def uniform_fan_in_(
    tensor: Tensor, fan_in: int, generator: torch.Generator | None = None
) -> Tensor:
    r"""Fill with :math:`\mathcal U(-1/\sqrt{p}, 1/\sqrt{p})`, torch's default for linear layers.

    Args:
        tensor: Input matrix or bias; overwritten.
        fan_in: p, the number of inputs.
        generator: Source of randomness; torch's global one by default.

    Returns:
        ``tensor``.
    """
    bound = fan_in**-0.5
    return nn.init.uniform_(tensor, -bound, bound, generator=generator)
