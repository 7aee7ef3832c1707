"""Runs on arrays from disk: trained, tested, asked, gone on with, in bounded memory."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from data.array_files import make_arrays, save
from run_comparison import Stop, assert_same_run

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli import main
from lipschitz_rnn.data import ArrayDataset, SequenceDataset, load_split
from lipschitz_rnn.experiments import (
    build_data,
    build_model,
    evaluate_run,
    load_preset,
    load_trained,
    predict_run,
    resume_run,
    train_run,
)
from lipschitz_rnn.experiments.dynamics import largest_dt, sample_batch
from lipschitz_rnn.experiments.stream_rows import Scale, training_scale
from lipschitz_rnn.training import UpdateDone, fit, load_checkpoint, save_checkpoint

SMALL = ["model.hidden_size=6", "training.epochs=2", "training.batch_size=4", "training.threads=1"]
CUT = "training.truncate_steps=5"
LAYOUTS = {
    "classes": ({"lengths": True}, [CUT]),
    "values": ({}, [CUT, "model.unit=lstm"]),
    "symbols": ({"lengths": True}, [CUT]),
    "frames": ({"dtype": np.int16}, [CUT]),
    "symbols of a series": ({"series": True}, ["data.steps=7"]),
    "frames of a series": ({"series": True}, ["data.steps=7", "model.num_layers=2"]),
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path / "cache"))


def make_config(tmp_path, name):
    options, settings = LAYOUTS[name]
    folder = save(tmp_path / "data", make_arrays(name.split()[0], **options))
    return load_preset("arrays", [f"data.path={folder}", *SMALL, *settings])


def weights(folder):
    tensors, _ = load_checkpoint(folder / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model/")}


def loaded(dataset):
    """The same samples in memory."""
    parts = dataclasses.fields(dataset)
    arrays = {part.name: getattr(dataset, part.name) for part in parts}
    copies = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    if isinstance(dataset, ArrayDataset) and dataset.lengths is None and dataset.dt is None:
        target = copies["target"]
        target = target.astype(np.float32) if target.dtype.kind == "f" else target
        scale = 1 / 32768 if dataset.values.dtype == np.int16 else 1.0
        values = copies["values"].astype(np.float64 if scale != 1 else np.float32)
        return SequenceDataset(torch.from_numpy(values), torch.from_numpy(target), scale)
    return type(dataset)(**copies)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_and_memory_give_the_same_weights(tmp_path, name):
    config = make_config(tmp_path, name)
    mapped = build_data(config)
    memory = dataclasses.replace(
        mapped,
        train=loaded(mapped.train),
        validation=loaded(mapped.validation),
        test=loaded(mapped.test),
    )
    for kind, split in (("mapped", mapped), ("memory", memory)):
        model = build_model(config, split.train.input_size, split.output_size, split.kind)
        fit(config, split, model, tmp_path / kind)
    assert_same_run(tmp_path / "mapped", tmp_path / "memory")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_run_is_gone_on_with_and_tested(tmp_path, name):
    config, seen = make_config(tmp_path, name), []

    def stop(event):
        seen.append(event)
        if sum(isinstance(e, UpdateDone) for e in seen) == 4:
            raise Stop

    record = train_run(config, tmp_path / "whole")
    every = dataclasses.replace(
        config, training=dataclasses.replace(config.training, checkpoint_seconds=0)
    )
    with pytest.raises(Stop):
        train_run(every, tmp_path / "cut", hooks=[stop])
    resume_run(tmp_path / "cut")
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert evaluate_run(tmp_path / "whole", "last").for_record() == record.last.test


def test_other_data_are_refused(tmp_path):
    config = make_config(tmp_path, "classes")
    with pytest.raises(Stop):
        train_run(config, tmp_path / "run", hooks=[_stop_at_once])
    values = np.load(tmp_path / "data/validation_input.npy")
    values[-1, -1, -1] += 1e-6
    np.save(tmp_path / "data/validation_input.npy", values)
    with pytest.raises(InputError, match="expected the samples the run began with"):
        resume_run(tmp_path / "run")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"expected data\.path to be a folder, got none: .*data\."):
        resume_run(tmp_path / "run")


def _stop_at_once(event):
    if isinstance(event, UpdateDone):
        raise Stop


@pytest.mark.parametrize("name", LAYOUTS)
def test_predictions_are_those_that_were_tested(tmp_path, name):
    """The figure on the test samples follows from the predictions, whatever pieces they are in."""
    kind, config = name.split()[0], make_config(tmp_path, name)
    is_series = "series" in name
    if is_series:  # one row, as a prediction reads it
        training = dataclasses.replace(config.training, eval_batch_size=1)
        config = dataclasses.replace(config, training=training)
    record = train_run(config, tmp_path / "run")
    arrays = {k: np.load(tmp_path / f"data/test_{k}.npy") for k in ("input", "target")}
    answers = predict_run(tmp_path / "run", arrays["input"], "last")
    target = torch.from_numpy(arrays["target"])
    if kind in {"classes", "symbols"}:
        assert answers.shape == (*target.shape, 2)
        torch.testing.assert_close(answers.sum(-1), torch.ones(target.shape))
        chosen = predict_run(tmp_path / "run", arrays["input"], "last", choose=True)
        assert torch.equal(chosen, answers.argmax(-1))
        if not LAYOUTS[name][0].get("lengths"):  # predictions know of no padding
            share = (chosen == target).double().mean().item()
            assert share == pytest.approx(record.last.test["accuracy"], abs=1e-12)
    else:
        assert answers.shape == target.shape
        error = (answers.double() - target).square().mean().item()
        assert error == pytest.approx(record.last.test["mse"], rel=1e-5)
    for wrong in (arrays["input"][0], arrays["input"][..., :2], arrays["input"] > 0):
        with pytest.raises(InputError, match="predict: "):
            predict_run(tmp_path / "run", wrong)


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1 / 255), (np.int16, 1 / 32768)])
def test_integers_are_scaled_as_in_training_or_refused(tmp_path, capsys, dtype, scale):
    """A copy in another type would be read as it is: numbers some hundred times too large."""
    folder = save(tmp_path / "data", make_arrays("classes", dtype=dtype))
    train_run(load_preset("arrays", [f"data.path={folder}", *SMALL]), tmp_path / "run")
    samples = np.load(folder / "test_input.npy")
    trained = load_trained(tmp_path / "run")
    assert trained.input_dtype == samples.dtype.name
    with torch.no_grad():
        logits = trained.model(torch.from_numpy(samples.astype(np.float32)) * scale)
    torch.testing.assert_close(predict_run(tmp_path / "run", samples), logits.softmax(-1))
    wide = predict_run(tmp_path / "run", samples.astype(np.int64))  # as a text file has them
    assert torch.equal(wide, predict_run(tmp_path / "run", samples))
    other = np.int16 if dtype is np.uint8 else np.uint8
    for wrong in (samples.astype(np.float32), samples.astype(np.int64) + 2**16):
        with pytest.raises(InputError, match=r"predict: .*Convert (it|them) to what was trained"):
            predict_run(tmp_path / "run", wrong)
    assert torch.equal(predict_run(tmp_path / "run", samples.astype(other)), wide)
    limits, rows = np.iinfo(dtype), tmp_path / "rows.csv"
    scaled = training_scale(trained.config.data, trained.input_dtype)
    assert scaled == Scale(scale, limits.max, limits.min)
    np.savetxt(rows, samples[0], fmt="%d", delimiter=",")
    assert main(["stream", str(tmp_path / "run"), str(rows), "--probabilities"]) == 0
    out, err = capsys.readouterr()
    last = [float(share) for share in out.splitlines()[-1].split(",")[1:]]
    np.testing.assert_allclose(last, wide[0], rtol=2e-5)
    assert f"whole numbers from {limits.min} to {limits.max}, multiplied by {scale:.6g}" in err
    assert main(["stream", str(tmp_path / "run"), str(rows), "--scale", "1"]) == 0


def test_floats_as_trained_on_and_runs_that_did_not_say(tmp_path):
    folder = save(tmp_path / "data", make_arrays("classes"))
    train_run(load_preset("arrays", [f"data.path={folder}", *SMALL]), tmp_path / "run")
    samples = np.load(folder / "test_input.npy")
    predict_run(tmp_path / "run", samples.astype(np.float64))  # no float is scaled
    with pytest.raises(InputError, match="expected samples in float32, as trained on, got uint8"):
        predict_run(tmp_path / "run", samples.astype(np.uint8))
    path = tmp_path / "run/best.safetensors"
    tensors, meta = load_checkpoint(path)
    assert meta["data"].pop("input_dtype") == "float32"
    save_checkpoint(path, tensors, meta)
    trained = load_trained(tmp_path / "run")
    assert training_scale(trained.config.data, trained.input_dtype) == Scale()
    predict_run(tmp_path / "run", samples.astype(np.uint8))
    assert evaluate_run(tmp_path / "run").samples == len(samples)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_no_class_is_chosen_among_what_are_no_numbers(tmp_path, value):
    folder = save(tmp_path / "data", make_arrays("classes"))
    train_run(load_preset("arrays", [f"data.path={folder}", *SMALL]), tmp_path / "run")
    samples = np.load(folder / "test_input.npy").astype(np.float64)
    samples[2, 3, 1] = value
    told = f"got {np.float64(value)} in sample 2, counted from 0. Fill what is missing"
    with pytest.raises(InputError, match=re.escape(told)):
        predict_run(tmp_path / "run", samples)


def test_states_that_grow_without_bound_are_told(tmp_path):
    folder = save(tmp_path / "data", make_arrays("frames", series=True))
    settings = ["data.steps=7", "model.nonlinearity=identity", *SMALL]
    train_run(load_preset("arrays", [f"data.path={folder}", *settings]), tmp_path / "run")
    samples = np.load(folder / "test_input.npy")
    samples[5] = 3e38
    with pytest.raises(InputError, match="expected finite answers, got others to step 5"):
        predict_run(tmp_path / "run", samples)


def test_a_model_that_takes_times_is_not_asked_without(tmp_path):
    folder = save(tmp_path / "data", make_arrays("frames", dt=True))
    config = load_preset("arrays", [f"data.path={folder}", *SMALL, CUT])
    train_run(config, tmp_path / "run")
    assert load_trained(tmp_path / "run").timed
    with pytest.raises(InputError, match="expected a model of samples without dt, got one with"):
        predict_run(tmp_path / "run", np.load(folder / "test_input.npy"))


def test_an_earlier_run_knows_of_its_times_by_its_data_set(tmp_path):
    """Checkpoints did not say once; the samples are still taken for those of the run."""
    settings = ["data.steps=5", "data.sample_count=8", "data.validation_size=4", *SMALL]
    record = train_run(load_preset("pendulum", settings), tmp_path / "run")
    path = tmp_path / "run/last.safetensors"
    tensors, meta = load_checkpoint(path)
    assert meta["data"].pop("timed") is True
    save_checkpoint(path, tensors, meta)
    assert load_trained(tmp_path / "run", "last").timed
    assert evaluate_run(tmp_path / "run", "last").for_record() == record.last.test


def test_padding_before_the_one_answer_is_refused_where_samples_are_looked_at(tmp_path):
    ragged = build_data(make_config(tmp_path / "a", "classes"))
    with pytest.raises(InputError, match="test samples to be of one length where each has one"):
        sample_batch(ragged, 4)
    cut = sample_batch(build_data(make_config(tmp_path / "b", "symbols")), 4)
    assert cut.lengths is None
    assert cut.input.shape[1] == cut.target.shape[1] < 12
    timed = load_split("arrays", path=save(tmp_path / "c", make_arrays("frames", dt=True)))
    parts = (timed.train, timed.validation, timed.test)
    assert largest_dt(timed) == max(float(part.dt.max()) for part in parts)


def test_the_command_line_from_files_to_predictions(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "own/data", make_arrays("frames"))
    settings = [part for setting in (*SMALL, CUT) for part in ("--set", setting)]
    train = ["train", "arrays", "--set", "data.path=./own/data", *settings, "--quiet"]
    assert main([*train, "--out", "run"]) == 0
    assert 'path = "./own/data"' in (tmp_path / "run/config.toml").read_text()
    assert main(["evaluate", "run"]) == 0
    capsys.readouterr()
    assert main(["predict", "run", "own/data/test_input.npy"]) == 2
    assert "expected --out FILE.npy" in capsys.readouterr().err
    assert main(["predict", "run", "own/data/test_input.npy", "--out", "answers.npy"]) == 0
    answers = np.load("answers.npy")
    assert np.array_equal(answers, predict_run(Path("run"), np.load("own/data/test_input.npy")))
    assert main(["train", "arrays", "--quiet", "--out", "none"]) == 2
    assert "expected a value for path" in capsys.readouterr().err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", "../run"]) == 2
    assert main(["evaluate", "../run", "--data-dir", ".."]) == 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts memory as Linux does")
@pytest.mark.parametrize("layout", ["sequences", "series"])
def test_memory_is_that_of_a_piece(tmp_path, layout):
    """Of 400 MB, two rows of 500 steps are held at a time.

    A batch read whole, two sequences of 100,000 steps, would be 200 MB. A piece is 1 MB, held in
    less than eight copies; two blocks of 4 MB are held when a file is read for its digest.
    """
    script = Path(__file__).with_name("array_memory.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, tmp_path / "work", layout],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["size"] > 4e8
    assert 0 < found["grown"] < 16e6
