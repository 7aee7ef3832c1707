"""Changes of a model's weights: noise, fewer bits, zeros; always of a copy.

They act on the trainable parameters as they are stored: behind a parametrization on the free matrix
M, not on the A or W made from it, as second derivatives of the loss are taken too.
"""

import copy
import math
from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import nn

from lipschitz_rnn._base.checks import nearest, require_in_range, require_positive_int

Model = TypeVar("Model", bound=nn.Module)


def noise_weights(
    model: Model,
    relative: float,
    generator: torch.Generator,
    names: Iterable[str] | None = None,
) -> Model:
    r"""Copy a model and add Gaussian noise to its weights, in proportion to each tensor's size.

    .. math:: \tilde\theta = \theta + s \sqrt{\tfrac1n \textstyle\sum_i \theta_i^2}\, z,
        \qquad z \sim \mathcal N(0, I)

    for each tensor θ of n numbers. One of zeros stays as it is.

    Args:
        model: Any module; it is left alone.
        relative: s, at least 0.
        generator: Of the noise, which is drawn tensor by tensor in the order of the parameters.
        names: Which trainable parameters, as in ``model.named_parameters()``; all if None.

    Returns:
        The noisy copy.

    Raises:
        ValueError: If ``relative`` is negative or not finite, or there is no such parameter.

    Examples:
        >>> model = nn.Linear(200, 200)
        >>> noisy = noise_weights(model, 0.1, torch.Generator().manual_seed(0), ["weight"])
        >>> change = noisy.weight - model.weight
        >>> round((change.norm() / model.weight.norm()).item(), 2)
        0.1
    """
    require_in_range("noise_weights", "relative", relative, 0)
    changed, weights = _copied("noise_weights", model, names)
    for weight in weights:
        noise = torch.randn(
            weight.shape, generator=generator, dtype=torch.float64, device=generator.device
        )
        size = weight.detach().double().square().mean().sqrt()
        _set(weight, weight.detach().double() + relative * size * noise.to(weight.device))
    return changed


def round_weights(model: Model, bits: int | str, names: Iterable[str] | None = None) -> Model:
    r"""Copy a model and round its weights, to integers of few bits or to bfloat16.

    .. math:: \tilde\theta = \Delta \operatorname{round}(\theta / \Delta), \qquad
        \Delta = \frac{\max_i |\theta_i|}{2^{b-1} - 1}

    with one scale Δ for each tensor, the integers being symmetric around 0. Weights stay in their
    own dtype; activations are not rounded.

    Args:
        model: Any module; it is left alone.
        bits: b, from 2 to 32; or ``"bfloat16"``, whose 8 significant bits follow the size of each
            number.
        names: Which trainable parameters, as in ``model.named_parameters()``; all if None.

    Returns:
        The rounded copy.

    Raises:
        ValueError: If ``bits`` is out of range, or there is no such parameter.

    Examples:
        >>> model = nn.Linear(3, 1, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.tensor([[1.0, 0.4, -0.7]]))
        >>> round_weights(model.requires_grad_(), 3).weight.data  # multiples of 1/3
        tensor([[ 1.0000,  0.3333, -0.6667]])

    References:
        Jacob et al. (2018), Quantization and training of neural networks for efficient
        integer-arithmetic-only inference, CVPR, sec. 2.1.
    """
    if bits != "bfloat16":
        if isinstance(bits, str):
            raise ValueError(
                f"round_weights: expected `bits` to be an integer or 'bfloat16', got {bits!r}."
            )
        require_positive_int("round_weights", "bits", bits)
        require_in_range("round_weights", "bits", bits, 2, 32)
    changed, weights = _copied("round_weights", model, names)
    for weight in weights:
        if isinstance(bits, str):
            _set(weight, weight.detach().bfloat16())
            continue
        values, levels = weight.detach().double(), 2 ** (bits - 1) - 1
        largest = values.abs().max() if values.numel() else values.sum()
        if largest > 0:
            # multiplied first, so that the largest comes out as it was
            _set(weight, (values / largest * levels).round() * largest / levels)
    return changed


def prune_weights(model: Model, share: float, names: Iterable[str] | None = None) -> Model:
    """Copy a model and set the smallest weights of each tensor to zero.

    Of a tensor of n numbers those ``floor(share * n)`` go whose magnitude is smallest; of equal
    ones the first.

    Args:
        model: Any module; it is left alone.
        share: Of the numbers of each tensor, in [0, 1].
        names: Which trainable parameters, as in ``model.named_parameters()``; all if None.

    Returns:
        The pruned copy.

    Raises:
        ValueError: If ``share`` is not in [0, 1], or there is no such parameter.

    Examples:
        >>> model = nn.Linear(4, 1, bias=False)
        >>> _ = model.requires_grad_(False).weight.copy_(torch.tensor([[3.0, -1.0, 2.0, -4.0]]))
        >>> prune_weights(model.requires_grad_(), 0.5).weight.data
        tensor([[ 3.,  0.,  0., -4.]])

    References:
        Han, Pool, Tran, Dally (2015), Learning both weights and connections for efficient neural
        networks, NeurIPS, sec. 3.
    """
    require_in_range("prune_weights", "share", share, 0, 1)
    changed, weights = _copied("prune_weights", model, names)
    for weight in weights:
        values = weight.detach().flatten()
        smallest = values.abs().argsort(stable=True)[: math.floor(share * len(values))]
        _set(weight, values.index_fill(0, smallest, 0.0).view_as(weight))
    return changed


def _copied(
    where: str, model: Model, names: Iterable[str] | None
) -> tuple[Model, list[nn.Parameter]]:
    """A copy, and those of its parameters that are to change."""
    changed = copy.deepcopy(model)
    trainable = {name: p for name, p in changed.named_parameters() if p.requires_grad}
    wanted = set(trainable if names is None else names)
    for name in sorted(wanted - trainable.keys()):
        raise ValueError(
            f"{where}: expected `names` of trainable parameters of the model, got {name!r}. "
            f"{nearest(name, trainable)}".rstrip()
        )
    return changed, [p for name, p in trainable.items() if name in wanted]


def _set(weight: nn.Parameter, values: torch.Tensor) -> None:
    with torch.no_grad():
        weight.copy_(values)
