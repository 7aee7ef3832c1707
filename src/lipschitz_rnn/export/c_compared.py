"""A C header compiled, and compared with its model."""

import copy
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_COMPILERS = ("cc", "gcc", "clang")
_STEPS = 7

_PROGRAM = """
#include <stdio.h>
#include "model.h"

static int read_numbers(NAME_real *into, int count) {
  double value;
  for (int i = 0; i < count; i++) {
    if (scanf("%lf", &value) != 1) return 0;
    into[i] = (NAME_real)value;
  }
  return 1;
}

static void write_numbers(const NAME_real *from, int count) {
  for (int i = 0; i < count; i++) printf("%.17g\\n", (double)from[i]);
}

int main(void) {
  NAME_real state[UPPER_STATE], input[UPPER_INPUTS], dt;
  NAME_reset(state);
  while (read_numbers(input, UPPER_INPUTS) && read_numbers(&dt, 1)) {
    NAME_step(state, input, dt);
    write_numbers(state, UPPER_STATE);
#ifdef UPPER_ANSWERS
    NAME_real answer[UPPER_ANSWERS];
    NAME_answer(state, answer);
    write_numbers(answer, UPPER_ANSWERS);
#endif
  }
  return 0;
}
"""
"""Reads inputs, each followed by its time; writes state and answer after each."""


def compare_c(model: nn.Module, header: str, name: str = "model") -> tuple[float | None, str]:
    """How far a C header is from its model, on random inputs and times.

    Args:
        model: The model.
        header: What :func:`c_header` made of it.
        name: As it was given there.

    Returns:
        The largest difference between their answers and states, divided by the largest of the
        model's where that is above 1, and the compiler; or None, and why nothing was compared.

    Raises:
        RuntimeError: If it is more than rounding, half of the digits that the dtype has.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        return None, f"no C compiler ({', '.join(_COMPILERS)}) was found"
    inputs, known = _known(model)
    with tempfile.TemporaryDirectory() as folder:
        program = _build(Path(folder), compiler, header, name)
        if program is None:
            return None, f"{compiler} could not compile it"
        text = "\n".join(repr(number) for number in inputs.ravel().tolist())
        done = subprocess.run([program], input=text.encode(), stdout=subprocess.PIPE, check=True)
    found = np.array(done.stdout.split(), np.float64)
    difference = float("inf")
    if found.size == known.size:
        scale = max(1.0, float(np.abs(known).max()))
        difference = float(np.abs(found.reshape(known.shape) - known).max()) / scale
    if not difference <= np.finfo(known.dtype).eps ** 0.5:
        raise RuntimeError(
            f"the C header of a {type(model).__name__} differs from the model by {difference:.3g}; "
            "nothing was written. Please report it."
        )
    return difference, Path(compiler).name


def _build(folder: Path, compiler: str, header: str, name: str) -> Path | None:
    """The program that steps through its input; None if it does not compile."""
    (folder / "model.h").write_text(header)
    source, program = folder / "main.c", folder / "main.exe"
    source.write_text(_PROGRAM.replace("NAME", name).replace("UPPER", name.upper()))
    command = [compiler, "-std=c99", str(source), "-o", str(program), "-lm"]
    done = subprocess.run(command, capture_output=True, check=False)
    return program if done.returncode == 0 else None


def _known(model: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    """Inputs with a time each, (T, P + 1); states of all layers and answers, (T, L H + Q)."""
    is_double = next(model.parameters()).dtype == torch.float64
    dtype = torch.float64 if is_double else torch.float32  # the header's, of half precision too
    twin: nn.Module = copy.deepcopy(model).to("cpu", dtype).eval()
    layer: Any = getattr(twin, "rnn", twin)
    random = torch.Generator().manual_seed(0)
    input = torch.randn(_STEPS, layer.input_size, generator=random, dtype=dtype)
    dt = 0.5 + torch.rand(_STEPS, generator=random, dtype=dtype) / 2
    rows: list[Tensor] = []
    state: Tensor | None = None
    with torch.no_grad():
        for now, time in zip(input, dt.tolist(), strict=True):
            output, state = layer.step(now, state, time)
            answer = [] if layer is twin else [twin.head(output)]  # type: ignore[operator]
            rows.append(torch.cat((state.flatten(), *answer)))
    return torch.cat((input, dt.unsqueeze(1)), 1).numpy(), torch.stack(rows).numpy()
