"""Functions of torch as nodes of ONNX, by name.

Where a function has an axis it must be counted from the last one: what torch's code does to the
sample of one step is done here to a whole sequence as well.
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export.onnx_graph import Argument, Value, graph_of


def _unary(kind: str) -> Callable[..., Value]:
    def write(x: Value, inplace: bool = False) -> Value:
        made: Value = graph_of(x).node(kind, x)
        return made

    return write


def _like(x: Argument, other: Argument) -> Argument:
    """A number in the dtype of the value that it meets."""
    is_number = isinstance(x, (int, float)) and isinstance(other, Value)
    return torch.tensor(x, dtype=other.dtype) if is_number else x


def _binary(kind: str) -> Callable[..., Value]:
    def write(x: Argument, y: Argument) -> Value:
        made: Value = graph_of(x, y).node(kind, _like(x, y), _like(y, x))
        return made

    return write


_mul, _matmul = _binary("Mul"), _binary("MatMul")


def _add(x: Argument, y: Argument, *, alpha: Argument = 1) -> Value:
    is_one = isinstance(alpha, (int, float)) and alpha == 1
    return _binary("Add")(x, y if is_one else _mul(alpha, y))


def _sub(x: Argument, y: Argument, *, alpha: Argument = 1) -> Value:
    is_one = isinstance(alpha, (int, float)) and alpha == 1
    return _binary("Sub")(x, y if is_one else _mul(alpha, y))


def _linear(x: Value, weight: Tensor, bias: Tensor | None = None) -> Value:
    product = _matmul(x, weight.mT)
    return product if bias is None else _add(product, bias)


def _require_last(name: str, axis: int) -> None:
    if axis != -1:
        raise InputError(f"export to ONNX: expected {name!r} along axis -1, got axis {axis}.")


def _chunk(x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    _require_last("chunk", dim)
    made: tuple[Value, ...] = graph_of(x).node("Split", x, outputs=chunks, axis=-1)
    return made


def _cat(tensors: Sequence[Argument], dim: int = 0) -> Value:
    _require_last("cat", dim)
    made: Value = graph_of(*tensors).node("Concat", *tensors, axis=-1)
    return made


def _where(condition: Value, x: Argument, y: Argument) -> Value:
    graph = graph_of(condition, x, y)
    dtype = next(z.dtype for z in (x, y) if isinstance(z, (Value, Tensor)))
    made: Value = graph.node("Where", condition, _like(x, y), _like(y, x), dtype=dtype)
    return made


def _unsqueeze(x: Value, dim: int) -> Value:
    _require_last("unsqueeze", dim)
    made: Value = graph_of(x).node("Unsqueeze", x, torch.tensor([-1]))
    return made


def _reshape(x: Value, *shape: int) -> Value:
    if shape != (-1, 1):
        raise InputError(f"export to ONNX: expected a reshape to (-1, 1), got {shape}.")
    return _unsqueeze(x, -1)


def _to(x: Value, dtype: torch.dtype) -> Value:
    if dtype != x.dtype:
        raise InputError(f"export to ONNX: expected one dtype throughout, got {dtype} too.")
    return x


def _zeros_like(x: Value) -> Tensor:
    return torch.zeros((), dtype=x.dtype)


def _plain_softplus(x: Value) -> Value:
    if x.dtype == torch.float32:
        return _unary("Softplus")(x)
    # onnxruntime has no Softplus in float64
    decayed = _unary("Exp")(_unary("Neg")(_unary("Abs")(x)))
    return _add(_unary("Relu")(x), _unary("Log")(_add(decayed, 1.0)))


def _logaddexp(x: Value, y: Argument) -> Value:
    if not isinstance(y, Tensor) or bool(y.any()):
        raise InputError("export to ONNX: expected logaddexp(x, 0), got other arguments.")
    return _plain_softplus(x)


def _softplus(x: Value, beta: float = 1, threshold: float = 20) -> Value:
    if beta == 1:
        return _plain_softplus(x)
    return _binary("Div")(_plain_softplus(_mul(x, beta)), beta)


def _gelu(x: Value, approximate: str = "none") -> Value:
    if approximate != "none":
        raise InputError(f"export to ONNX: expected an exact gelu, got {approximate!r}.")
    half = _mul(x, 0.5)
    return _mul(half, _add(_unary("Erf")(_mul(x, 0.5**0.5)), 1.0))


def _silu(x: Value, inplace: bool = False) -> Value:
    return _mul(x, _unary("Sigmoid")(x))


def _layer_norm(
    x: Value,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Value:
    if len(normalized_shape) != 1:
        raise InputError("export to ONNX: expected layer_norm over the last axis, got several.")
    scale = torch.ones(normalized_shape[0], dtype=x.dtype) if weight is None else weight
    inputs = [x, scale] if bias is None else [x, scale, bias]
    made: Value = graph_of(x).node("LayerNormalization", *inputs, axis=-1, epsilon=eps)
    return made


def _embedding(input: Value, weight: Tensor, *args: Any, **options: Any) -> Value:
    if options.get("max_norm") is not None:
        raise InputError("export to ONNX: expected an embedding without max_norm, got one with it.")
    made: Value = graph_of(input).node("Gather", weight, input, axis=0)
    return made


def _dropout(x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    if training and p:
        raise InputError("export to ONNX: expected no dropout in training mode. Call model.eval().")
    return x


OPERATORS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": _unary("Abs"),
        "add": _add,
        "cat": _cat,
        "chunk": _chunk,
        "cos": _unary("Cos"),
        "div": _binary("Div"),
        "dropout": _dropout,
        "embedding": _embedding,
        "erf": _unary("Erf"),
        "exp": _unary("Exp"),
        "gelu": _gelu,
        "layer_norm": _layer_norm,
        "linear": _linear,
        "log": _unary("Log"),
        "logaddexp": _logaddexp,
        "matmul": _matmul,
        "maximum": _binary("Max"),
        "minimum": _binary("Min"),
        "mul": _mul,
        "neg": _unary("Neg"),
        "relu": _unary("Relu"),
        "reshape": _reshape,
        "sigmoid": _unary("Sigmoid"),
        "sign": _unary("Sign"),
        "silu": _silu,
        "sin": _unary("Sin"),
        "softplus": _softplus,
        "sqrt": _unary("Sqrt"),
        "sub": _sub,
        "tanh": _unary("Tanh"),
        "to": _to,
        "unsqueeze": _unsqueeze,
        "where": _where,
        "zeros_like": _zeros_like,
    }
)
"""What a call of each function becomes; a test runs every one of them."""
