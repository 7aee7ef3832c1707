"""Every trainable parameter of every unit in one group, and in the right one."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from lipschitz_rnn.analysis.parameter_groups import GROUPS, parameter_groups
from lipschitz_rnn.nn import LanguageModel, LipschitzRNN, SequenceClassifier
from lipschitz_rnn.nn.units.registry import UNITS, make_layer


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("unit", UNITS)
def test_nothing_is_lost_and_nothing_twice(unit, layers):
    layer = make_layer(unit, 2, 4, layers, bidirectional=True)
    model = SequenceClassifier(layer, 3, encoder=nn.Linear(2, 2))
    groups = parameter_groups(model)
    assert tuple(groups) == GROUPS
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert groups["head"] == ("head.weight", "head.bias")
    assert {"encoder.weight", "encoder.bias"} <= set(groups["other"])
    for group in ("W", "U"):  # both directions of all layers
        assert len(groups[group]) >= 2 * layers
    assert bool(groups["A"]) == unit.startswith("lipschitz")


def test_the_groups_of_a_lipschitz_unit():
    layer = LipschitzRNN(
        2, 4, 2, gated=True, bidirectional=True, trainable=("step_size", "alpha", "gamma_a")
    )
    groups = parameter_groups(layer)
    ends = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    assert set(groups["A"]) == {f"parametrizations.weight_a{e}.original" for e in ends}
    assert set(groups["W"]) == {f"parametrizations.weight_hh{e}.original" for e in ends}
    assert set(groups["U"]) == {f"{name}{e}" for e in ends for name in ("weight_ih", "bias")}
    assert groups["head"] == ()
    other = {f"{name}{e}" for e in ends for name in ("weight_gate", "bias_gate", "alpha")}
    other |= {f"parametrizations.step_size{e}.original" for e in ends}
    other |= {f"parametrizations.weight_a{e}.0.parametrizations.gamma.original" for e in ends}
    assert set(groups["other"]) == other


def test_the_groups_of_a_cell_and_of_torchs_own():
    cell = parameter_groups(SequenceClassifier(make_layer("lem", 2, 4), 3))
    assert cell["W"] == ("rnn.cells.0.weight_hh", "rnn.cells.0.weight_zh")
    assert cell["U"] == ("rnn.cells.0.weight_ih", "rnn.cells.0.bias")
    lstm = parameter_groups(nn.LSTM(2, 4, proj_size=3))
    assert lstm["W"] == ("weight_hh_l0",)
    assert lstm["U"] == ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0")
    assert lstm["other"] == ("weight_hr_l0",)


def test_constraints_leave_their_own_parameters_to_the_rest():
    groups = parameter_groups(LipschitzRNN(2, 4, constraint="contractive"))
    assert groups["other"] == ("log_metric_l0", "log_multiplier_l0")


def test_a_parametrization_with_several_parts():
    layer = parametrizations.weight_norm(nn.RNN(2, 4), "weight_hh_l0")
    expected = tuple(f"parametrizations.weight_hh_l0.original{k}" for k in (0, 1))
    assert parameter_groups(layer)["W"] == expected


def test_a_shared_parameter_goes_by_its_first_name():
    model = LanguageModel(LipschitzRNN(4, 4), 7, tie_weights=True)
    groups = parameter_groups(model)
    assert groups["head"] == ("head.bias",)
    assert groups["other"] == ("encoder.weight",)


def test_what_is_frozen_is_in_no_group():
    model = SequenceClassifier(LipschitzRNN(2, 4), 3)
    model.head.requires_grad_(False)
    model.rnn.weight_ih_l0.requires_grad_(False)
    groups = parameter_groups(model)
    assert groups["head"] == ()
    assert groups["U"] == ("rnn.bias_l0",)  # beside a matrix that is there, if frozen


def test_other_modules_are_other():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    groups = parameter_groups(model)
    assert groups["other"] == tuple(name for name, _ in model.named_parameters())
    assert not any(groups[group] for group in ("A", "W", "U", "head"))


def test_names_of_wrapped_models():
    model = nn.ModuleDict({"module": SequenceClassifier(LipschitzRNN(2, 4), 3)})
    groups = parameter_groups(model)
    assert groups["A"] == ("module.rnn.parametrizations.weight_a_l0.original",)
    assert groups["head"] == ("module.head.weight", "module.head.bias")

    class Headed(nn.Module):
        def __init__(self):
            super().__init__()
            self.header = nn.Linear(1, 1)
            self.weight_about = nn.Parameter(torch.zeros(1))  # not `weight_a`

    assert len(parameter_groups(Headed())["other"]) == 3
