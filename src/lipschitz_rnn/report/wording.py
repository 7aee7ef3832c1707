"""How numbers and settings are written in a report."""

import math
from typing import Any

Rows = tuple[tuple[str, str], ...]
"""Terms and what is said of each, in order."""


def number(value: float | None) -> str:
    """Four digits; ``"none"`` where there is no number."""
    if value is None or math.isnan(value):
        return "none"
    value += 0.0  # which turns -0 into 0
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """A time in the two largest of its units.

    Args:
        seconds: At least 0.

    Returns:
        Text.

    Examples:
        >>> duration(7292.5), duration(75), duration(3.21)
        ('2 h 2 min', '1 min 15 s', '3.2 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def setting(value: Any) -> str:
    """A setting as TOML users know it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(setting(item) for item in value) + "]"
    return "unset" if value is None else str(value)
