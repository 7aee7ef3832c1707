"""A layer of given matrices, with no scheme behind them."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipschitz_rnn._base.checks import require_same_device, require_shape, require_square
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity

Matrix = Tensor | np.ndarray | Sequence[Any]
"""Numbers of one shape; a sequence is of sequences."""

_WHERE = "LipschitzRNN.from_matrices"
_NAMES = {"a": "weight_a_l0", "w": "weight_hh_l0", "u": "weight_ih_l0", "b": "bias_l0"}


class FromMatrices:
    """The second constructor of :class:`LipschitzRNN`."""

    @classmethod
    def from_matrices(
        cls,
        a: Matrix | None,
        w: Matrix,
        u: Matrix | None = None,
        b: Matrix | None = None,
        *,
        step_size: float,
        method: str | ButcherTableau = "euler",
        substeps: int = 1,
        nonlinearity: str | Nonlinearity = "tanh",
        batch_first: bool = False,
    ) -> Self:
        r"""A layer of one unit that runs given matrices.

        .. math:: \dot h = A h + \sigma(W h + U x_t + b)

        Its parameters are copies of the matrices, without the symmetric-skew scheme: training moves
        every entry freely. Whatever takes a :class:`LipschitzRNN` takes this one.

        Args:
            a: A, (H, H); None for no linear term.
            w: W, (H, H).
            u: U, (H, P). The identity if None: each unit has an input of its own, P = H.
            b: b, (H,); no bias if None.
            step_size: ε, above 0, in units of time.
            method: Integrator, as for the class.
            substeps: Integrator steps of size ``step_size / substeps`` taken per input.
            nonlinearity: σ, as for the class.
            batch_first: Whether input and output are (B, T, P).

        Returns:
            The layer, in float32 if every matrix is a float32 tensor, else in float64.

        Raises:
            TypeError: If a matrix does not hold real numbers.
            ValueError: If a shape does not fit, an entry is not finite or an option out of range.

        Examples:
            >>> from lipschitz_rnn.nn import LipschitzRNN
            >>> layer = LipschitzRNN.from_matrices([[-1.0]], [[0.0]], step_size=0.5)  # h+ = h / 2
            >>> x, h = torch.zeros(3, 1, 1).double(), torch.ones(1, 1, 1).double()
            >>> layer(x, h)[0].flatten().tolist()
            [0.5, 0.25, 0.125]
        """
        given = {"a": a, "w": w, "u": u, "b": b}
        tensors = _read({k: v for k, v in given.items() if v is not None or k == "w"})
        make: Any = cls  # of which only its subclass, the layer, is ever made
        layer: Self = make(
            tensors["u"].shape[1],
            tensors["u"].shape[0],
            beta=0.5,  # with γ = 0, the scheme of a matrix that is free
            gamma=0.0,
            step_size=step_size,
            method=method,
            substeps=substeps,
            nonlinearity=nonlinearity,
            alpha=0.0 if a is None else 1.0,
            bias=b is not None,
            batch_first=batch_first,
            device="meta",  # nothing is drawn there: the caller's random numbers stay as they were
        )
        _fill(layer, tensors)
        return layer


def _fill(layer: Any, tensors: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if parametrize.is_parametrized(layer, _NAMES[name]):
            parametrize.remove_parametrizations(layer, _NAMES[name], leave_parametrized=False)
        setattr(layer, _NAMES[name], nn.Parameter(tensor))


def _read(given: dict[str, Any]) -> dict[str, Tensor]:
    """Copies of the matrices in one dtype, U among them."""
    single = all(isinstance(x, Tensor) and x.dtype == torch.float32 for x in given.values())
    tensors = {name: read_matrix(_WHERE, name, value) for name, value in given.items()}
    require_square(_WHERE, "w", tensors["w"])
    size = len(tensors["w"])
    shapes: dict[str, tuple[tuple[int | None, ...], str]] = {
        "a": ((size, size), "(H, H)"),
        "w": ((size, size), "(H, H)"),
        "u": ((size, None), "(H, P)"),
        "b": ((size,), "(H,)"),
    }
    for name, tensor in tensors.items():
        require_shape(_WHERE, name, tensor, *shapes[name], f"H = {size} is the size of `w`.")
        _require_finite(name, tensor)
    require_same_device(_WHERE, tensors)
    tensors.setdefault("u", torch.eye(size, dtype=torch.float64, device=tensors["w"].device))
    dtype = torch.float32 if single else torch.float64
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def read_matrix(where: str, name: str, value: object) -> Tensor:
    """A copy of plain numbers in float64, which holds every number of the other floating types.

    Args:
        where: Who asks, in error messages.
        name: The argument's name.
        value: A tensor, an array or a sequence of sequences.

    Returns:
        The copy, detached, on the device of the value.

    Raises:
        TypeError: If it does not hold real numbers.
        ValueError: If its rows differ in length.
    """
    if isinstance(value, Tensor):
        kind, real = str(value.dtype), not (value.is_complex() or value.dtype == torch.bool)
        tensor = value.detach().clone()
    else:
        try:
            array = np.array(value)
        except ValueError:
            raise ValueError(
                f"{where}: expected `{name}` to have rows of one length, got several lengths."
            ) from None
        kind, real = str(array.dtype), array.dtype.kind in "fiu"
        tensor = torch.from_numpy(array.astype(np.float64)) if real else torch.empty(0)
    if not real:
        got = "None" if value is None else kind
        raise TypeError(f"{where}: expected `{name}` to hold real numbers, got {got}.")
    return tensor.double()


def _require_finite(name: str, tensor: Tensor) -> None:
    wrong = (~tensor.isfinite()).nonzero()
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise ValueError(
            f"{_WHERE}: expected finite entries of `{name}`, got {float(tensor[place])} at {place}."
        )
