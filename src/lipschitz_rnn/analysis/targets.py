"""Where the samples of a target lie, and what a model's answers to each of them lose.

Note [Layout of targets]
    A target is laid out as the answers are. One answer a sample: classes (B,), or numbers (B, Q).
    Answers at every step: classes (B, T) or numbers (B, T, Q) of a model with samples first, (T, B)
    or (T, B, Q) of one with times first. So classes of two axes, and numbers of three, have one for
    the steps, and their samples lie where those of the input do; all others have samples first.
"""

from torch import Tensor
from torch.nn import functional

from lipschitz_rnn._base.checks import require_shape


def target_axis(target: Tensor, axis: int) -> int:
    """Axis of the samples in a target, see Note [Layout of targets].

    Args:
        target: Classes or numbers.
        axis: That of the samples in the input.

    Returns:
        0 or 1.
    """
    return axis if target.dim() > (2 if target.is_floating_point() else 1) else 0


def count_samples(where: str, input: Tensor, target: Tensor, axis: int) -> int:
    """How many samples there are, at least one.

    Args:
        where: Who asks.
        input: Any, with samples along ``axis``.
        target: Their targets.
        axis: 0 or 1.

    Returns:
        The number.

    Raises:
        ValueError: If input and target do not have as many, or none.
    """
    count = input.shape[axis] if input.dim() > axis else 0
    place = target_axis(target, axis)
    if not count or target.dim() < 1 or target.shape[place] != count:
        raise ValueError(
            f"{where}: expected `target` with as many samples as `input`, at least one, got "
            f"{tuple(target.shape)} for {tuple(input.shape)}. Samples of the input lie along axis "
            f"{axis}, as batch_first={axis == 0} says. {_layout(target, axis)}"
        )
    return count


def require_answers(where: str, answers: Tensor, target: Tensor, axis: int) -> None:
    """Raise ``ValueError`` unless answers and target are laid out alike."""
    shape: tuple[int | None, ...] = tuple(target.shape)
    letters = "target.shape"
    if not target.is_floating_point():
        shape, letters = (*shape, None), "(B, C)"
        if target.dim() > 1:
            each = "T, B" if axis else "B, T"
            letters = f"({each}, C), as the target ({each}),"
    require_shape(where, "model(input)", answers, shape, letters, _layout(target, axis))


def _layout(target: Tensor, axis: int) -> str:
    each = "(T, B" if axis else "(B, T"
    once = "numbers is (B, Q)" if target.is_floating_point() else "classes is (B,)"
    each += ", Q)" if target.is_floating_point() else ")"
    return f"A target of {once}, or {each} of a model that answers at every step."


def mean_by_sample(values: Tensor, target: Tensor, axis: int) -> Tensor:
    """Mean over all axes but that of the samples.

    Args:
        values: One for each entry of the target.
        target: Which they belong to.
        axis: Of the samples in the input.

    Returns:
        (B,).
    """
    first = values.movedim(target_axis(target, axis), 0)
    return first.reshape(len(first), -1).mean(1)


def sample_losses(where: str, answers: Tensor, target: Tensor, axis: int) -> Tensor:
    """Cross-entropy for classes, mean square for numbers, of each sample.

    Args:
        where: Who asks.
        answers: Of the model.
        target: Laid out as these.
        axis: Of the samples in the input.

    Returns:
        Means over the steps, (B,).

    Raises:
        ValueError: If answers and target are not laid out alike.
    """
    require_answers(where, answers, target, axis)
    if target.is_floating_point():
        return mean_by_sample((answers - target).square(), target, axis)
    flat = functional.cross_entropy(answers.flatten(0, -2), target.flatten(), reduction="none")
    return mean_by_sample(flat.view(target.shape), target, axis)
