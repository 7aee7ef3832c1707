"""An ONNX graph that grows while torch's own code runs over values of it.

A :class:`Value` stands where that code expects a tensor: what is done to it is written down as
nodes instead of computed. So the equations of an exported model are those of its modules.
"""

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor

from lipschitz_rnn._base.errors import InputError

Argument = Any
"""A :class:`Value`, a tensor or a number; the last two become constants of the graph."""

ELEMENT = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.int64: TensorProto.INT64,
    torch.bool: TensorProto.BOOL,
}


class Value:
    """One tensor of a graph, by its name, and what torch's code may ask of it.

    Attributes:
        graph: Where it is computed.
        name: Unique among all graphs of a model.
        dtype: Of its numbers.
    """

    def __init__(self, graph: "Graph", name: str, dtype: torch.dtype) -> None:
        self.graph = graph
        self.name = name
        self.dtype = dtype

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Write a call of torch down as nodes.

        Returns:
            What the call would have computed, as values.
        """
        return _writer(getattr(function, "__name__", str(function)))(*args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A method of tensors, as the function of its name."""
        if name.startswith("__"):  # what Python itself asks for
            raise AttributeError(name)
        return functools.partial(_writer(name), self)

    def __add__(self, other: Argument) -> Any:
        return _writer("add")(self, other)

    __radd__ = __add__

    def __sub__(self, other: Argument) -> Any:
        return _writer("sub")(self, other)

    def __rsub__(self, other: Argument) -> Any:
        return _writer("sub")(other, self)

    def __mul__(self, other: Argument) -> Any:
        return _writer("mul")(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Argument) -> Any:
        return _writer("div")(self, other)

    def __neg__(self) -> Any:
        return _writer("neg")(self)

    def __matmul__(self, other: Argument) -> Any:
        return _writer("matmul")(self, other)


def _writer(name: str) -> Callable[..., Any]:
    """What writes a function of torch down."""
    from lipschitz_rnn.export.onnx_operators import OPERATORS  # which is about values

    if name not in OPERATORS:
        raise InputError(
            f"export to ONNX: expected functions of torch that have nodes here, got {name!r}. "
            "torch.onnx.export knows more of them: see the page on exporting models."
        )
    return OPERATORS[name]


class Graph:
    """Nodes in the order of their making.

    The body of a loop is a graph within one: it sees the constants of the outer graph, and of the
    outer graph's sequences, (T, ...), the entry of the time that it is at. What needs no state is
    computed outside, for all times at once.

    Attributes:
        nodes: The nodes so far.
        constants: By name, of the outermost graph.
        slices: Of a body: outer sequences that the loop is to hand in, by their names there.
    """

    def __init__(self, dtype: torch.dtype, outer: "Graph | None" = None) -> None:
        self.dtype = dtype
        self.outer = outer
        self.nodes: list[NodeProto] = []
        self.slices: dict[str, Value] = {}
        self.constants: dict[str, np.ndarray] = {} if outer is None else outer.constants
        self._counts: Counter[str] = Counter() if outer is None else outer._counts
        self._made: dict[tuple[str, str, bytes], Value] = {} if outer is None else outer._made

    def fresh(self, stem: str) -> str:
        """A name that no other value has."""
        self._counts[stem] += 1
        count = self._counts[stem]
        return stem if count == 1 else f"{stem}_{count}"

    def constant(self, value: Argument, stem: str = "constant") -> Value:
        """A tensor, array or number as a constant; equal ones are one."""
        if isinstance(value, float):
            value = torch.tensor(value, dtype=self.dtype)
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        key = str(array.dtype), str(array.shape), array.tobytes()
        if key not in self._made:
            if not np.isfinite(array).all():
                raise InputError("export to ONNX: expected finite weights, got some that are not.")
            dtype = torch.from_numpy(np.zeros((), array.dtype)).dtype
            made = Value(self._root, self.fresh(stem), dtype)
            self.constants[made.name] = array.copy(order="C")
            self._made[key] = made
        return self._made[key]

    @property
    def _root(self) -> "Graph":
        return self if self.outer is None else self.outer._root

    def node(
        self,
        kind: str,
        *inputs: Argument,
        outputs: int = 1,
        dtype: torch.dtype | None = None,
        name: str | None = None,
        **attributes: Any,
    ) -> Any:
        """Add a node; returns its value, or a tuple of them.

        Args:
            kind: The operator's name in ONNX.
            *inputs: Values of this graph or an outer one, tensors and numbers.
            outputs: How many results it has.
            dtype: Of the results; that of the first input by default.
            name: Of the result.
            **attributes: Of the operator.

        Returns:
            The result, or a tuple of several.
        """
        values = [self.take(x) for x in inputs]
        found = values[0].dtype if dtype is None else dtype
        names = [self.fresh(name or kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, [v.name for v in values], names, **attributes))
        made = tuple(Value(self, one, found) for one in names)
        return made if outputs > 1 else made[0]

    def take(self, x: Argument) -> Value:
        """Anything as a value that a node of this graph may read."""
        value = x if isinstance(x, Value) else self.constant(x)
        if value.graph is self or value.name in self.constants:
            return value
        if value.name not in self.slices:
            self.slices[value.name] = Value(self, self.fresh(f"{value.name}_t"), value.dtype)
        return self.slices[value.name]


def graph_of(*args: Argument) -> Graph:
    """The innermost graph among those of the values."""
    found = [x.graph for x in args if isinstance(x, Value)]
    return max(found, key=lambda graph: graph.outer is not None)


def declare(
    name: str, dtype: torch.dtype, shape: Sequence[int | str] | None = None
) -> ValueInfoProto:
    """What ONNX wants to know of an input or output."""
    return helper.make_tensor_value_info(name, ELEMENT[dtype], shape)


def initializers(constants: Mapping[str, np.ndarray]) -> list[TensorProto]:
    """Constants as ONNX keeps them."""
    return [numpy_helper.from_array(array, name) for name, array in constants.items()]
