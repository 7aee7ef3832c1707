"""A unit's stability report in words, term by term."""

from collections.abc import Iterator

from lipschitz_rnn.analysis.report import MatrixReport, UnitReport


def stability_rows(unit: UnitReport) -> Iterator[tuple[str, str]]:
    """What is said of a unit, term by term.

    Args:
        unit: One layer and direction.

    Yields:
        A quantity and what it came to; the certificate of the step last.
    """
    if unit.a is None:
        yield "A", "none: the unit has no linear term"
    else:
        yield from _matrix_rows("A", unit.a)
    yield from _matrix_rows("W", unit.w)
    if unit.conditions is None:
        yield "conditions of the stability theorem", "none: it does not speak of gated units"
    else:
        for condition in unit.conditions:
            verdict = "holds" if condition.holds else "fails"
            note = "" if condition.name != "b" else ", which certifies nothing"
            reason = condition.reason if not condition.holds else condition.reason[len("holds") :]
            joined = f"{verdict}: {reason}" if not condition.holds else f"{verdict}{reason}"
            yield f"condition ({condition.name}){note}", joined
    if unit.step_sizes is not None:
        yield "longest step that all modes of A bear", _step_text(unit)
    if unit.euler is not None:
        yield "bound on one Euler step, from norms alone", _euler_text(unit)
    verdict = "holds" if unit.certificate.holds else "none"
    label = f"certificate of the {unit.method} step"
    yield label, f"{verdict}: {unit.certificate.reason}"


def _matrix_rows(name: str, matrix: MatrixReport) -> Iterator[tuple[str, str]]:
    yield f"largest real part, eigenvalues of {name}", f"{matrix.spectral_abscissa:+.4g}"
    if matrix.scheme is not None:
        low, high = matrix.scheme.low, matrix.scheme.high
        text = f"[{low:+.4g}, {high:+.4g}], imaginary within {matrix.scheme.imaginary:.4g}"
        yield "  bounds by the symmetric-skew scheme", text
    yield f"largest eigenvalue of ({name} + {name}')/2", f"{matrix.log_norm:+.4g}"
    yield f"largest singular value of {name}", f"{matrix.sigma_max:.4g}"


def _step_text(unit: UnitReport) -> str:
    assert unit.step_sizes is not None
    return f"{unit.step_sizes.smallest:.4g} (a diagnostic: eigenvalues certify nothing)"


def _euler_text(unit: UnitReport) -> str:
    assert unit.euler is not None
    factor = f"distances grow by {unit.euler.factor:.6g} at most"
    if unit.euler.contracts:
        return (
            f"{factor}: it contracts, as does every step below {unit.euler.largest_step_size:.4g}"
        )
    if unit.euler.largest_step_size > 0:
        return f"{factor}; it would contract below step size {unit.euler.largest_step_size:.4g}"
    return f"{factor}; no step size contracts by it"
