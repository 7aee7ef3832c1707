"""What the record of a run keeps of A and W, and how it is read back."""

import json

import numpy as np
import pytest
import torch
from run_comparison import Stop, assert_same_run

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis.layers import find_units
from lipschitz_rnn.experiments import load_preset, load_trained, measure_spectra, train_run
from lipschitz_rnn.experiments.history import read_history
from lipschitz_rnn.experiments.runs import resume_run
from lipschitz_rnn.experiments.spectra import record_spectra
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier, make_layer
from lipschitz_rnn.training import EpochDone

SMALL = ["model.hidden_size=6", "training.epochs=3", "data.train_size=64"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spectra") / "run"
    train_run(load_preset("digits", [*SMALL, "model.alpha=0.5"]), folder)
    return folder


def epoch_lines(folder):
    lines = [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


def test_every_epoch_has_the_spectra_of_its_weights_as_they_are_run(run):
    lines = epoch_lines(run)
    assert len(lines) == 3
    assert len({line["spectra"]["l0"]["spectral_abscissa_a"] for line in lines}) == 3
    (unit,) = find_units(load_trained(run, "last").model)
    kept = lines[-1]["spectra"]["l0"]
    for name, matrix in (("a", unit.a), ("w", unit.w)):
        wanted = np.linalg.eigvals(matrix.astype(np.float64))
        found = np.array(kept[f"eigenvalues_{name}"]) @ (1, 1j)
        distance = np.abs(wanted[:, None] - found).min(1)
        assert distance.max() <= 2e-7 * np.abs(wanted).max()  # float32
        assert kept[f"spectral_abscissa_{name}"] == pytest.approx(wanted.real.max(), rel=1e-12)
    symmetric = (unit.a + unit.a.T).astype(np.float64) / 2
    assert kept["log_norm_a"] == pytest.approx(np.linalg.eigvalsh(symmetric)[-1], abs=1e-7)


def test_the_summary_keeps_its_meaning_without_alpha(run):
    after = json.loads((run / "summary.json").read_text())["after"]["l0"]
    kept = epoch_lines(run)[-1]["spectra"]["l0"]
    assert kept["spectral_abscissa_a"] == pytest.approx(0.5 * after["spectral_abscissa_a"])
    assert kept["spectral_abscissa_w"] == pytest.approx(after["spectral_abscissa_w"])
    assert set(after) == {"spectral_abscissa_a", "spectral_abscissa_w", "log_norm_a"}


def test_under_a_constraint_the_summary_is_of_the_damped_matrices():
    torch.manual_seed(0)
    layer = LipschitzRNN(1, 8, init_std=8.0, constraint="contractive-flow", rate=0.05)
    (unit,) = find_units(layer)
    wanted = np.linalg.eigvals(unit.a.astype(np.float64)).real.max()
    assert measure_spectra(layer)["l0"]["spectral_abscissa_a"] == pytest.approx(wanted)


def test_a_resumed_run_has_the_same_record(run, tmp_path):
    def stop(event):
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise Stop

    config = load_preset("digits", [*SMALL, "model.alpha=0.5"])
    with pytest.raises(Stop):
        train_run(config, tmp_path / "again", hooks=[stop])
    resume_run(tmp_path / "again")
    assert_same_run(run, tmp_path / "again")


@pytest.mark.parametrize("size", [128, 300])
def test_an_epoch_takes_10_kilobytes_at_most_on_average(size):
    torch.manual_seed(0)
    model = SequenceClassifier(LipschitzRNN(1, size, init_std=10.0), 10)
    every = -(-2 * size // 384)
    entries = [record_spectra(model, epoch, 7) for epoch in range(1, 8)]
    whole = [1 + i for i, entry in enumerate(entries) if "eigenvalues_a" in entry["l0"]]
    assert whole == [epoch for epoch in range(1, 8) if epoch % every == 0 or epoch == 7]
    assert len(json.dumps(entries[-1])) <= 10_200 * every
    assert all(entry["l0"]["log_norm_a"] is not None for entry in entries)


def test_units_without_these_matrices_record_nothing():
    for name in ("gru", "cornn", "cayley"):
        assert record_spectra(SequenceClassifier(make_layer(name, 2, 5), 3), 1, 1) == {}
    entry = record_spectra(make_layer("residual", 2, 5), 1, 1)["l0"]
    assert entry["eigenvalues_a"] is entry["log_norm_a"] is None
    assert len(entry["eigenvalues_w"]) == 5


def test_history_reads_what_was_written(run):
    history, lines = read_history(run / "record.jsonl"), epoch_lines(run)
    assert history.epochs.tolist() == [1, 2, 3]
    assert history.train_loss.tolist() == [line["train"]["loss"] for line in lines]
    unit = history.units["l0"]
    assert unit.log_norm_a.tolist() == [line["spectra"]["l0"]["log_norm_a"] for line in lines]
    assert list(unit.eigenvalues_w) == [1, 2, 3]
    first = unit.eigenvalues_w[1]
    assert first[0] == complex(*lines[0]["spectra"]["l0"]["eigenvalues_w"][0])
    assert first.real.max() == pytest.approx(unit.spectral_abscissa_w[0], rel=1e-6)


def test_records_of_before_and_damaged_ones(run, tmp_path):
    old = tmp_path / "record.jsonl"
    lines = [{k: v for k, v in line.items() if k != "spectra"} for line in epoch_lines(run)]
    old.write_text("".join(json.dumps(line) + "\n" for line in lines))
    history = read_history(old)
    assert history.units == {}
    assert len(history.validation_loss) == 3
    old.write_text('{"event": "epoch"')
    with pytest.raises(InputError, match="damaged"):
        read_history(old)
