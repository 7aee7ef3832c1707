import dataclasses
import inspect
import math

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.reproduce import reproduce
from lipschitz_rnn.data import split_options
from lipschitz_rnn.data.split import KINDS
from lipschitz_rnn.experiments import build_model
from lipschitz_rnn.experiments.results import RowResult
from lipschitz_rnn.experiments.results_text import spread_text
from lipschitz_rnn.experiments.tables import Row, expand_sweep, load_table, table_names
from lipschitz_rnn.training import count_parameters

TABLES = (
    "pixel-mnist",
    "cifar10",
    "speech",
    "timit",
    "ptb-char",
    "ptb-word",
    "units",
    "ablation",
    "seeds",
    "short",
    "certified",
    "certified-rows",
    "certified-smnist",
    "robustness",
    "robustness-pixel",
    "shakespeare",
    "recipe-smnist",
    "recipe-psmnist",
    "recipe-gap",
)
SIZES = {  # input size, output size, kind
    "smnist": (1, 10, "classes"),
    "psmnist": (1, 10, "classes"),
    "smnist-best": (1, 10, "classes"),
    "psmnist-best": (1, 10, "classes"),
    "mnist-8px": (8, 10, "classes"),
    "mnist-8px-contractive": (8, 10, "classes"),
    "scifar": (3, 10, "classes"),
    "scifar-noise": (96, 10, "classes"),
    "timit": (129, 129, "spectra"),
    "speech": (129, 129, "spectra"),
    "shakespeare": (65, 65, "characters"),
    "ptb-char": (50, 50, "characters"),
    "ptb-word": (10_000, 10_000, "words"),
}


def parameters(row, seed=1):
    return count_parameters(build_model(row.config(seed), *SIZES[row.preset]))


def test_the_tables_are_those_of_the_paper_and_ours():
    assert set(table_names()) == set(TABLES)


def test_help_names_every_table():
    text = inspect.getdoc(reproduce).partition("Tables: ")[2].rstrip(".")
    assert {name.strip() for name in text.split(",")} == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_is_a_configuration_of_its_own(name):
    table = load_table(name)
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert table.seeds
    configs = [row.config(7) for row in table.rows]
    for config, row in zip(configs, table.rows, strict=True):
        assert config.training.test_every_epoch == (table.samples == "test")
        assert (config.seed.init, config.seed.order, config.seed.dropout) == (7, 7, 7)
        assert set(config.data.options) <= {*split_options(config.data.name), "train_size"}
        assert (row.printed is None) == (row.evidence == "")  # a number says how sure it is
        assert "weak" not in row.evidence  # a hint for tuning is not published
    assert len(set(configs)) == len(configs)


PUBLISHED = {
    ("pixel-mnist", "euler-64"): 8_970,
    ("pixel-mnist", "euler-128"): 34_314,
    ("pixel-mnist", "permuted-midpoint-128"): 34_314,
    ("pixel-mnist", "antisymmetric-128"): 9_674,
    ("pixel-mnist", "exponential-360"): 68_950,
    ("pixel-mnist", "cornn-128"): 34_314,
    ("pixel-mnist", "lem-128"): 67_850,
    ("cifar10", "euler-128"): 34_570,
    ("cifar10", "euler-256"): 134_666,
    ("cifar10", "noise-euler-128"): 46_474,
    ("cifar10", "noise-euler-256"): 158_474,
    ("cifar10", "antisymmetric-256"): 36_234,
    ("cifar10", "antisymmetric-gated-256"): 37_258,
    ("timit", "timit-euler"): 197_505,
    ("ptb-char", "euler-150"): 1_323_300,
    ("speech", "euler"): 197_505,
}


@pytest.mark.parametrize(("table", "row"), PUBLISHED)
def test_parameters_are_those_in_print(table, row):
    (found,) = load_table(table).choose([row])
    assert parameters(found) == PUBLISHED[table, row]


@pytest.mark.parametrize(("name", "size"), [("speech", 197_505), ("shakespeare", 168_577)])
def test_rows_have_equal_parameters(name, size):
    """The comparisons in speech and text are at equal size: within 1 % of the Lipschitz unit's."""
    counts = {row.name: parameters(row) for row in load_table(name).rows}
    assert len(counts) in {5, 6}
    for row, count in counts.items():
        assert math.isclose(count, size, rel_tol=0.01), (row, count)


def test_units_has_every_unit_at_equal_budget():
    from lipschitz_rnn.nn import UNITS

    table = load_table("units")
    configs = [row.config(1) for row in table.rows]
    assert {config.model.unit for config in configs} == set(UNITS)
    assert len({config.training for config in configs}) == 1
    assert {config.model.hidden_size for config in configs} == {64}
    assert table.seeds == (1, 2, 3)


def test_the_ablation_is_the_grid_that_was_asked_for():
    table = load_table("ablation")
    points = {
        (c.model.beta, c.model.alpha, c.model.method) for c in (r.config(1) for r in table.rows)
    }
    betas = (0.5, 0.65, 0.75, 0.8, 0.9, 1.0)
    assert points == {(b, a, m) for b in betas for a in (0.0, 1.0) for m in ("euler", "midpoint")}
    assert len(load_table("seeds").seeds) == 12


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'pixel-mnist'"):
        load_table("pixel-mist")
    with pytest.raises(InputError, match="Did you mean 'euler-128'"):
        load_table("pixel-mnist").choose(["euler-12"])
    assert [row.name for row in load_table("units").choose(["lstm", "cornn"])] == ["cornn", "lstm"]


def test_speech_and_timit_are_never_in_one_table():
    for name in TABLES:
        presets = {row.preset for row in load_table(name).rows}
        assert not {"timit", "speech"} <= presets
    assert all(row.printed is None for row in load_table("timit").rows)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "../up"}, "a name that a folder can have"),
        ({"name": ""}, "a name that a folder can have"),
        ({"preset": "x/.."}, "a name that a folder can have"),
        ({"set": ("seed.init=3",)}, "no seed among its settings"),
    ],
)
def test_rows_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(InputError, match=text):
        Row(**{"name": "a", "label": "A", "preset": "digits", **changes})


def test_runs_of_a_file_are_kept_under_its_name():
    assert Row("a", "A", "/somewhere/mine.toml").folder == "mine"


def test_names_of_a_sweep_tell_its_points_apart():
    axes = {"model.alpha": [0.5], "training.alpha": [0.9]}
    assert expand_sweep("digits", axes)[0].name == "model.alpha-0.5-training.alpha-0.9"
    axes = {"model.beta": [0.5]}
    names = {
        expand_sweep("digits", axes, [f"training.epochs={n}"], tag=True)[0].name for n in (1, 2)
    }
    assert len(names) == 2


def test_a_sweep_is_the_product_of_its_axes():
    rows = expand_sweep("digits", {"model.method": ["euler", "rk4"], "model.beta": [0.5, 1]})
    assert [row.name for row in rows] == [
        "method-euler-beta-0.5",
        "method-euler-beta-1",
        "method-rk4-beta-0.5",
        "method-rk4-beta-1",
    ]
    configs = [row.config(1) for row in rows]
    assert [(c.model.method, c.model.beta) for c in configs] == [
        ("euler", 0.5),
        ("euler", 1.0),
        ("rk4", 0.5),
        ("rk4", 1.0),
    ]


def test_spreads_say_how_many():
    assert spread_text([99.0], 2) == "99.00 (n=1)"
    assert spread_text([1.0, 3.0], 2) == "2.00 ± 1.41 (n=2)"  # n - 1 below the root
    assert spread_text([], 2) == "not run"


def test_figures_are_scaled_and_those_that_are_none_left_out():
    table = dataclasses.replace(load_table("seeds"), rows=())
    cards = {1: {"test_accuracy_last": 0.5}, 2: {"test_accuracy_last": None}}
    result = RowResult(Row("a", "a", "digits"), cards)
    assert result.values(table, "last") == [50.0]


def test_the_sizes_used_here_are_of_known_kinds():
    assert {kind for _, _, kind in SIZES.values()} <= set(KINDS)
