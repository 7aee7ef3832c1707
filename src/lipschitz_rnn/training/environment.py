"""Where a run ran: commit, versions, hardware, threads."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lipschitz_rnn.nn import unit_options
from lipschitz_rnn.ops import BackendChoice, explain_backend, explain_kernel
from lipschitz_rnn.training.config import ModelConfig

_TORCH = ("rnn", "gru", "lstm")
_ONE_SCAN = ("lipschitz", "residual", "antisymmetric")
_PACKAGES = ("torch", "numpy", "safetensors")


def describe_environment() -> dict[str, Any]:
    """Everything about this process that can change a result or its time.

    Returns:
        A table that JSON can hold; ``commit`` is None where the package does not run from a
        repository, and ends in ``+changes`` where that repository has changes.
    """
    versions = {name: version(name) for name in _PACKAGES}
    return {
        "lipschitz_rnn": version("lipschitz-rnn"),
        "commit": _commit(),
        "python": platform.python_version(),
        **versions,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": _cores(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "kernel": explain_kernel(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def describe_backend(model: ModelConfig, input_size: int = 1, device: str = "cpu") -> BackendChoice:
    """Which backend runs the recurrence of a unit, and why the others do not.

    Args:
        model: The unit.
        input_size: P, its input features.
        device: Where it runs; the kernel is for the CPU.

    Returns:
        The choice: ``"torch"`` for torch's own layers; ``"reference"`` for units that are looped
        over in Python.
    """
    if model.unit in _TORCH:
        return BackendChoice("torch", {})
    options = unit_options(model.unit) | model.options
    gated = options.get("gated") or model.unit.endswith("-gated")
    if gated or model.unit not in _ONE_SCAN or device != "cpu":
        return BackendChoice("reference", {})
    size = model.hidden_size
    square, state = torch.zeros(size, size), torch.zeros(1, size)
    return explain_backend(
        torch.zeros(1, 1, input_size),
        state,
        square if options.get("alpha") else None,
        square,
        torch.zeros(size, input_size),
        state[0],
        step_size=options["step_size"],
        method=options["method"],
        nonlinearity=options.get("nonlinearity", "tanh"),
        substeps=options.get("substeps", 1),
    )


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit this file is part of, if it is tracked by git."""
    here = Path(__file__)
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = _git(here.parent, "rev-parse", "HEAD")
    changes = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
