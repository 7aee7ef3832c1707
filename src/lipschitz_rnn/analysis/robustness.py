"""How well a trained model stands changes of its input and of its weights."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_choice, require_positive_int, require_tensor
from lipschitz_rnn.analysis.ball import Loss, batch_axis, require_box
from lipschitz_rnn.analysis.robustness_curve import RobustnessCurve, RobustnessReport
from lipschitz_rnn.analysis.robustness_kinds import PERTURBATIONS
from lipschitz_rnn.analysis.robustness_measure import Measure
from lipschitz_rnn.analysis.robustness_samples import Samples
from lipschitz_rnn.analysis.targets import count_samples


def robustness(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    dt: float | Tensor | None = None,
    low: float | None = None,
    high: float | None = None,
    perturbations: Iterable[str] | None = None,
    strengths: Mapping[str, Sequence[float]] | None = None,
    seeds: int = 5,
    seed: int = 0,
    batch_size: int = 256,
    loss: Loss | None = None,
    report: Callable[[str], None] | None = None,
) -> RobustnessReport:
    """Measure accuracy and loss against the strength of perturbations.

    Of the input: random ones, attacks, and missing, repeated and jittered steps; of the weights, on
    copies: noise, few bits and zeros. :data:`PERTURBATIONS` lists them. Random ones are drawn
    ``seeds`` times, with the same random numbers at every strength and for every model. The model
    is run in evaluation mode; it is left as it was, mode and gradients too.

    Args:
        model: Answers a batch of sequences with logits, (B, C), or numbers; the call is
            ``model(input)``, or ``model(input, dt=dt)`` where there are times. Samples lie along
            the first axis of the input, or along the second if ``model.rnn.batch_first``, or
            ``model.batch_first``, is False.
        input: The clean inputs: numbers or symbols.
        target: Laid out as the answers. One a sample: classes (B,), or numbers (B, Q). At every
            step: classes (B, T) or numbers (B, T, Q); (T, B) or (T, B, Q) where the samples of the
            input lie along the second axis. Of several answers a sample's accuracy is the share
            that is right. No answer with a NaN logit is.
        dt: For how long each input is held: a number, (T,), or (B, T) in the layout of the input.
        low: Smallest value that an input can have. Strengths are relative to the range from ``low``
            to ``high``. Attacks stay in it where it is given; where it is not, it is taken from the
            inputs, and attacks may leave it.
        high: Largest one.
        perturbations: Names of :data:`PERTURBATIONS`; all if None.
        strengths: Others than those of the kind, by its name.
        seeds: Draws of what is random.
        seed: Of the first draw, at least 0.
        batch_size: Samples at a time. Random starts of attacks depend on it, nothing else does
            beyond rounding.
        loss: Answers and target to one loss for each sample, (B,), which attacks raise, too. By
            default the cross-entropy for classes and the mean square for numbers.
        report: Called with the name of each perturbation before it is measured.

    Returns:
        A curve for each perturbation, and reasons for those that do not fit the model or its data.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a shape, value or name does not fit.

    Examples:
        >>> import torch
        >>> from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
        >>> model = SequenceClassifier(LipschitzRNN(1, 8, batch_first=True), 3)
        >>> x, y = torch.rand(10, 5, 1), torch.arange(10) % 3
        >>> found = robustness(model, x, y, low=0, high=1, perturbations=["white-noise", "rounded"])
        >>> found.curves["rounded"].strengths
        (0.0, 16, 8, 6, 5, 4, 3)

    References:
        Erichson, Azencot, Queiruga, Hodgkinson, Mahoney (2021), Lipschitz Recurrent Neural
        Networks, ICLR, sec. 7.
    """
    names = tuple(PERTURBATIONS if perturbations is None else perturbations)
    for name in (*names, *(strengths or {})):
        require_choice("robustness", "perturbations", name, PERTURBATIONS)
    for key, number in (("seeds", seeds), ("batch_size", batch_size)):
        require_positive_int("robustness", key, number)
    samples = _samples(model, input, target, dt, low, high, loss)
    curves: dict[str, RobustnessCurve] = {}
    skipped: dict[str, str] = {}
    with _evaluating(model):
        clean = samples.score(model, batch_size)
        measure = Measure(model, samples, clean, seeds, seed, batch_size)
        for name in names:
            if report is not None:
                report(name)
            found = measure.curve(PERTURBATIONS[name], (strengths or {}).get(name))
            if isinstance(found, str):
                skipped[name] = found
            else:
                curves[name] = found
    floating = samples.input.is_floating_point()
    return RobustnessReport(
        curves,
        skipped,
        samples=len(samples),
        accuracy=None if clean.right is None else clean.right.mean().item(),
        loss=clean.loss.mean().item(),
        low=samples.low if floating else None,
        high=samples.high if floating else None,
        seeds=seeds,
        seed=seed,
    )


def _samples(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    dt: float | Tensor | None,
    low: float | None,
    high: float | None,
    loss: Loss | None,
) -> Samples:
    require_tensor("robustness", "input", input)
    require_tensor("robustness", "target", target)
    input, axis = input.detach(), batch_axis(model)
    count_samples("robustness", input, target, axis)
    if input.is_floating_point():
        require_box("robustness", input, low, high)
    lowest = float(input.min() if low is None else low)
    highest = float(input.max() if high is None else high)
    if lowest > highest or (low is not None and low == high):
        raise ValueError(f"robustness: expected `low` < `high`, got {lowest:g} and {highest:g}.")
    return Samples(input, target, dt, axis, lowest, highest, (low, high), loss)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, which is not always that of all parts of a model before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
