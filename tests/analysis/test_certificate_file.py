"""Certificates in files: read back to the last bit, refused when changed, and never a traceback."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from certificate_content import array_of, put, sign_again, sign_units

import lipschitz_rnn
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.analysis import barrier, certify, growth
from lipschitz_rnn.analysis.certificate_file import (
    load_certificate,
    save_certificate,
    verify_certificate,
)
from lipschitz_rnn.ops import ButcherTableau, Nonlinearity

KUTTA = ButcherTableau("kutta", 3, ((0.5,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6), (0.0, 0.5, 1.0))


def same(one, two):
    return type(one) is type(two) and (
        np.array_equal(one, two, equal_nan=True) if isinstance(one, np.ndarray) else one == two
    )


CASES = {
    "flow": {},
    "euler": {"step_size": 0.1},
    "midpoint": {"step_size": 0.1, "method": "midpoint", "nonlinearity": "sine"},
    "mine": {
        "step_size": 0.1,
        "method": KUTTA,
        "nonlinearity": Nonlinearity("mine", torch.tanh, 0.0, 1.0),
    },
}


@pytest.mark.parametrize(("damping", "strength"), [(3.0, "full"), (3.0, "norm"), (0.0, "norm")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_a_certificate_comes_back_as_it_was(tmp_path, case, dtype, damping, strength):
    a, w = torch.randn(2, 2, 2, dtype=dtype)
    a = 0.3 * a - damping * torch.eye(2, dtype=dtype)
    certificate = certify(a, w, **CASES[case], strength=strength)
    assert certificate.holds == (damping > 0)
    path = tmp_path / "c.json"
    save_certificate(certificate, path)
    (before,), (after,) = certificate.units, load_certificate(path).units
    for name in ("name", "holds", "reason", "growth", "strength", "substeps", "metric", "seconds"):
        assert same(getattr(before, name), getattr(after, name)), name
    assert same(before.rate, after.rate)
    assert same(before.contraction, after.contraction)
    for name in ("a", "w", "step_size", "tableau"):
        assert same(getattr(before.system, name), getattr(after.system, name)), name
    slopes = [
        (s.name, s.slope_min, s.slope_max)
        for s in (one.system.nonlinearity for one in (before, after))
    ]
    assert slopes[0] == slopes[1]
    assert len(before.multipliers) == len(after.multipliers)
    assert all(map(same, before.multipliers, after.multipliers))
    unit = json.loads(path.read_text())["units"][0]
    assert unit["a"]["dtype"] == unit["w"]["dtype"] == str(dtype).removeprefix("torch.")
    found = verify_certificate(path)
    assert found.holds == certificate.holds
    if not found.holds:
        assert str(found) == f"not certified: l0: {before.reason}"
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def test_a_model_is_verified_with_its_certificate(saved):
    model, _, path = saved
    found = verify_certificate(path, model)
    assert found.holds
    assert str(found) == "certified: proved again for 2 units"
    assert [line.split(":")[:2] for line in found.lines] == [
        ["l0", " certified"],
        ["l1", " certified"],
    ]
    assert 0 < found.seconds < 10
    assert load_certificate(path).contraction == saved[1].contraction


def test_the_search_takes_no_part(saved, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("the check used the search")

    for module in (growth, barrier):
        for name, value in vars(module).items():
            if callable(value) and getattr(value, "__module__", "") == module.__name__:
                monkeypatch.setattr(module, name, forbidden)
    assert verify_certificate(saved[2], saved[0]).holds


def test_nothing_that_the_check_imports_leads_to_the_search():
    root = Path(lipschitz_rnn.__file__).parent.parent
    todo, seen = ["lipschitz_rnn.analysis.certificate_file"], set()
    while todo:
        module = todo.pop()
        path = root / f"{module.replace('.', '/')}.py"
        if module in seen or not path.exists():  # an __init__ brings names, not what they call
            continue
        seen.add(module)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                todo += [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
            elif isinstance(node, ast.Import):
                todo += [one.name for one in node.names]
    room = "lipschitz_rnn.analysis."
    assert {room + "certificates", room + "increments", "lipschitz_rnn.linalg.balls"} <= seen
    assert not {room + "growth", room + "barrier", room + "certify"} & seen
    assert not any(name.startswith("scipy") for name in seen)


@pytest.mark.parametrize("what", ["a", "w", "step_size", "substeps", "max_dt", "method"])
def test_what_the_digest_binds_cannot_be_changed(content, write, what):
    unit = content["units"][1]
    if what in ("a", "w"):
        matrix = array_of(unit[what])
        matrix[0, 1] = np.nextafter(matrix[0, 1], np.float32(9))
        put(unit[what], matrix)
    elif what == "method":
        unit["method"]["name"] = "mine"
        unit["method"]["a_lower"] = [[0.5000000001]]
    else:
        unit[what] = 2 if what == "substeps" else 1e-9
    old = unit["sha256"]
    sign_again(content, 1)
    assert unit["sha256"] != old
    unit["sha256"] = old
    sign_units(content)
    path = write(content)
    found = verify_certificate(path)
    assert not found.holds
    assert found.reason.startswith("l1: expected the A, W, step, method and nonlinearity")
    assert found.lines[0].startswith("l0: certified")
    assert found.lines[1].startswith("l1: not certified")
    with pytest.raises(InputError, match=r"l1: expected the A, W, step, .*SHA-256"):
        load_certificate(path)


def test_a_forged_digest_does_not_help(content, write):
    """Matrices that grow, signed: the inequality is what counts."""
    unit = content["units"][0]
    put(unit["a"], np.eye(3))
    sign_again(content)
    found = verify_certificate(write(content))
    assert not found.holds
    assert found.reason == "l0: its growth, metric and multipliers do not prove it"


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-3, 0.03, 0.1, 0.3, 1.0, 3.0])
def test_a_changed_metric_is_refused_exactly_when_it_proves_nothing(content, write, size):
    unit = content["units"][0]
    unit["growth"] *= 0.9  # the search ends at the rim, where rounding decides
    sign_again(content)
    assert verify_certificate(write(content)).holds
    metric = array_of(unit["metric"])
    metric = np.diag(metric) if metric.ndim == 1 else metric  # where no full one was better
    unit["metric"]["shape"] = [3, 3]
    change = np.random.default_rng(0).standard_normal((3, 3))
    metric = metric + size * abs(metric).max() * (change + change.T)
    put(unit["metric"], metric)
    found = verify_certificate(write(content))
    # the truth, without balls: is S positive definite by far, or far from it?
    from lipschitz_rnn.analysis.increments import assemble, quadratic_form

    certificate = load_certificate(write(content)).units[0]
    variables = [certificate.metric, *certificate.multipliers]
    form = assemble(quadratic_form(certificate.system, certificate.growth), variables)
    smallest = min(np.linalg.eigvalsh(form)[0], np.linalg.eigvalsh(metric)[0])
    assert abs(smallest) > 1e-13 * np.trace(form)
    assert found.holds == (smallest > 0)


def test_a_scaled_proof_is_a_proof(content, write):
    unit = content["units"][0]
    for entry in (unit["metric"], *unit["multipliers"]):
        put(entry, 2.0**-7 * array_of(entry))
    assert verify_certificate(write(content)).holds
    put(unit["metric"], 1.5 * array_of(unit["metric"]))  # but both have one scale
    assert not verify_certificate(write(content)).holds


@pytest.mark.parametrize(("factor", "expected"), [(0.5, True), (1.01, False), (2.0, False)])
def test_a_changed_growth_is_proved_or_not(content, write, factor, expected):
    unit = content["units"][0]
    unit["growth"] *= factor
    path = write(content)
    with pytest.raises(InputError, match=r"rate: expected .* follows from the growth"):
        verify_certificate(path)
    sign_again(content)
    assert verify_certificate(write(content)).holds == expected


def test_what_does_not_hold_is_not_made_to_hold(content, write):
    unit = content["units"][0]
    unit |= {"holds": False, "rate": None, "contraction": None, "reason": "because"}
    found = verify_certificate(write(content))
    assert str(found) == "not certified: l0: because"


def test_times_are_as_the_method_bears_them(content, write):
    unit = content["units"][0]
    for dt, reason in ((2.0, "its times dt vary"), (None, "its times dt have no bound")):
        unit["max_dt"] = dt
        sign_again(content)
        found = verify_certificate(write(content))
        assert not found.holds
        assert reason in found.reason
