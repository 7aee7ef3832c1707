"""How a loss curves at a model's parameters: eigenvalues, trace, condition number, density."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lipschitz_rnn._base.checks import require_choice, require_positive_int
from lipschitz_rnn.analysis.ball import Loss, batch_axis
from lipschitz_rnn.analysis.eigenpairs import largest_eigenpairs
from lipschitz_rnn.analysis.hessian_product import HessianProduct, ProductCheck, Terms
from lipschitz_rnn.analysis.hessian_report import (
    ConditionNumber,
    HessianReport,
    HessianSettings,
    condition_number,
)
from lipschitz_rnn.analysis.parameter_groups import parameter_groups
from lipschitz_rnn.analysis.targets import count_samples, sample_losses, target_axis
from lipschitz_rnn.linalg.lanczos import Tridiagonal, lanczos

STEPS = (25, 50, 100)
"""Lanczos steps at which condition numbers are shown; they depend on them."""

MOST_ERROR = 1e-3
"""Of a difference product, over its exact norm: above it nothing is reported."""

CHECKED = 50
"""Samples of the first term, for which exact products are taken beside differences."""

EVERY = 25
"""Products between two lines of progress."""


def hessian(
    model: nn.Module,
    input: Tensor,
    target: Tensor,
    *,
    loss: Loss | None = None,
    options: Mapping[str, Tensor] | None = None,
    batch_size: int = 250,
    group: str = "all",
    settings: HessianSettings | None = None,
    report: Callable[[str], None] | None = None,
) -> HessianReport:
    r"""The Hessian of the mean loss over samples, at the model's parameters.

    .. math:: H = \frac{\partial^2}{\partial\theta^2} \frac1B \sum_b \ell(f_\theta(x_b), y_b)

    in float64 and evaluation mode; the model itself is left alone. The parameters are those that
    are trained: behind a parametrisation, the free ones.

    Args:
        model: Any module that maps inputs to answers. Samples lie along the first axis, or along
            the second of a recurrent model without ``batch_first``.
        input: The samples.
        target: Laid out as the answers. One a sample: classes (B,), or numbers (B, Q). At every
            step: classes (B, T) or numbers (B, T, Q); (T, B) or (T, B, Q) where the samples of the
            input lie along the second axis. Or what ``loss`` takes, laid out alike.
        loss: Losses of answers and target, of which the mean is taken; the cross-entropy for
            integer targets, the mean square for others, if None.
        options: What else the model takes for each sample, such as ``{"dt": dt}``: tensors whose
            samples lie as those of the input.
        batch_size: Samples that are differentiated, and in memory, at a time.
        group: ``"all"``, or one of :func:`parameter_groups`.
        settings: How much work to do.
        report: Takes a line of progress.

    Returns:
        The report.

    Raises:
        ValueError: If a shape or value does not fit, the loss is not finite, difference products
            are not what exact ones are, or no eigenvalue converges.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Linear(2, 3)
        >>> found = hessian(model, torch.randn(8, 2), torch.arange(8) % 3)
        >>> found.parameters, bool(found.eigenvalues[0] < found.trace)
        (9, True)

    References:
        Pearlmutter (1994), Fast exact multiplication by the Hessian, Neural Computation 6.
        Yao, Gholami, Keutzer, Mahoney (2020), PyHessian: Neural networks through the lens of the
        Hessian, IEEE Big Data.
        Ghorbani, Krishnan, Xiao (2019), An investigation into neural net optimization via Hessian
        eigenvalue density, ICML.
    """
    require_positive_int("hessian", "batch_size", batch_size)
    axis = batch_axis(model)
    count, place = count_samples("hessian", input, target, axis), target_axis(target, axis)
    parts = [input, *(options or {}).values()]
    parts = [part.double() if part.is_floating_point() else part for part in parts]
    target = target.double() if target.is_floating_point() else target
    names = tuple(options or ())

    def losses_of(answers: Tensor, target: Tensor) -> Tensor:
        return sample_losses("hessian", answers, target, axis)

    def terms(model: nn.Module) -> Iterator[Tensor]:
        first, rest = torch.arange(count, device=input.device).tensor_split([CHECKED])
        for index in (first, *(torch.split(rest, batch_size) if len(rest) else ())):
            own, *others = (part.index_select(axis, index) for part in parts)
            answers = model(own, **dict(zip(names, others, strict=True)))
            wanted = target.index_select(place, index)
            yield (loss or losses_of)(answers, wanted).mean() * (len(index) / count)

    return hessian_of(model, terms, group=group, settings=settings, report=report)


def hessian_of(
    model: nn.Module,
    terms: Terms,
    *,
    group: str = "all",
    settings: HessianSettings | None = None,
    report: Callable[[str], None] | None = None,
) -> HessianReport:
    """The Hessian of any loss at a model's parameters.

    Args:
        model: Any module; a copy of it is made, in float64 and evaluation mode.
        terms: Of that copy, the terms of its loss: each is differentiated before the next is asked
            for. Difference products are checked on the first, so that one should be small.
        group: As :func:`hessian` takes it.
        settings: As :func:`hessian` takes it.
        report: Takes a line of progress.

    Returns:
        The report.

    Raises:
        ValueError: As :func:`hessian` raises it.
    """
    started, settings = time.perf_counter(), settings or HessianSettings()
    tell = report or (lambda line: None)

    def counted(count: int) -> None:
        if count % EVERY == 0:
            tell(f"{count} products in {time.perf_counter() - started:.0f} s")

    product = hessian_product(model, terms, group=group, settings=settings, counted=counted)
    generator = np.random.default_rng(settings.seed)
    check = None
    if settings.product == "difference":
        check = _check(model, terms, product, generator)
        tell(f"{len(check.errors)} difference products: off by {max(check.errors):.1e} at most")
    count, tolerance = settings.eigenvalues, settings.tolerance
    values, vectors, residuals = largest_eigenpairs(product, count, tolerance, generator)
    tell(f"largest eigenvalue {values[0]:.4g}, residual {residuals[0]:.1e}")
    traces = _trace_samples(product, settings.probes, generator)
    tell(f"trace {traces.mean():.4g}, standard error {_standard_error(traces):.2g}")
    runs = _lanczos_runs(product, settings, generator, tell)
    return HessianReport(
        group=group,
        parameters=product.shape[0],
        loss=product.loss,
        gradient_norm=float(np.linalg.norm(product.gradient)),
        eigenvalues=values,
        residuals=residuals,
        vectors=vectors,
        trace=float(traces.mean()),
        trace_error=_standard_error(traces),
        probes=settings.probes,
        conditions=_conditions(runs),
        density=tuple(run.ritz() for run in runs),
        product=settings.product,
        check=check,
        products=product.count,
        seconds=time.perf_counter() - started,
    )


def hessian_product(
    model: nn.Module,
    terms: Terms,
    *,
    group: str = "all",
    settings: HessianSettings | None = None,
    counted: Callable[[int], None] | None = None,
) -> HessianProduct:
    """The Hessian by a group of parameters, as an operator that SciPy takes.

    Args:
        model: As :func:`hessian_of` takes it.
        terms: As :func:`hessian_of` takes it.
        group: As :func:`hessian` takes it.
        settings: Of these, ``product`` and ``spacing``.
        counted: Takes the number of products after each.

    Returns:
        The operator.

    Raises:
        ValueError: If there is no such group, or the loss is not finite.
    """
    settings, names = settings or HessianSettings(), None
    if group != "all":
        groups = parameter_groups(model)
        require_choice("hessian", "group", group, ("all", *groups))
        names = groups[group]
    kind, spacing = settings.product, settings.spacing
    return HessianProduct(model, terms, names, product=kind, spacing=spacing, counted=counted)


def _check(
    model: nn.Module, terms: Terms, product: HessianProduct, generator: np.random.Generator
) -> ProductCheck:
    """Of the first term, since exact products of long sequences cost much time and memory."""

    def first(model: nn.Module) -> Iterator[Tensor]:
        yield from itertools.islice(terms(model), 1)

    check = HessianProduct(model, first, product.names, spacing=product.spacing).check(generator)
    if not all(error <= MOST_ERROR for error in check.errors):
        raise ValueError(
            f"hessian: expected difference products within {MOST_ERROR:g} of exact ones, got one "
            f"that is off by {max(check.errors):.1e} (spacing {check.spacing:.1e}). Use "
            'product="exact", or another spacing.'
        )
    return check


def _trace_samples(
    product: HessianProduct, probes: int, generator: np.random.Generator
) -> np.ndarray:
    """Hutchinson's estimates, each of the expectation of the trace."""
    samples = np.empty(probes)
    for i in range(probes):
        signs = generator.choice((-1.0, 1.0), product.shape[0])
        samples[i] = signs @ product.matvec(signs)
    return samples


def _lanczos_runs(
    product: HessianProduct,
    settings: HessianSettings,
    generator: np.random.Generator,
    tell: Callable[[str], None],
) -> list[Tridiagonal]:
    runs: list[Tridiagonal] = []
    for _ in range(settings.starts if settings.steps else 0):
        start = generator.standard_normal(product.shape[0])
        runs.append(lanczos(product.matvec, start, settings.steps))
        tell(f"Lanczos steps from {len(runs)} of {settings.starts} starts")
    return runs


def _standard_error(samples: np.ndarray) -> float:
    return float(samples.std(ddof=1) / len(samples) ** 0.5) if len(samples) > 1 else float("nan")


def _conditions(runs: Sequence[Tridiagonal]) -> tuple[ConditionNumber, ...]:
    """Of the first start: more of them would give more values, and so other ratios."""
    if not runs:
        return ()
    taken = len(runs[0])
    counts = sorted({min(steps, taken) for steps in (*STEPS, taken)})
    return tuple(condition_number(runs[0].ritz(steps).nodes) for steps in counts)
