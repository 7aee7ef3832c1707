"""Files of earlier releases, read as if this one had written them."""

from typing import Any


def upgrade_data(data: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint keeps of its samples; there were only classes once.

    Args:
        data: As it was read.

    Returns:
        With ``output_size`` and ``kind``.
    """
    if "num_classes" not in data:
        return data
    rest = {key: value for key, value in data.items() if key != "num_classes"}
    return {**rest, "output_size": data["num_classes"], "kind": "classes"}


def upgrade_totals(totals: dict[str, Any]) -> dict[str, Any]:
    """Running sums; every answer was a sample of its own once.

    Args:
        totals: As they were read.

    Returns:
        With ``samples``.
    """
    return {"samples": totals["count"], **totals}


def upgrade_summary(table: dict[str, Any]) -> dict[str, Any]:
    """A summary; samples were called sequences, and the only metric was accuracy.

    Args:
        table: As it was read; changed.

    Returns:
        The same.
    """
    times = table["time"]
    if "sequences_per_second" in times:
        times["samples_per_second"] = times.pop("sequences_per_second")
    table.setdefault("metric", "accuracy")
    return table
