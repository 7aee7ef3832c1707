"""A trained model as one C header: weights and a step, for embedded use.

The text is C99, and C++ as it is. It needs nothing but ``<math.h>``, allocates nothing, and keeps
its state where the caller wants it.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import nn

from lipschitz_rnn.analysis.as_written import require_as_written
from lipschitz_rnn.analysis.layers import UnitMatrices, find_units
from lipschitz_rnn.nn import SequenceRegressor
from lipschitz_rnn.ops import NONLINEARITIES

_SLOPES = {
    "tanh": "tanh{f}(x)",
    "relu": "x > 0 ? x : 0",
    "sigmoid": "1 / (1 + exp{f}(-x))",
    "softplus": "(x > 0 ? x : 0) + log1p{f}(exp{f}(x > 0 ? -x : x))",
    "sine": "sin{f}(x)",
    "identity": "x",
}
"""Each nonlinearity of x in C, where f is the suffix of functions of floats."""


def c_header(model: nn.Module, *, name: str = "model") -> str:
    r"""A model as a C header.

    .. math:: h \leftarrow \text{step}(h, x, \Delta t), \qquad y = D h + d

    It defines, with the name as a prefix, ``NAME_INPUTS``, ``NAME_STATE`` and ``NAME_ANSWERS`` (how
    many numbers there are), ``NAME_real`` (``float`` or ``double``, as the model), and

    - ``NAME_reset(state)``: the state before the first input;
    - ``NAME_step(state, input, dt)``: one input, held for ``dt`` steps; 1 where there are no times;
    - ``NAME_answer(state, answer)``: logits or numbers, after any step; not of a bare layer.

    The state holds the layers one after the other, from the input on. Sums are in another order
    than torch's, so results agree to rounding.

    Args:
        model: A :class:`SequenceClassifier` or :class:`SequenceRegressor` without an encoder, or a
            bare layer, of :class:`LipschitzRNN` or of residual or antisymmetric units; stacked or
            not, and whether it answers once or at every step.
        name: What everything is called; a C identifier.

    Returns:
        The text of the header.

    Raises:
        TypeError: If the recurrent part is of another kind.
        ValueError: If it is gated, bidirectional or has a nonlinearity of its own, the model is of
            another kind, has an encoder or drops out, a weight is not finite, or the name is no
            identifier.

    Examples:
        >>> from lipschitz_rnn import LipschitzRNN, SequenceClassifier
        >>> text = c_header(SequenceClassifier(LipschitzRNN(3, 8), 2), name="gesture")
        >>> text.splitlines()[6:9]
        ['#define GESTURE_INPUTS 3', '#define GESTURE_STATE 8', '#define GESTURE_ANSWERS 2']
    """
    where = "c_header"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{where}: expected `name` to be a C identifier, got {name!r}.")
    head, units = _read_head(where, model), find_units(model, where=where)
    for unit in units:
        _require_plain(where, unit)
    real = "double" if units[0].w.dtype == np.float64 else "float"
    sizes = [len(unit.w) for unit in units]
    parts = [_top(name, units, head, real)]
    parts += [_unit(name, i, unit, real) for i, unit in enumerate(units)]
    parts.append(_step(name, sizes))
    if head is not None:
        parts.append(_answer(name, head, sum(sizes[:-1]), sizes[-1], real))
    parts.append("#endif\n")
    return "\n".join(parts)


def _read_head(where: str, model: nn.Module) -> nn.Linear | None:
    """The head that follows the last layer's state after any step; None of a bare layer."""
    require_as_written(where, model)
    if not hasattr(model, "rnn"):
        return None
    reason = None
    # not a subclass with a forward of its own, such as one that answers from all states
    if type(model).forward is not SequenceRegressor.forward:
        reason = f"a {type(model).__name__}"
    elif not isinstance(model.encoder, nn.Identity):
        reason = f"an encoder {type(model.encoder).__name__}"
    elif not isinstance(model.head, nn.Linear):
        reason = f"a head {type(model.head).__name__}"
    elif model.training and (model.dropout or getattr(model.rnn, "dropout", False)):
        reason = "dropout in training mode; call model.eval()"
    elif not all(bool(part.isfinite().all()) for part in model.head.parameters()):
        reason = "weights of the head that are not finite"
    if reason is not None:
        raise ValueError(
            f"{where}: expected a SequenceClassifier or SequenceRegressor with a linear head and "
            f"no encoder, or a bare layer, got {reason}."
        )
    head: nn.Linear = model.head  # type: ignore[assignment]
    return head


def _require_plain(where: str, unit: UnitMatrices) -> None:
    reason = None
    if unit.gated:
        reason = "a gated unit"
    elif unit.name.endswith("_reverse"):
        reason = "a bidirectional layer, which needs the whole sequence"
    elif NONLINEARITIES.get(unit.nonlinearity.name) is not unit.nonlinearity:
        reason = f"a nonlinearity {unit.nonlinearity.name!r} that C does not know"
    elif not all(np.isfinite(part).all() for part in _numbers_of(unit)):
        reason = "weights or a step size that are not finite"
    if reason is not None:
        raise ValueError(f"{where}: expected a plain unit in one direction, got {reason}.")


def _numbers_of(unit: UnitMatrices) -> list[np.ndarray | float]:
    parts = (unit.a, unit.w, unit.u, unit.b, unit.step_size)
    return [part for part in parts if part is not None]


def _top(name: str, units: Sequence[UnitMatrices], head: nn.Linear | None, real: str) -> str:
    lines = [
        "/* A Lipschitz recurrent neural network, made by lipschitz-rnn. */",
        f"#ifndef {name.upper()}_H",
        f"#define {name.upper()}_H",
        "",
        "#include <math.h>",
        "",
        f"#define {name.upper()}_INPUTS {units[0].u.shape[1]}",
        f"#define {name.upper()}_STATE {sum(len(unit.w) for unit in units)}",
    ]
    if head is not None:
        lines.append(f"#define {name.upper()}_ANSWERS {head.out_features}")
    return "\n".join([*lines, "", f"typedef {real} {name}_real;", ""])


def _numbers(values: np.ndarray, real: str) -> str:
    """Digits that give the same number back, as C reads them."""
    digits, end = (17, "") if real == "double" else (9, "f")
    texts = (f"{float(value):.{digits}g}" for value in values.ravel())
    texts = (text if set(text) & set(".e") else f"{text}.0" for text in texts)
    return ", ".join(f"{text}{end}" for text in texts)


def _array(name: str, label: str, values: np.ndarray, real: str) -> str:
    size = "".join(f"[{n}]" for n in values.shape)
    rows = values.reshape(len(values), -1)
    body = ",\n  ".join(
        f"{{{_numbers(row, real)}}}" if values.ndim > 1 else _numbers(row, real) for row in rows
    )
    return f"static const {name}_real {name}_{label}{size} = {{\n  {body}}};"


def _combination(coefficients: Iterable[float], end: str) -> str:
    """Σ c_j k_j[i], without what is zero."""
    terms = [
        f"{c!r}{end} * k{j}[i]" if c != 1 else f"k{j}[i]"
        for j, c in enumerate(float(c) for c in coefficients)
        if c
    ]
    return " + ".join(terms)


def _unit(name: str, place: int, unit: UnitMatrices, real: str) -> str:
    """Weights, the slope and the step of one layer."""
    own, end = f"{name}_l{place}", "" if real == "double" else "f"
    size, inputs = len(unit.w), unit.u.shape[1]
    bias = np.zeros(size, unit.w.dtype) if unit.b is None else unit.b
    arrays = [("w", unit.w), ("u", unit.u), ("b", bias)]
    if unit.a is not None:
        arrays.insert(0, ("a", unit.a))
    lines = [_array(name, f"l{place}_{label}", values, real) for label, values in arrays]
    sigma = _SLOPES[unit.nonlinearity.name].format(f=end)
    linear = f"{own}_a[i][j]" if unit.a is not None else None
    lines += [
        "",
        f"static void {own}_slope(const {name}_real *h, const {name}_real *drive, "
        f"{name}_real *k) {{",
        f"  for (int i = 0; i < {size}; i++) {{",
        f"    {name}_real x = drive[i], linear = 0;",
        f"    for (int j = 0; j < {size}; j++) {{",
        f"      x += {own}_w[i][j] * h[j];",
        *([f"      linear += {linear} * h[j];"] if linear else []),
        "    }",
        f"    k[i] = linear + ({sigma});",
        "  }",
        "}",
        "",
        *_stages(name, own, unit, inputs, end),
    ]
    return "\n".join([*lines, ""])


def _stages(name: str, own: str, unit: UnitMatrices, inputs: int, end: str) -> list[str]:
    """The Runge-Kutta step of one input."""
    size, tableau = len(unit.w), unit.tableau
    stages = len(tableau.b)
    step = f"{unit.step_size / unit.substeps!r}{end} * dt"
    lines = [
        f"static void {own}_step({name}_real *h, const {name}_real *input, {name}_real dt) {{",
        f"  {name}_real drive[{size}], y[{size}], "
        + ", ".join(f"k{j}[{size}]" for j in range(stages))
        + ";",
        f"  const {name}_real step = {step};",
        f"  for (int i = 0; i < {size}; i++) {{",
        f"    drive[i] = {own}_b[i];",
        f"    for (int j = 0; j < {inputs}; j++) drive[i] += {own}_u[i][j] * input[j];",
        "  }",
        f"  for (int n = 0; n < {unit.substeps}; n++) {{",
    ]
    for j, row in enumerate([(), *tableau.a_lower]):
        moved = _combination(row, end)
        value = f"h[i] + step * ({moved})" if moved else "h[i]"
        lines.append(f"    for (int i = 0; i < {size}; i++) y[i] = {value};")
        lines.append(f"    {own}_slope(y, drive, k{j});")
    total = _combination(tableau.b, end)
    lines.append(f"    for (int i = 0; i < {size}; i++) h[i] += step * ({total});")
    return [*lines, "  }", "}"]


def _step(name: str, sizes: Sequence[int]) -> str:
    lines = [
        f"static void {name}_reset({name}_real *state) {{",
        f"  for (int i = 0; i < {name.upper()}_STATE; i++) state[i] = 0;",
        "}",
        "",
        f"static void {name}_step({name}_real *state, const {name}_real *input, {name}_real dt) {{",
    ]
    source, start = "input", 0
    for place, size in enumerate(sizes):
        lines.append(f"  {name}_l{place}_step(state + {start}, {source}, dt);")
        source, start = f"state + {start}", start + size
    return "\n".join([*lines, "}", ""])


def _answer(name: str, head: nn.Linear, start: int, size: int, real: str) -> str:
    dtype = torch.float64 if real == "double" else torch.float32
    weight = head.weight.detach().to("cpu", dtype).numpy()
    bias = torch.zeros(len(weight)) if head.bias is None else head.bias.detach()
    lines = [
        _array(name, "head", weight, real),
        _array(name, "head_bias", bias.to("cpu", dtype).numpy(), real),
        "",
        f"static void {name}_answer(const {name}_real *state, {name}_real *answer) {{",
        f"  for (int c = 0; c < {name.upper()}_ANSWERS; c++) {{",
        f"    answer[c] = {name}_head_bias[c];",
        f"    for (int j = 0; j < {size}; j++) {{",
        f"      answer[c] += {name}_head[c][j] * state[{start} + j];",
        "    }",
        "  }",
        "}",
    ]
    return "\n".join([*lines, ""])
