"""Type aliases shared by the package."""

from collections.abc import Callable

import torch
from torch import Tensor

Device = torch.device | str | int | None
"""What torch accepts as a device."""

VectorField = Callable[[Tensor], Tensor]
"""Right-hand side of an autonomous differential equation, ``h -> dh/dt``."""
