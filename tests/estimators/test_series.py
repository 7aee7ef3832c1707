"""What is read as series, and what is refused in one line."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import torch
from estimators.made_series import gappy_series

from lipschitz_rnn.estimators import LipschitzRNNClassifier
from lipschitz_rnn.estimators.series import Series, is_list_of_series, last_steps, without_last

SHORT = {"hidden_size": 3, "max_epochs": 1, "random_state": 0}
BLOCK = np.arange(24.0).reshape(4, 3, 2)
TABLE = np.arange(12.0).reshape(4, 3)
KINDS = [0, 1, 0, 1]


def read(X, times=None):
    return LipschitzRNNClassifier()._read(X, times, reset=True)


ONE_FEATURE = {
    "table": TABLE,
    "nested lists": TABLE.tolist(),
    "block": TABLE[:, :, None],
    "list of arrays": list(TABLE),
    "list of columns": list(TABLE[:, :, None]),
    "tuple": tuple(TABLE),
    "objects": np.array([*TABLE, np.zeros(2)], dtype=object)[:4],
    "tensors": list(torch.tensor(TABLE)),
    "tensor": torch.tensor(TABLE),
    "integers": TABLE.astype(int),
    "fortran": np.asfortranarray(TABLE),
}


@pytest.mark.parametrize("X", ONE_FEATURE.values(), ids=ONE_FEATURE)
def test_every_way_to_say_it_is_read_alike(X):
    series = read(X)
    assert series.values.tolist() == TABLE.reshape(-1, 1).tolist()
    assert series.counts.tolist() == [3, 3, 3, 3]


def test_lists_of_lists_of_unequal_lengths_are_series():
    series = read([[1, 2], [3], [4, 5, float("nan")]])
    assert series.counts.tolist() == [2, 1, 3]
    np.testing.assert_array_equal(series.values[:, 0], [1, 2, 3, 4, 5, np.nan])


def test_features_are_the_last_axis():
    assert read(BLOCK).values.tolist() == BLOCK.reshape(12, 2).tolist()
    assert read(list(BLOCK)).values.tolist() == BLOCK.reshape(12, 2).tolist()
    assert not is_list_of_series(TABLE, of_lists=True)


def test_what_was_read_is_not_changed():
    X = TABLE.copy()
    model = LipschitzRNNClassifier(**SHORT).fit(X, KINDS)
    model.predict(X)
    assert (X == TABLE).all()


def test_a_table_must_keep_its_columns_but_series_need_not_keep_their_length():
    model = LipschitzRNNClassifier(**SHORT).fit(TABLE, KINDS)
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match=r"2 features, but .* is expecting 3"):
        model.predict(TABLE[:, :2])
    assert model.predict(list(TABLE[:, :2])).shape == (4,)
    assert model.predict(TABLE[:, :2, None]).shape == (4,)
    model.fit(list(TABLE), KINDS)
    assert model.n_features_in_ == 1
    assert model.predict(TABLE[:, :2]).shape == (4,)


WRONG = {
    "texts": ([["a", "b"], ["c", "d"]], "could not convert"),
    "text in a series": ([np.arange(3), np.array(["x"])], r"series of numbers, got at X\[1\]"),
    "ragged series": ([np.arange(3), [[1, 2], [3]]], r"series of numbers, got at X\[1\]"),
    "infinity": (np.array([[1.0, np.inf]]), "infinity"),
    "infinity in a list": ([np.arange(3), np.array([np.inf])], r"infinity at X\[1\]"),
    "an empty series": ([np.arange(3), np.zeros(0)], r"at least one step, got shape \(0,\)"),
    "no features": ([np.zeros((3, 0))], r"got shape \(3, 0\) at X\[0\]"),
    "a series of blocks": ([np.zeros((2, 2, 2))], r"got shape \(2, 2, 2\) at X\[0\]"),
    "unequal features": ([np.zeros((2, 2)), np.zeros((2, 3))], r"2 feature\(s\) .* 3 at X\[1\]"),
    "four axes": (np.zeros((2, 2, 2, 2)), "dim 4|expected <= 2"),
    "one axis": (np.arange(3.0), "Reshape your data"),
    "no steps": (np.zeros((2, 0, 1)), "minimum of 1|at least one step"),
    "no series in an array": (np.zeros((0, 3)), "got none"),
    "no series in a tuple": ((), "got none"),
    "no series": ([], "at least one series of at least one step, got none"),
    "complex": (TABLE + 1j, "Complex data not supported"),
}


@pytest.mark.parametrize(("X", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_series_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        LipschitzRNNClassifier(**SHORT).fit(X, KINDS[: len(X)])


def test_other_features_than_in_fit_are_refused():
    model = LipschitzRNNClassifier(**SHORT).fit(BLOCK, KINDS)
    with pytest.raises(ValueError, match=r"series of 2 feature\(s\) as in `fit`, got 1"):
        model.predict(TABLE)


def test_times_become_gaps():
    times = [[0, 1, 3], [5, 5.5, 9]]
    gaps = read(TABLE[:2], times).gaps
    np.testing.assert_array_equal(gaps, [1, 2, np.nan, 0.5, 3.5, np.nan])
    array = read(TABLE[:2], np.array(times)).gaps
    np.testing.assert_array_equal(gaps, array)


def test_dates_are_seconds():
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-04"], dtype="datetime64[D]")
    gaps = read(TABLE[:2], [days, days + 365]).gaps
    np.testing.assert_array_equal(gaps, [86400, 172800, np.nan] * 2)


NAMES = ["2024-01-01T00:00", "2024-01-02T00:00", "2024-01-04T00:00"]
DATES = {
    "datetime": [datetime.fromisoformat(name) for name in NAMES],
    "date": [date.fromisoformat(name[:10]) for name in NAMES],
    "with zones": [
        datetime.fromisoformat("2024-01-01T01:00+01:00"),
        datetime.fromisoformat("2024-01-02T00:00+00:00"),
        datetime.fromisoformat("2024-01-03T19:00-05:00"),
    ],
    "durations": [timedelta(days=1), timedelta(days=2), timedelta(days=4)],
    "durations of numpy's": np.array([24, 48, 96], dtype="timedelta64[h]"),
    "objects": np.array(NAMES, dtype="datetime64[s]").astype(object),
    "nanoseconds": np.array(NAMES, dtype="datetime64[ns]"),
}


@pytest.mark.parametrize("stamps", DATES.values(), ids=DATES)
def test_dates_of_any_kind_are_seconds(stamps):
    other = np.array(["2025-01-01", "2025-01-02", "2025-01-04"], dtype="datetime64[D]")
    gaps = read(TABLE[:2], [stamps, other]).gaps
    np.testing.assert_array_equal(gaps, [86400, 172800, np.nan] * 2)


def test_summer_time_is_no_hour_longer():
    """Python subtracts the clocks of one zone, not the times."""
    zone = ZoneInfo("Europe/Berlin")
    stamps = [datetime(2024, 3, 30, 12, tzinfo=zone), datetime(2024, 3, 31, 12, tzinfo=zone)]
    assert read([[1.0, 2.0]] * 2, [stamps, stamps]).gaps[0] == 23 * 3600


WRONG_TIMES = {
    "dates among numbers": (
        [[0, 1, 2]] * 3 + [np.array(NAMES, dtype="datetime64[s]")],
        r"one kind, got numbers at times\[0\] and dates at times\[3\]",
    ),
    "numbers among dates": (
        [DATES["date"]] * 2 + [[0, 1, 2]] * 2,
        r"got dates at times\[0\] and others at times\[2\]",
    ),
    "a number among dates": ([[*DATES["date"][:2], 3]] * 4, r"times\[0\]: .* dates of one kind"),
    "dates with and without a clock": (
        [[DATES["date"][0], DATES["datetime"][1], DATES["date"][2]]] * 4,
        "dates of one kind",
    ),
    "dates backwards": ([DATES["datetime"][::-1]] * 4, r"increase, got others at times\[0\]"),
    "no time": ([np.array([*NAMES[:2], "NaT"], dtype="datetime64[s]")] * 4, "increase"),
    "too few": ([[0, 1, 2]], "4 series as X has, got 1"),
    "another length": ([[0, 1, 2]] * 3 + [[0, 1]], r"3 time stamps .* \(2,\) at times\[3\]"),
    "equal": ([[0, 1, 2]] * 2 + [[0, 1, 1]] * 2, r"increase, got others at times\[2\]"),
    "backwards": ([[2, 1, 0]] * 4, r"times\[0\]"),
    "missing": ([[0, 1, 2]] * 3 + [[0, 1, float("nan")]], r"times\[3\]"),
    "texts": ([["a", "b", "c"]] * 4, r"times\[0\]: expected numbers, or dates"),
    "infinite": ([[0, 1, 2]] * 3 + [[0, 1, float("inf")]], r"times\[3\]"),
}


@pytest.mark.parametrize(("times", "message"), WRONG_TIMES.values(), ids=WRONG_TIMES)
def test_times_that_are_none_are_refused(times, message):
    with pytest.raises(ValueError, match=message):
        LipschitzRNNClassifier(**SHORT).fit(TABLE, KINDS, times=times)


def test_times_belong_to_fit_and_predict_or_to_neither():
    series, times, kinds = gappy_series(6)
    with_times = LipschitzRNNClassifier(**SHORT).fit(series, kinds, times=times)
    with pytest.raises(ValueError, match="`times` both here and in"):
        with_times.predict(series)
    without = LipschitzRNNClassifier(**SHORT).fit(series, kinds)
    with pytest.raises(ValueError, match="`times` both here and in"):
        without.predict(series, times=times)


def test_equal_steps_of_any_size_are_as_none():
    """The same network, fed dt = 1 and fed none."""
    options = {"unit_options": {"step_size": 0.3}, "patch": 2}
    series, _, kinds = gappy_series(12)
    model = LipschitzRNNClassifier(**SHORT, **options).fit(series, kinds)
    times = [0.25 * np.arange(len(s)) for s in series]
    timed = LipschitzRNNClassifier(**SHORT, **options).fit(series, kinds, times=times)
    assert timed.scaling_.time_unit == 0.25
    got, expected = timed.predict_proba(series, times=times), model.predict_proba(series)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


SOME = Series(np.arange(9.0)[:, None], np.array([4, 2, 3]), np.arange(9.0))


def test_the_last_steps_and_all_but_them():
    last = last_steps(SOME, 3)
    assert last.values[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert last.counts.tolist() == [3, 2, 3]
    np.testing.assert_array_equal(last.gaps, [1, 2, np.nan, 4, np.nan, 6, 7, np.nan])
    before = without_last(SOME, 1)
    assert before.values[:, 0].tolist() == [0, 1, 2, 4, 6, 7]
    np.testing.assert_array_equal(before.gaps, [0, 1, np.nan, np.nan, 6, np.nan])


def test_series_are_extended_each_at_its_end():
    more = np.array([[[10.0], [11]], [[20], [21]], [[30], [31]]])
    gaps = np.where(np.isin(np.arange(9), [3, 5, 8]), np.nan, np.arange(9.0))
    longer = Series(SOME.values, SOME.counts, gaps).extended(more, 0.5)
    assert longer.values[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 4, 5, 20, 21, 6, 7, 8, 30, 31]
    assert longer.counts.tolist() == [6, 4, 5]
    nan, half = np.nan, 0.5
    expected = [0, 1, 2, half, half, nan, 4, half, half, nan, 6, 7, half, half, nan]
    np.testing.assert_array_equal(longer.gaps, expected)
