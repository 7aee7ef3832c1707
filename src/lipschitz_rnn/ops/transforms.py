"""Whether a caller differentiates in a way that only plain PyTorch can follow."""

import torch


def is_transformed() -> bool:
    """Whether a functorch transform or forward-mode differentiation is under way."""
    # Both are private in torch: this is the one place that asks them.
    return bool(
        torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0
    )
