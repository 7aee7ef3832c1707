"""The shapes that are measured, what is aimed at on each, and how many operations one takes."""

import dataclasses
import re
from dataclasses import dataclass

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError

PASSES = ("forward", "training")
"""The last state without gradients; the last state and the gradients of all weights and of h0."""


@dataclass(frozen=True)
class Shape:
    """One problem.

    Attributes:
        batch: B.
        steps: T.
        hidden: N.
        features: P.
        threads: How many it is measured on, or None for as many as the run is told.
        passes: Which of PASSES are measured.
        reach: Per cent of the machine's peak that the kernel must reach; of the last pass measured.
        aim: Per cent of the peak that it is meant to reach some day.
    """

    batch: int
    steps: int
    hidden: int
    features: int
    threads: int | None = None
    passes: tuple[str, ...] = PASSES
    reach: int | None = None
    aim: int | None = None

    @property
    def name(self) -> str:
        """``BxTxNxP``."""
        return f"{self.batch}x{self.steps}x{self.hidden}x{self.features}"

    def operations(self, name: str) -> int:
        r"""Floating-point operations that a pass cannot do without.

        .. math:: T B (4 N^2 + 2 N P)

        for the forward pass: the products with A, W and U, a multiplication and an addition being
        two. Training counts three times as many, the customary figure for a pass that also
        differentiates by everything; 2 T B N P of those, for a gradient of the input, are not
        needed here. Biases, tanh and updates count nothing.

        Args:
            name: One of PASSES.

        Returns:
            The count.
        """
        forward = self.steps * self.batch * self.hidden * (4 * self.hidden + 2 * self.features)
        return forward * {"forward": 1, "training": 3}[name]


SHAPES = (
    Shape(128, 784, 128, 1, reach=75, aim=85),
    Shape(128, 784, 64, 1, reach=65, aim=75),
    Shape(128, 1024, 256, 3, reach=80, aim=85),
    Shape(128, 1000, 256, 96, reach=65, aim=80),
    Shape(128, 150, 750, 200, reach=65, aim=80),
    Shape(16, 784, 128, 1, reach=55, aim=70),
    Shape(1, 784, 128, 1, threads=1, reach=30),
    Shape(1000, 784, 128, 1, passes=("forward",), reach=80, aim=90),
)
"""What a full run measures."""


def find_shape(name: str) -> Shape:
    """The shape of a name.

    Args:
        name: ``BxTxNxP``: one of :data:`SHAPES`, or any other, which then has no targets.

    Returns:
        The shape.

    Raises:
        InputError: If the name is not of that form.
    """
    known = {shape.name: shape for shape in SHAPES}
    if name in known:
        return known[name]
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){3}", name):
        remedy = nearest(name, known) or f"Such as {SHAPES[0].name}."
        raise InputError(f"shape: expected BxTxNxP, four positive numbers, got {name!r}. {remedy}")
    batch, steps, hidden, features = (int(size) for size in name.split("x"))
    return Shape(batch, steps, hidden, features)


def on_threads(shape: Shape, threads: int) -> Shape:
    """The shape with its number of threads settled: its own, or else the run's."""
    return dataclasses.replace(shape, threads=shape.threads or threads)
