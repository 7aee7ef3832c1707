import dataclasses

import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments import build_data, build_model, load_preset, preset_names
from lipschitz_rnn.nn import UNITS, LipschitzRNN
from lipschitz_rnn.training import RunConfig, SeedConfig, count_parameters

SIZES = {"digits": 8, "mnist-rows": 28, "mnist-8px": 8, "smnist": 1, "psmnist": 1}
SIZES |= {"smnist-best": 1, "psmnist-best": 1}
OTHERS = {  # input and output size, kind, parameters in print
    "mnist-8px-contractive": (8, 10, "classes", 9_418 + 2 * 64),  # metric and multipliers
    "scifar": (3, 10, "classes", 134_666),
    "scifar-noise": (96, 10, "classes", 158_474),
    "timit": (129, 129, "spectra", 197_505),
    "speech": (129, 129, "spectra", 197_505),
    "ptb-char": (50, 50, "characters", 1_323_300),
    "ptb-word": (10_000, 10_000, "words", None),
    "shakespeare": (65, 65, "characters", None),
    "adding": (2, 1, "values", None),
    "copying": (10, 9, "symbols", None),
    "pendulum": (1, 3, "frames", None),
    "arrays": (3, 2, "symbols", None),
}


def test_the_presets_are_these():
    assert set(preset_names()) == {*SIZES, *OTHERS}


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


@pytest.mark.parametrize("name", OTHERS)
def test_presets_of_other_kinds_load_and_build(name):
    config = load_preset(name)
    input_size, output_size, kind, parameters = OTHERS[name]
    assert config.name == name
    model = build_model(config, input_size, output_size, kind)
    assert parameters in {None, count_parameters(model)}
    if kind in {"characters", "words"}:
        logits, _ = model(torch.zeros(2, 3, dtype=torch.int64))
        assert logits.shape == (2, 3, output_size)
    else:
        answer = model(torch.zeros(2, 3, input_size))
        every_step = kind in {"spectra", "frames", "symbols"}
        assert answer.shape == ((2, 3, output_size) if every_step else (2, output_size))


def test_the_word_level_unit_has_the_parameters_in_print():
    model = build_model(load_preset("ptb-word"), 10_000, 10_000, "words")
    assert count_parameters(model.rnn) == 76_960


@pytest.mark.parametrize("name", sorted(UNITS))
def test_every_unit_trains_in_a_preset_by_its_name(name):
    """Another unit starts from its own defaults; the preset's options are of the preset's unit."""
    config = load_preset("digits", [f"model.unit={name}", "model.hidden_size=6"])
    kept = {"lipschitz"} & {name}
    assert bool(config.model.options) == bool(kept)
    assert RunConfig.from_toml(config.to_toml()) == config
    model = build_model(config, 8, 10)
    model(torch.rand(3, 8, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_options_that_a_unit_lacks_are_refused():
    with pytest.raises(InputError, match=r"the unit 'lstm' takes \(bias\), got beta=0.5"):
        load_preset("digits", ["model.unit=lstm", "model.beta=0.5"])
    config = load_preset("digits", ["model.unit=antisymmetric", "model.gamma=0.2"])
    assert config.model.options == {"gamma": 0.2}


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


@pytest.mark.parametrize(
    ("name", "step_size", "shift"), [("smnist", 0.03, 2), ("psmnist", 0.06, 1)]
)
def test_our_recipes_are_of_the_same_unit_size_and_data(name, step_size, shift):
    """But for training images that are changed at random."""
    ours, published = load_preset(f"{name}-best"), load_preset(name)
    assert ours.data == dataclasses.replace(published.data, shift=shift)
    assert ours.model == dataclasses.replace(published.model, step_size=step_size)
    assert ours.seed == published.seed
    assert (ours.training.schedule, ours.training.clip_norm) == ("one-cycle", 1.0)


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


def test_units_that_take_no_times_are_refused_where_there_are_some():
    able = {name for name in UNITS if UNITS[name].takes_dt}
    assert {"lipschitz", "residual", "antisymmetric", "cornn", "lem"} <= able
    for name in UNITS:
        config = load_preset("pendulum", [f"model.unit={name}", "model.hidden_size=4"])
        if name in able:
            model = build_model(config, 1, 3, "frames", timed=True)
            assert model(torch.zeros(2, 5, 1), dt=torch.ones(2, 5)).shape == (2, 5, 3)
        else:
            with pytest.raises(InputError, match="a unit that takes irregular times"):
                build_model(config, 1, 3, "frames", timed=True)


@pytest.mark.parametrize("name", ["speech", "shakespeare"])
def test_nobody_looks_at_what_is_to_be_predicted(name):
    config = load_preset(name, ["model.bidirectional=true"])
    with pytest.raises(InputError, match="bidirectional=False where what follows"):
        build_model(config, *OTHERS[name][:3])
