"""Models of estimators as ONNX: windows, both directions, statistics of all states, gaps."""

import json
import sys

import numpy as np
import onnx
import pytest
import torch
from export.onnx_models import lipschitz, randomised, run_file
from matching import assert_matches
from torch import nn

from lipschitz_rnn import (
    LanguageModel,
    LipschitzRNN,
    LipschitzRNNClassifier,
    LipschitzRNNForecaster,
    LipschitzRNNRegressor,
    SequenceClassifier,
    SequenceRegressor,
)
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.export import export_onnx, export_onnx_step
from lipschitz_rnn.nn import make_layer
from lipschitz_rnn.nn.patches import Patches, PatchModel
from lipschitz_rnn.nn.pooled import PooledRegressor

EULER = "lipschitz", {"step_size": 0.3}
MIDPOINT = "lipschitz", {"step_size": 0.3, "method": "midpoint"}
LSTM = "lstm", {}
UNITS = {"euler": EULER, "midpoint": MIDPOINT, "lstm": LSTM}
PATCHES = [(1, 1), (1, 4), (3, 5), (4, 4)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def build(unit, patch=1, window=1, *, pooling=PooledRegressor, layers=1, **options):
    name, given = unit
    given = {"batch_first": True, "bidirectional": True, **given, **options}
    reader = pooling(make_layer(name, 2 * window, 5, layers, **given), 3)
    return reader if window == 1 else PatchModel(Patches(patch, window), reader)


def draw(model, batch, steps, *, lengths=False, mask=False, dt=False):
    """Arguments of a model of two features; what is missing is NaN."""
    dtype = next(model.parameters()).dtype
    input = torch.randn(batch, steps, 2, dtype=dtype)
    given = {"dt": torch.rand(batch, steps, dtype=dtype) * 2 if dt else None}
    given["lengths"] = torch.randint(1, steps + 1, (batch,)) if lengths else None
    given["mask"] = torch.rand(batch, steps, 2) < 0.6 if mask else None
    if mask:
        input[~given["mask"]] = torch.nan
    return input, given


def assert_answers(path, model, **takes):
    """One file, batches of several sizes and lengths, some shorter than a patch."""
    for batch, steps in ((3, 7), (1, 1), (4, 40), (2, 2)):
        input, given = draw(model, batch, steps, **takes)
        with torch.no_grad():
            known = model(input, **given)
        (found,) = run_file(path, input, *given.values())
        # sums over some ten numbers and over the steps, in another order
        assert_matches("output", found, known, steps=steps)


@pytest.mark.parametrize("takes", [(), ("lengths", "mask")], ids=str)
@pytest.mark.parametrize(("patch", "window"), PATCHES)
@pytest.mark.parametrize("unit", UNITS)
def test_series_of_any_length(path, unit, patch, window, takes):
    model = randomised(build(UNITS[unit], patch, window))
    takes = dict.fromkeys(takes, True)
    export_onnx(model, path, **takes)
    assert_answers(path, model, **takes)


@pytest.mark.parametrize("takes", [(), ("lengths", "mask")], ids=str)
@pytest.mark.parametrize("unit", UNITS)
def test_the_last_state_of_windows(path, unit, takes):
    model = randomised(build(UNITS[unit], 3, 5, pooling=SequenceRegressor, layers=2))
    takes = dict.fromkeys(takes, True)
    export_onnx(model, path, **takes)
    assert_answers(path, model, **takes)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("patch", "window"), PATCHES)
@pytest.mark.parametrize("unit", [EULER, MIDPOINT], ids=["euler", "midpoint"])
def test_series_at_irregular_times(path, unit, patch, window, bidirectional):
    model = build(unit, patch, window, layers=2, bidirectional=bidirectional)
    model = randomised(model, torch.float32)
    made = export_onnx(model, path, dt=True, lengths=True, mask=True)
    assert_answers(path, model, dt=True, lengths=True, mask=True)
    assert made.difference <= 64 * torch.finfo(torch.float32).eps


@pytest.mark.parametrize("constraint", ["contractive", "contractive-flow"])
def test_a_constrained_unit(path, constraint):
    model = randomised(build(EULER, 3, 5, constraint=constraint))
    export_onnx(model, path, dt=True)
    export_onnx(model, path)
    assert_answers(path, model)


def test_without_onnxruntime_the_reference_of_onnx_compares(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = randomised(build(EULER, 2, 3))
    made = export_onnx(model, path, dt=True, lengths=True, mask=True)
    assert made.compared_by.startswith("onnx.reference")
    assert made.difference <= 64 * torch.finfo(torch.float64).eps


def test_what_the_file_says(path):
    made = export_onnx(build(EULER, 3, 5), path, dt=True, lengths=True, mask=True)
    assert made.inputs == {
        "input": ("B", "T", 2),
        "dt": ("B", "T"),
        "lengths": ("B",),
        "mask": ("B", "T", 2),
    }
    assert made.outputs == {"output": ("B", 3)}
    file = onnx.load(path)
    told = {one.key: json.loads(one.value) for one in file.metadata_props}
    assert (told["model"], told["patch"], told["window"]) == ("PatchModel", 3, 5)
    kinds = [node.op_type for node in file.graph.node]
    assert kinds.count("Scan") == 3  # two directions, and what holds the last value


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("missing", ["hold", "zero"])
def test_gaps_of_a_plain_model(path, missing, batch_first):
    layer = lipschitz(missing=missing, batch_first=batch_first)
    model = randomised(SequenceClassifier(layer, 2, every_step=True))
    export_onnx(model, path, mask=True)
    input, hx = torch.randn(6, 4, 3).double(), torch.randn(1, 4 + 2 * batch_first, 5).double()
    mask = torch.rand(6, 4, 3) < 0.5
    input[~mask] = torch.nan
    with torch.no_grad():
        known = model(input, hx, mask=mask, need_state=True)
    for got, expected in zip(run_file(path, input, hx, mask), known, strict=True):
        assert_matches(missing, got, expected, steps=6)


def made_series(generator, count=12):
    series, times = [], []
    for length in generator.integers(3, 20, size=count):
        times.append(generator.exponential(size=length).cumsum())
        wave = np.sin(times[-1])[:, None] + [[100.0, 0.0]]
        series.append(np.where(generator.random(wave.shape) < 0.2, np.nan, wave))
    return series, times


def read(estimator, series, times):
    """What the graph of an estimator reads, by the page on estimators."""
    lengths = np.array([len(one) for one in series])
    batch = np.full((len(series), lengths.max(), 2), np.nan)
    held = np.ones(batch.shape[:2])
    for k, one in enumerate(series):
        batch[k, : len(one)] = one
        held[k, : len(one) - 1] = np.diff(times[k]) / estimator.scaling_.time_unit
    scaled = (batch - estimator.scaling_.mean) / estimator.scaling_.scale
    return (
        torch.from_numpy(scaled.astype(np.float32)),
        torch.from_numpy(np.minimum(held, 8).astype(np.float32)),
        torch.from_numpy(lengths),
        torch.from_numpy(~np.isnan(batch)),
    )


@pytest.mark.parametrize("patch", [None, 2])
@pytest.mark.parametrize("kind", [LipschitzRNNClassifier, LipschitzRNNRegressor])
def test_a_trained_estimator(path, kind, patch):
    series, times = made_series(np.random.default_rng(0))
    y = np.arange(len(series)) % 3
    estimator = kind(4, max_epochs=1, patch=patch, random_state=0).fit(series, y, times=times)
    export_onnx(estimator.model_, path, dt=True, lengths=True, mask=True)
    (found,) = run_file(path, *read(estimator, series, times))
    if kind is LipschitzRNNClassifier:
        found, known = found.softmax(1), estimator.predict_proba(series, times=times)
    else:
        found = found.numpy()[:, 0] * estimator.target_scale_ + estimator.target_mean_
        found, known = torch.from_numpy(found).float(), estimator.predict(series, times=times)
    assert_matches("answers", found, torch.from_numpy(known), steps=20)


def forecaster():
    wave = np.sin(np.arange(40))
    return LipschitzRNNForecaster(2, hidden_size=3, max_epochs=1, random_state=0).fit(wave).model_


NEEDS = "classifier or regressor of numbers with `mask`"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (forecaster, {}, "answers once for a series, got ForecastModel.*Forecasts"),
        (lambda: build(LSTM), {"dt": True}, "takes `dt`"),
        (lipschitz, {"mask": True}, f"{NEEDS}, got LipschitzRNN. Fill"),
        (lambda: LanguageModel(LipschitzRNN(3, 3), 5), {"mask": True}, f"{NEEDS}, got Lang"),
        (
            lambda: SequenceClassifier(LipschitzRNN(4, 3), 2, encoder=nn.Embedding(5, 4)),
            {"mask": True},
            f"{NEEDS}, got SequenceClassifier",
        ),
        (
            lambda: PatchModel(
                Patches(1, 2), SequenceRegressor(LipschitzRNN(4, 3), 2, every_step=True)
            ),
            {},
            "answers at every step",
        ),
    ],
)
def test_what_has_no_graph_says_why(path, make, options, message):
    with pytest.raises(InputError, match=message):
        export_onnx(make(), path, **options)
    assert not path.exists()


@pytest.mark.parametrize("window", [1, 2])
def test_no_step_of_a_whole_series(path, window):
    model = build(EULER, 1, window, bidirectional=False)
    with pytest.raises(InputError, match=r"export_onnx_step.*whole series"):
        export_onnx_step(model, path)
