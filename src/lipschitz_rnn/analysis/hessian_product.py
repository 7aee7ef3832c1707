"""The Hessian of a loss by some of a model's parameters, as an operator on vectors.

Note [Difference product]
    With a unit vector v and the gradient g, H v = (g(θ + hv) - g(θ - hv)) / 2h up to h²/6 times a
    third derivative of g, and up to the rounding of g, over h. Both are bounded by what doubling h
    changes: that is three times the first, and has at least the norm of the second, which is as
    random as the digits behind it. So ‖P_h - P_2h‖ is the estimate of the error of P_h.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lipschitz_rnn._base.checks import require_choice
from lipschitz_rnn.ops import use_backend

Terms = Callable[[nn.Module], Iterable[Tensor]]
"""Of a model, the terms whose sum is its loss. One at a time is differentiated, and in memory."""

PRODUCTS = ("difference", "exact")
"""How a product is taken: from two gradients nearby, or by differentiating twice."""

CHECKS = 3
"""Products of random vectors that are taken both ways."""

_Array = np.ndarray


@dataclass(frozen=True)
class ProductCheck:
    """Difference products beside exact ones, for unit vectors drawn at random.

    Attributes:
        spacing: h, the distance of the two gradients is 2h.
        estimates: Estimated norm of each error, over that of the exact product.
        errors: The norm of each, likewise.
    """

    spacing: float
    estimates: tuple[float, ...]
    errors: tuple[float, ...]


class HessianProduct(LinearOperator):  # type: ignore[misc]
    """Hessian of a loss at a model's parameters, in float64 and evaluation mode.

    The model is copied: nothing that happens to the original afterwards, or here, is seen by the
    other.

    Args:
        model: Any module.
        terms: Its loss.
        names: Parameters to differentiate by, in this order; all that want a gradient if None.
        product: One of :data:`PRODUCTS`.
        spacing: Of the difference; if None, the cube root of three roundings times the norm of the
            parameters over the root of their number.
        counted: Takes the number of products after each.

    Attributes:
        count: Products so far.
        names: Of the parameters.
        spacing: Of the difference.

    Raises:
        ValueError: If there is no such parameter or product, or the loss is not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        terms: Terms,
        names: Sequence[str] | None = None,
        *,
        product: str = "difference",
        spacing: float | None = None,
        counted: Callable[[int], None] | None = None,
    ) -> None:
        require_choice("HessianProduct", "product", product, PRODUCTS)
        self._model, self._terms = copy.deepcopy(model).double().eval(), terms
        self._params, self.names = _choose(self._model, names)
        self.kind, self.count, self._counted = product, 0, counted
        self._at = parameters_to_vector(self._params).detach().clone()
        size = self._at.numel()
        super().__init__(np.dtype(np.float64), (size, size))
        scale = float(self._at.norm()) / size**0.5 or 1.0
        self.spacing = (3 * torch.finfo(torch.float64).eps) ** (1 / 3) * scale
        if spacing is not None:
            self.spacing = spacing
        self.loss, self.gradient = self.differentiate()
        if not (np.isfinite(self.loss) and np.isfinite(self.gradient).all()):
            raise ValueError(
                f"HessianProduct: expected a finite loss and gradient, got a loss of {self.loss}."
            )

    def differentiate(self) -> tuple[float, _Array]:
        """The loss and its gradient where the parameters stand.

        Returns:
            A number and (n,).
        """
        loss, gradient = 0.0, torch.zeros_like(self._at)
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            for term in self._terms(self._model):
                loss += float(term.detach())
                gradient += _flat(_gradients(term, self._params))
        return loss, gradient.cpu().numpy()

    def exact(self, vector: _Array) -> _Array:
        """H v by differentiating the gradient along v, on the reference path.

        Args:
            vector: v, (n,).

        Returns:
            (n,).
        """
        self.count += 1
        direction = self._tensor(vector)
        total = torch.zeros_like(self._at)
        path = use_backend("reference")
        with path, torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            for term in self._terms(self._model):
                slope = _flat(_gradients(term, self._params, create_graph=True)) @ direction
                if slope.requires_grad:  # not where the gradient is constant
                    total += _flat(_gradients(slope, self._params))
        return total.cpu().numpy()

    def difference(self, vector: _Array, spacing: float | None = None) -> _Array:
        """H v from gradients at both sides; see Note [Difference product].

        Args:
            vector: v, (n,).
            spacing: h; that of the operator if None.

        Returns:
            (n,).
        """
        self.count += 1
        h = self.spacing if spacing is None else spacing
        length = float(np.linalg.norm(vector))
        if length == 0:
            return np.zeros_like(vector)
        sides = [self._gradient_at(vector, sign * h / length) for sign in (1, -1)]
        return np.asarray((sides[0] - sides[1]) * (length / (2 * h)))

    def losses_along(self, vector: _Array, distances: Sequence[float]) -> list[float]:
        """The loss along a line through the parameters.

        Args:
            vector: Its direction, (n,).
            distances: Multiples of the vector.

        Returns:
            A loss for each.
        """
        return [self._loss_at(vector, distance) for distance in distances]

    def check(self, generator: np.random.Generator) -> ProductCheck:
        """Take some products both ways.

        Args:
            generator: Of the vectors.

        Returns:
            The errors and what they were estimated to be.
        """
        estimates, errors = [], []
        for _ in range(CHECKS):
            vector = generator.standard_normal(self.shape[0])
            vector /= np.linalg.norm(vector)
            exact = self.exact(vector)
            near, far = self.difference(vector), self.difference(vector, 2 * self.spacing)
            size = float(np.linalg.norm(exact)) or 1.0
            estimates.append(float(np.linalg.norm(near - far)) / size)
            errors.append(float(np.linalg.norm(near - exact)) / size)
        return ProductCheck(self.spacing, tuple(estimates), tuple(errors))

    def _matvec(self, vector: _Array) -> _Array:
        vector = np.asarray(vector, dtype=np.float64).ravel()
        image = self.exact(vector) if self.kind == "exact" else self.difference(vector)
        if self._counted is not None:
            self._counted(self.count)
        return image

    def _tensor(self, vector: _Array) -> Tensor:
        return torch.as_tensor(vector, dtype=self._at.dtype, device=self._at.device)

    def _move(self, vector: _Array, distance: float) -> None:
        vector_to_parameters(self._at + distance * self._tensor(vector), self._params)

    def _gradient_at(self, vector: _Array, distance: float) -> _Array:
        self._move(vector, distance)
        try:
            return self.differentiate()[1]
        finally:
            vector_to_parameters(self._at, self._params)

    def _loss_at(self, vector: _Array, distance: float) -> float:
        self._move(vector, distance)
        try:
            with torch.no_grad():
                return sum(float(term) for term in self._terms(self._model))
        finally:
            vector_to_parameters(self._at, self._params)


def _choose(
    model: nn.Module, names: Sequence[str] | None
) -> tuple[list[nn.Parameter], tuple[str, ...]]:
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    wanted = tuple(found) if names is None else tuple(names)
    missing = [name for name in wanted if name not in found]
    if missing or not wanted:
        raise ValueError(
            f"HessianProduct: expected parameters among {', '.join(found) or 'none'}, got "
            f"{', '.join(missing) or 'none'}."
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in wanted)
    return [found[name] for name in wanted], wanted


def _gradients(
    loss: Tensor, parameters: list[nn.Parameter], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """What terms share is kept for the next one."""
    return torch.autograd.grad(
        loss, parameters, retain_graph=True, create_graph=create_graph, materialize_grads=True
    )


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
