"""Measurements that are kept, and what is read back."""

import dataclasses
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments import load_trained, train_run
from lipschitz_rnn.experiments.measured import measured
from lipschitz_rnn.experiments.plain import as_json, restore
from lipschitz_rnn.experiments.registry import load_preset
from lipschitz_rnn.experiments.subjects import load_subjects

SMALL = ("training.epochs=1", "training.threads=1", "model.hidden_size=4", "data.train_size=64")


@dataclass(frozen=True)
class Inner:
    name: str
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    count: int
    value: float
    maybe: float | None
    inner: Inner | None
    many: tuple[Inner, ...]
    table: dict[str, Inner]
    pair: tuple[int, float]
    array: np.ndarray


FULL = Result(
    3, math.nan, 0.5, Inner("a", (1.0, math.inf)), (Inner("b", ()),), {"k": Inner("c", (2.0,))},
    (1, 2.5), np.array([[1.0, 2.0]]),
)  # fmt: skip


def run(folder, *settings, seed=1):
    seeds = [f"seed.{name}={seed}" for name in ("init", "order", "dropout")]
    train_run(load_preset("digits", [*SMALL, *settings, *seeds]), folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        "seed1": run(folder / "seed1"),
        "seed2": run(folder / "seed2", seed=2),
        "residual": run(folder / "residual", "model.unit=residual", "model.step_size=0.1"),
        "wide": run(folder / "wide", "model.hidden_size=5"),
    }


def test_results_come_back():
    found = restore(Result, json.loads(as_json(FULL)))
    assert np.array_equal(found.array, FULL.array)
    assert math.isnan(found.value)
    assert math.isnan(found.inner.numbers[1])  # JSON has no infinity
    same = dataclasses.replace(
        found, value=0.0, array=None, inner=dataclasses.replace(found.inner, numbers=())
    )
    known = dataclasses.replace(FULL, value=0.0, array=None, inner=Inner("a", ()))
    assert same == known
    none = restore(Result, json.loads(as_json(dataclasses.replace(FULL, inner=None, maybe=None))))
    assert none.inner is none.maybe is None
    with pytest.raises(KeyError):
        restore(Inner, {"name": "a"})


def test_what_was_measured_is_not_measured_again(runs, tmp_path):
    (subject,) = load_subjects([runs["seed1"]])
    calls = []

    def measure():
        calls.append(1)
        return Inner("a", (float(len(calls)),))

    def ask(folder=tmp_path / "new", one=subject, **settings):
        return measured(folder, "thing", one, settings, Inner, measure)

    assert ask(n=1) == ask(n=1) == Inner("a", (1.0,))
    assert ask(n=2) == Inner("a", (2.0,))  # other settings: another file
    assert ask(n=1) == Inner("a", (1.0,))
    (other,) = load_subjects([runs["seed1"]], "last")
    weights = other.trained.model.head.bias.detach()
    weights.add_(1)
    assert ask(one=other, n=1) == Inner("a", (3.0,))  # other weights
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert ask(n=1) == Inner("a", (1.0,))  # nothing was overwritten


def test_a_new_version_measures_anew(runs, tmp_path, monkeypatch):
    (subject,) = load_subjects([runs["seed1"]])
    measured(tmp_path, "thing", subject, {}, Inner, lambda: Inner("old", ()))
    monkeypatch.setattr("lipschitz_rnn.experiments.measured.VERSION", 99)
    found = measured(tmp_path, "thing", subject, {}, Inner, lambda: Inner("new", ()))
    assert found.name == "new"


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(runs, tmp_path):
    (subject,) = load_subjects([runs["seed1"]])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        measured(tmp_path / "file" / "x", "thing", subject, {}, Inner, lambda: 1 / 0)


def test_a_file_that_is_none_of_ours_is_kept(runs, tmp_path):
    (subject,) = load_subjects([runs["seed1"]])
    measured(tmp_path, "thing", subject, {}, Inner, lambda: Inner("a", ()))
    (path,) = tmp_path.iterdir()
    path.write_text("[1]")
    with pytest.raises(InputError, match="expected a measurement of ours"):
        measured(tmp_path, "thing", subject, {}, Inner, lambda: Inner("b", ()))
    assert path.read_text() == "[1]"


def test_names_and_labels(runs, tmp_path):
    found = load_subjects([runs["seed1"], runs["residual"], runs["seed2"]])
    assert [one.label for one in found] == ["lipschitz", "residual", "lipschitz"]
    assert found[0].name == f"{runs['seed1'].parent.name}-seed1"
    # two models that are described alike go by their folders
    found = load_subjects([runs["seed1"], runs["wide"], runs["seed2"]])
    assert [one.label for one in found] == ["seed1", "wide", "seed1"]
    with pytest.raises(InputError, match="twice"):
        load_subjects([runs["seed1"], runs["seed1"]])
    with pytest.raises(InputError, match=r"weights|run"):
        load_subjects([tmp_path])
    assert load_trained(runs["seed1"]).config.model.hidden_size == 4
