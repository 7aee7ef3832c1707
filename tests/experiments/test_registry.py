import dataclasses

import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments import build_data, build_model, load_preset, preset_names
from lipschitz_rnn.nn import LipschitzRNN
from lipschitz_rnn.training import RunConfig, SeedConfig, count_parameters

SIZES = {"digits": 8, "mnist-rows": 28, "mnist-8px": 8, "smnist": 1, "psmnist": 1}


def test_the_presets_are_these():
    assert set(preset_names()) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_presets_load_and_build(name):
    config = load_preset(name)
    assert config.name == name
    side = 8 if config.data.name == "digits" else 28
    assert config.data.steps * SIZES[name] == side**2
    model = build_model(config, SIZES[name], 10)
    n, p, q = config.model.hidden_size, SIZES[name], 10
    assert count_parameters(model) == 2 * n * n + n * (p + 1) + q * (n + 1)
    assert model(torch.zeros(2, config.data.steps, p)).shape == (2, q)


@pytest.mark.parametrize(("hidden_size", "expected"), [(64, 8_970), (128, 34_314)])
@pytest.mark.parametrize("name", ["smnist", "psmnist"])
def test_published_parameter_counts(name, hidden_size, expected):
    config = load_preset(name, [f"model.hidden_size={hidden_size}"])
    assert count_parameters(build_model(config, 1, 10)) == expected


@pytest.mark.parametrize(("name", "lr"), [("smnist", 0.003), ("psmnist", 0.0035)])
def test_published_hyper_parameters(name, lr):
    config = load_preset(name)
    model, training, data = config.model, config.training, config.data
    assert (model.hidden_size, model.beta, model.gamma) == (128, 0.75, 0.001)
    assert (model.step_size, model.method, model.init_std) == (0.03, "euler", 0.1)
    assert (training.optimizer, training.lr, training.epochs) == ("adam", lr, 100)
    assert (training.decay_epochs, training.decay_factor) == ((90,), 0.1)
    assert (training.batch_size, training.eval_batch_size) == (128, 1000)
    assert (training.weight_decay, training.clip_norm) == (0.0, 0.0)
    assert (data.steps, data.validation_size, data.split_seed) == (784, 2000, 1234)
    assert data.permutation == ("authors" if name == "psmnist" else None)


def test_mnist_8px():
    config = load_preset("mnist-8px")
    model = config.model
    assert (config.data.steps, model.hidden_size, model.step_size) == (98, 64, 0.1)
    assert (model.beta, model.gamma, model.method) == (0.75, 0.001, "euler")


def test_every_setting_reaches_the_unit():
    config = load_preset(
        "digits",
        [
            "model.num_layers=2",
            "model.beta=0.6",
            "model.gamma=0.2",
            "model.beta_w=0.7",
            "model.gamma_a=0.3",
            "model.method=rk4",
            "model.substeps=2",
            "model.nonlinearity=sine",
            "model.alpha=0.5",
            "model.trainable=[step_size]".replace("step_size", "'step_size'"),
            "model.bias=false",
            "model.dropout=0.25",
            "model.bidirectional=true",
        ],
    )
    model = build_model(config, 8, 10)
    rnn = model.rnn
    assert isinstance(rnn, LipschitzRNN)
    options = rnn.options
    assert (rnn.num_layers, rnn.bidirectional, rnn.batch_first, rnn.dropout) == (
        2,
        True,
        True,
        0.25,
    )
    assert (options.beta_a, options.beta_w) == (0.6, 0.7)
    assert (options.gamma_a, options.gamma_w) == (0.3, 0.2)
    assert (options.method, options.substeps, options.nonlinearity) == ("rk4", 2, "sine")
    assert (options.alpha, options.bias, tuple(options.trainable)) == (0.5, False, ("step_size",))
    assert model.dropout == 0.25


def test_a_toml_file_is_a_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(load_preset("digits").to_toml())
    assert load_preset(str(path)) == load_preset("digits")
    path.write_text("name = 3")
    with pytest.raises(InputError, match=r"mine\.toml: expected a value for `data.name`"):
        load_preset(str(path))
    with pytest.raises(FileNotFoundError):
        load_preset(str(tmp_path / "absent.toml"))


def test_unknown_presets_name_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'smnist'"):
        load_preset("sminst")


def test_settings_that_do_not_fit_together_are_bad_input():
    config = load_preset("digits", ["model.trainable=['beta_a']", "model.beta=1.0"])
    with pytest.raises(InputError, match="model settings of 'digits'") as caught:
        build_model(config, 8, 10)
    assert "\n" not in str(caught.value)


def test_initial_weights_depend_on_their_seed_alone():
    def weights(config):
        return torch.cat([p.flatten() for p in build_model(config, 8, 10).parameters()])

    def reseeded(**seeds):
        return dataclasses.replace(base, seed=SeedConfig(**seeds))

    base: RunConfig = load_preset("digits")
    torch.manual_seed(0)
    first = weights(base)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(weights(reseeded(order=5, dropout=6)), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(weights(reseeded(init=2)), first)


def test_data_is_what_the_configuration_says():
    split = build_data(load_preset("digits", ["data.steps=16", "data.validation_size=100"]))
    assert (split.train.steps, split.train.input_size) == (16, 4)
    assert len(split.validation) == 100
