"""Which model a number speaks for, and how it is shown."""

import math

import pytest
from scipy import stats

from lipschitz_rnn.experiments.side_by_side import Comparison, Row, Value


def row(better="higher", **values):
    return Row("x", {k: [Value(*v) if isinstance(v, tuple) else Value(v) for v in own]
                     for k, own in values.items()}, better)  # fmt: skip


def test_of_runs_it_is_the_test_of_welch():
    """Just inside and just outside the interval of SciPy's own Welch test."""
    first, second = [1.0, 1.2, 1.1], [0.7, 0.9, 0.5]
    found = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    gap = sum(first) / 3 - sum(second) / 3
    half = (found.high - found.low) / 2
    for shift, best in ((half - gap - 1e-9, None), (half - gap + 1e-9, "a")):
        moved = [value + shift for value in first]
        assert row(a=moved, b=second).best() == best
        assert row("lower", a=[-v for v in moved], b=[-v for v in second]).best() == best


def test_of_single_runs_it_is_the_interval_of_the_measurement():
    assert row(a=[(0.95, 0.03)], b=[(0.90, 0.04)]).best() is None  # 0.05 = hypot
    assert row(a=[(0.9501, 0.03)], b=[(0.90, 0.04)]).best() == "a"
    # of which nothing is known it is not judged, however far they are apart
    assert row("lower", a=[2.0], b=[1.0]).best() is None
    assert row(a=[(0.95, 0.01)], b=[0.1]).best() is None


def test_several_runs_against_one_vary_alike():
    """A new run of the same spread lies within t s sqrt(1 + 1/n) of the mean of the others."""
    several = [1.0, 1.2, 1.1]
    half = stats.t.ppf(0.975, 2) * 0.1 * math.sqrt(4 / 3)
    assert row(a=several, b=[1.1 - half + 1e-9]).best() is None
    assert row(a=several, b=[1.1 - half - 1e-9]).best() == "a"
    assert row("lower", a=several, b=[1.1 - half - 1e-9]).best() == "b"


def test_equal_runs_are_not_known_better_than_they_were_measured():
    tied = {"a": [(0.70, 0.05)] * 2, "b": [(0.65, 0.05)] * 2}
    assert row(**tied).best() is None
    assert row(**(tied | {"b": [(0.60, 0.05)] * 2})).best() == "a"


def test_the_best_is_better_than_every_other():
    assert row(a=[(3.0, 0.0)], b=[(2.0, 0.0)], c=[(1.0, 0.0)]).best() == "a"
    assert row(a=[(3.0, 1.0)], b=[(2.5, 1.0)], c=[(0.0, 0.1)]).best() is None
    assert row(a=[(1.0, 0.0)], b=[(1.0, 0.0)]).best() is None


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_told_and_not_judged(odd):
    assert row(a=[(1.0, 0.0)], b=[(odd, 0.0)]).best() is None
    assert row(a=[1.0, odd, 2.0], b=[0.5, 0.5]).best() is None
    assert row(a=[1.0, odd, 1.5], b=[0.5]).cell("a") == "1.25 ± 0.354 (2 of 3 runs)"
    assert row(a=[odd]).cell("a") == ("inf" if odd == math.inf else "")
    assert row(a=[1.0]).cell("b") == ""
    assert row(None, a=[(1.0, 0.0)], b=[(2.0, 0.0)]).best() is None


def test_cells():
    shares = Row("y", {"a": [Value(0.975, 0.01)], "b": [Value(0.9), Value(0.8)]}, None, 100.0, 1)
    assert shares.cell("a") == "97.5 (± 1.0)"
    assert shares.cell("b") == "85.0 ± 7.1"
    assert Row("z", {"a": [Value(12345.6)]}).cell("a") == "1.23e+04"


def test_table_and_verdict():
    rows = (
        row(a=[(1.0, 0.0)], b=[(0.0, 0.0)]),
        row("lower", a=[(1.0, 0.0)], b=[(0.5, 0.0)]),
        row(a=[(0.0, 0.0)], b=[(0.0, 0.0)]),
        row(None, a=[4.0], b=[5.0]),
    )
    table = Comparison("T", ("a", "b"), rows, ("note",), {"a": 3})
    heads, cells = table.cells()
    assert heads == ["", "a (n=3)", "b", "clearly better"]
    assert [one[-1] for one in cells] == ["a", "b", "", ""]
    text = table.markdown()
    assert text.splitlines()[2:5] == [
        "|  | a (n=3) | b | clearly better |",
        "| --- | --: | --: | --- |",
        "| x | 1 | 0 | a |",
    ]
    assert text.endswith("\nnote\n")
    assert table.verdict() == (
        "Clearly better, of 3 rows that say which way is better: a in 1, b in 1; undecided 1. "
        "Rows depend on each other."
    )
    apart = Comparison("T", ("a", "b"), rows, judged=False)
    assert apart.cells()[0] == ["", "a", "b"]
    alone = Comparison("T", ("a",), rows)
    assert alone.cells()[0] == ["", "a"]


@pytest.mark.parametrize("label", ["a", "b"])
def test_columns_are_as_many_as_headings(label):
    table = Comparison("T", (label,), (row(a=[1.0]),))
    heads, cells = table.cells()
    assert len(heads) == len(cells[0]) == 2
