"""Two runs, equal but for the times."""

import json
from pathlib import Path

from lipschitz_rnn.training import load_checkpoint


class Stop(Exception):
    """Raised by a hook to interrupt a run."""


def without_times(folder: Path):
    """Everything in a run folder but the times."""
    content = {"config": (folder / "config.toml").read_text()}
    for name in ("last", "best"):
        tensors, meta = load_checkpoint(folder / f"{name}.safetensors")
        for key in (
            "epoch_seconds",
            "train_seconds",
            "wall_seconds",
            "record_length",
            "record_digest",
            "sessions",
        ):
            meta["content"].pop(key, None)
        meta["data"].pop("input_dtype", None)  # of files, whose samples are the same in memory
        content[name] = {key: value.numpy().tobytes() for key, value in tensors.items()}, meta
    lines = [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("time", None)
    summary = json.loads((folder / "summary.json").read_text())
    summary.pop("time")
    return content | {"record": lines, "summary": summary}


def assert_same_run(one: Path, other: Path):
    one, other = without_times(one), without_times(other)
    for name in one:
        assert one[name] == other[name], name
