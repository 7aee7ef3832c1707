"""Training on a text: the state carried from batch to batch belongs to the run."""

import dataclasses

import pytest
import torch
from run_comparison import Stop, assert_same_run

from lipschitz_rnn.data import Split, SymbolStream
from lipschitz_rnn.nn import LanguageModel, make_layer
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
    fit,
    load_checkpoint,
    resume,
)


def text_split():
    generator = torch.Generator().manual_seed(0)
    text = torch.randint(5, (400,), generator=generator).cumsum(0) % 5
    parts = (SymbolStream(part, 5, 7) for part in (text[:250], text[250:320], text[320:]))
    return Split("toy", *parts, 5, "made here", "0" * 64, kind="characters")


def text_config(**training):
    settings = {"batch_size": 4, "eval_batch_size": 2, "checkpoint_seconds": 0} | training
    return RunConfig(
        "toy", DataConfig("toy", 7), ModelConfig(6), TrainingConfig(3, 0.01, **settings)
    )


def text_model(unit="lipschitz"):
    torch.manual_seed(1)
    return LanguageModel(make_layer(unit, 6, 6, batch_first=True), 5)


@pytest.mark.parametrize("unit", ["lipschitz", "lstm"])
@pytest.mark.parametrize("stop_after", [3, 9, 12])
def test_interrupted_within_a_text_equals_uninterrupted(tmp_path, unit, stop_after):
    split, config, seen = text_split(), text_config(), []

    def stop(event):
        seen.append(type(event).__name__)
        if seen.count("UpdateDone") == stop_after:
            raise Stop

    fit(config, split, text_model(unit), tmp_path / "whole")
    with pytest.raises(Stop):
        fit(config, split, text_model(unit), tmp_path / "cut", hooks=[stop])
    resume(tmp_path / "cut", split, text_model(unit))
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_the_checkpoint_within_an_epoch_has_the_state_and_the_one_at_its_start_none(tmp_path):
    split, kept = text_split(), []

    def look(event):
        tensors, _ = load_checkpoint(tmp_path / "last.safetensors")
        kept.append((type(event).__name__, [n for n in tensors if n.startswith("carried")]))

    fit(text_config(), split, text_model(), tmp_path, hooks=[look])
    updates = [names for kind, names in kept if kind == "UpdateDone"]
    assert updates[2] == ["carried/tensor/0"]


def test_the_learning_rate_falls_when_validation_fails_to_improve(tmp_path):
    rates, best = [], []

    def look(event):
        if type(event).__name__ == "EpochDone":
            rates.append(event.lr)
            best.append(event.is_best)

    training = dataclasses.replace(text_config(plateau_factor=0.5).training, epochs=6, lr=3.0)
    config = dataclasses.replace(text_config(), training=training)
    fit(config, text_split(), text_model(), tmp_path, hooks=[look])
    expected = 3.0
    for rate, is_best in zip(rates, best, strict=True):
        assert rate == expected
        expected *= 1 if is_best else 0.5
    assert False in best  # a rate of 3 is far too large
