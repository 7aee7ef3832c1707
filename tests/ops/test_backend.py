"""The registry: who is chosen, who refuses and why, and how a choice is forced."""

import logging
import subprocess
import sys

import pytest
import torch
from closed_forms import random_problem

from lipschitz_rnn.ops import (
    available_backends,
    explain_backend,
    lipschitz_scan,
    register_backend,
    use_backend,
)
from lipschitz_rnn.ops import backend as backend_module


class ZeroBackend:
    """Answers zero, only in float32, so that it is seen who ran a call."""

    name = "zero"
    priority = 20

    def unsupported_reasons(self, call):
        if call.input.dtype != torch.float32:
            return (f"dtype is {call.input.dtype}; supported: float32", "it is a test")
        return ()

    def scan(self, call):
        states = torch.zeros(*call.input.shape[:2], call.w.shape[0], dtype=call.h0.dtype)
        return states, states.new_zeros(states.shape[1:])


@pytest.fixture(autouse=True)
def _nobody_forced(monkeypatch):
    """Whatever backend the whole suite is run on, these tests are about the choice."""
    monkeypatch.setattr(backend_module._forced, "name", "auto")


@pytest.fixture
def zero(monkeypatch):
    monkeypatch.setattr(backend_module, "_registry", dict(backend_module._registry))
    register_backend(ZeroBackend())


def ran_on_zero(dtype=torch.float32, **options):
    problem = random_problem(dtype=dtype)
    return not lipschitz_scan(*problem.args, step_size=0.1, **options).any()


def test_reference_is_always_there():
    assert "reference" in available_backends()


@pytest.mark.usefixtures("zero")
def test_highest_priority_that_accepts_runs_the_call():
    assert available_backends()[0] == "zero"
    assert ran_on_zero()
    assert not ran_on_zero(torch.float64)


@pytest.mark.usefixtures("zero")
def test_argument_wins_over_block_and_block_over_default():
    with use_backend("reference"):
        assert not ran_on_zero()
        assert ran_on_zero(backend="zero")
        with use_backend("auto"):
            assert ran_on_zero()
        assert not ran_on_zero()
    assert ran_on_zero()


@pytest.mark.usefixtures("zero")
def test_block_ends_with_an_exception():
    with pytest.raises(KeyError), use_backend("reference"):
        raise KeyError
    assert ran_on_zero()


@pytest.mark.usefixtures("zero")
def test_refusal_lists_the_reasons_and_the_remedy():
    with pytest.raises(ValueError, match="cannot run this call") as caught:
        ran_on_zero(torch.float64, backend="zero")
    message = str(caught.value)
    assert "  - dtype is torch.float64; supported: float32\n  - it is a test\n" in message
    assert "backend='auto'" in message


@pytest.mark.usefixtures("zero")
def test_explanation_names_choice_and_refusals():
    problem = random_problem()
    choice = explain_backend(*problem.args, step_size=0.1)
    assert choice.name == available_backends()[1]
    assert choice.refused["zero"][1] == "it is a test"


@pytest.mark.usefixtures("zero")
def test_compiled_code_follows_a_forced_backend():
    problem = random_problem(dtype=torch.float32)
    compiled = torch.compile(
        lambda: lipschitz_scan(*problem.args, step_size=0.1), fullgraph=True, backend="eager"
    )
    assert not compiled().any()
    with use_backend("reference"):
        assert compiled().any()


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'reference'"):
        ran_on_zero(backend="referense")
    with pytest.raises(ValueError, match="expected `backend` to be one of auto"), use_backend("x"):
        pass


@pytest.mark.parametrize(("value", "outcome"), [("reference", "ok"), ("nosuch", "one of auto")])
def test_environment_variable(value, outcome):
    code = (
        "import torch; from lipschitz_rnn.ops import lipschitz_scan\n"
        "z = torch.zeros(1, 1)\n"
        "try:\n    lipschitz_scan(z[None], z, z, z, z, None, step_size=1.0); print('ok')\n"
        "except ValueError as error: print(error)"
    )
    environment = {"LIPSCHITZ_RNN_BACKEND": value, "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert outcome in done.stdout


@pytest.mark.usefixtures("zero")
def test_choice_is_logged_once(caplog):
    backend_module._log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="lipschitz_rnn"):
        ran_on_zero(torch.float64)
        ran_on_zero(torch.float64)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert repr(available_backends()[1]) in messages[0]
    assert "it is a test" in messages[0]
