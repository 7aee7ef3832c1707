import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.nn import unit_options
from lipschitz_rnn.training import (
    DataConfig,
    ModelConfig,
    RunConfig,
    SeedConfig,
    TrainingConfig,
)

MINIMAL = """
name = "small"
[data]
name = "digits"
steps = 8
[model]
hidden_size = 16
[training]
epochs = 3
lr = 0.01
"""


def test_defaults_are_the_published_settings():
    config = RunConfig.from_toml(MINIMAL)
    model, training = config.model, config.training
    assert model.options == {}  # left to the unit
    unit = unit_options(model.unit)
    assert (unit["beta"], unit["gamma"], unit["step_size"]) == (0.75, 0.001, 0.03)
    assert (unit["method"], unit["init_std"]) == ("euler", 0.1)
    assert (training.optimizer, training.batch_size, training.clip_norm) == ("adam", 128, 0.0)
    assert config.seed == SeedConfig(1, 1, 1)


floats = st.floats(1e-6, 1e3)


@given(
    beta_a=st.none() | st.floats(0, 1),
    step_size=floats,
    lr=floats,
    decay_epochs=st.lists(st.integers(1, 1000), max_size=4),
    betas=st.none() | st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    seed=st.integers(0, 2**63 - 1),
    name=st.text(min_size=1).filter(str.isprintable),
    permutation=st.none() | st.just("authors"),
    trainable=st.lists(st.sampled_from(["step_size", "beta_a"]), max_size=2),
)
def test_written_and_read_back_is_the_same(
    beta_a, step_size, lr, decay_epochs, betas, seed, name, permutation, trainable
):
    config = RunConfig(
        name,
        DataConfig("digits", 8, permutation=permutation),
        ModelConfig(16, beta_a=beta_a, step_size=step_size, trainable=tuple(trainable), gated=True),
        TrainingConfig(3, lr, decay_epochs=tuple(decay_epochs), betas=betas),
        SeedConfig(order=seed),
    )
    again = RunConfig.from_toml(config.to_toml())
    assert again == config


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("model.beta=1", "model", "beta", 1.0),
        ("model.trainable=['step_size']", "model", "trainable", ("step_size",)),
        ("data.permutation=authors", "data", "permutation", "authors"),
        ('data.permutation="authors"', "data", "permutation", "authors"),
        ("data.permutation=", "data", "permutation", None),
        (" training.lr = 2e-3 ", "training", "lr", 0.002),
        ("training.decay_epochs=[1, 2]", "training", "decay_epochs", (1, 2)),
        ("model.gated=true", "model", "gated", True),
        ("seed.init=7", "seed", "init", 7),
    ],
)
def test_overrides(override, section, key, value):
    config = RunConfig.from_toml(MINIMAL, [override])
    got = getattr(getattr(config, section), key)
    assert got == value
    assert type(got) is type(value)


def test_the_last_override_wins():
    assert RunConfig.from_toml(MINIMAL, ["model.beta=0.5", "model.beta=0.6"]).model.beta == 0.6


BAD_OVERRIDES = [
    ("model.hiden_size=3", "Did you mean 'hidden_size'"),
    ("modle.hidden_size=3", "Did you mean 'model'"),
    ("model.hidden_size", "section.key=value"),
    ("model.hidden_size=", "cannot be unset"),
    (".beta=1", "section.key=value"),
    ("model.beta.x=1", "known setting"),
    ("model=3", "to be a table"),
    ("model.beta=1 2", "TOML value or a bare word"),
    ("model.beta=1\ngamma=2", "one TOML value"),
    ("model.hidden_size=1.5", "type int"),
    ("model.hidden_size=true", "type int"),
    ("model.hidden_size=0", "1 <= `hidden_size` <= 65536, got 0"),
    ("model.beta=true", "type float"),
    ("model.beta=1.01", "<= 1"),
    ("model.beta=-0.1", "0 <="),
    ("model.beta=nan", "0 <="),
    ("model.alpha=nan", "got nan"),
    ("model.alpha=inf", "got inf"),
    (f"model.alpha={'9' * 400}", "got inf"),
    ("model.step_size=0", "0 < `step_size` <= "),
    ("model.gated=1", "type bool"),
    ("model.method=ruler", "Did you mean 'euler'"),
    ("model.nonlinearity=tan", "Did you mean 'tanh'"),
    ("model.trainable=step_size", "a list"),
    ("model.trainable=[1]", "type str"),
    ("model.dropout=1", "< 1"),
    ("training.optimizer=adm", "Did you mean 'adam'"),
    ("training.momentum=0.9", "options that adam takes"),
    ("training.betas=[0.9]", "2 values"),
    ("training.betas=[0.9, 1.0]", "< 1"),
    ("training.lr=-1", "0 < `lr` <= "),
    ("training.threads=-1", "0 <="),
    ("training.decay_epochs=[0]", ">= 1"),
    ("training.batch_size=100000000000000000000", "got 100000000000000000000"),
    ("model.hidden_size=1000000", "<= 65536"),
    ("seed.init=-1", "0 <="),
    (f"seed.init={2**63}", "0 <="),
    ("data.validation_size=0", ">= 1"),
    ('data.name="a\\nb"', "printable"),
]


@pytest.mark.parametrize(("override", "expected"), BAD_OVERRIDES, ids=lambda x: x[:30])
def test_bad_values_are_refused_in_one_line(override, expected):
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        RunConfig.from_toml(MINIMAL, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a value for `name`"),
        ("x = ", "a TOML file"),
        ("\0", "a TOML file"),
        ('name = "a"', "a value for `data.name`"),
        (MINIMAL.replace("lr = 0.01", ""), "a value for `training.lr`"),
        (MINIMAL + "[modle]\n", "Did you mean 'model'"),
        (MINIMAL + "learning_rate = 1\n", "training.learning_rate"),
        ("model = 3\n" + MINIMAL.replace("[model]\nhidden_size = 16", ""), "to be a table"),
        ("x=" + "[" * 100_000, "a TOML file"),
    ],
    ids=range(9),
)
def test_bad_text_is_refused_in_one_line(text, expected):
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        RunConfig.from_toml(text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"a\.toml: expected a TOML file"):
        RunConfig.from_toml(path)


def test_wrong_section_object_is_refused():
    config = RunConfig.from_toml(MINIMAL)
    with pytest.raises(InputError, match="model: expected a value of type ModelConfig"):
        dataclasses.replace(config, model=config.data)


def test_decay_begins_once_so_many_epochs_are_finished():
    training = TrainingConfig(epochs=100, lr=1.0, decay_epochs=(90, 95), decay_factor=0.1)
    rates = [training.lr_at(epoch - 1, 3, 5) for epoch in (1, 90, 91, 95, 96, 100)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
