"""The kernel against the float64 reference: every variant, method, layout and gradient."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from matching import assert_matches
from native_problems import ALL, NAMES, SHAPES, make, run

from lipschitz_rnn.ops import buffers, explain_backend, lipschitz_scan, use_variant, variants
from lipschitz_rnn.ops import library as library_module
from lipschitz_rnn.ops.library import Missing

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]
DTYPES = [torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def _poison(monkeypatch):
    """Every array that the kernel fills begins as NaN, its workspace included."""
    take, empty_like = buffers.take, torch.empty_like

    def poisoned(shape, dtype):
        tensor = take(shape, dtype)
        return tensor.fill_(0xFF if dtype == torch.uint8 else float("nan"))

    monkeypatch.setattr(buffers, "take", poisoned)
    monkeypatch.setattr(torch, "empty_like", lambda x: empty_like(x).fill_(float("nan")))


def assert_agrees(arguments, dtype, shape, *, weights="states", wanted=NAMES):
    """8 eps sqrt(T) at every output and gradient, against the reference in float64."""
    expected = run(arguments, "reference", weights, wanted)
    got = run(arguments.to(dtype), "native", weights, wanted)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name].dtype == dtype
        assert_matches(name, got[name], value, steps=shape[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("linear", [True, False], ids=["linear", "residual"])
@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize(
    ("steps", "wanted"),
    [("number", NAMES), ("per sample", ("step_size",))],
    ids=["fixed steps", "learned steps"],
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(shape, steps, wanted, variant, method, linear, dtype):
    arguments = make(shape, linear=linear, method=method, steps=steps, dtype=dtype)
    with use_variant(variant):
        assert_agrees(arguments, dtype, shape, wanted=wanted)


@pytest.mark.parametrize("learned", [False, True], ids=["fixed steps", "learned steps"])
@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("output", ["all", "last"])
@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("T", [1, 2, 3, 4, 15, 16, 17, 50])
def test_every_way_to_hold_memory(T, variant, method, output, memory, learned):
    """Lengths around squares and the stride of states kept: segments end early, or just so."""
    shape = (T, 15, 18, 2)
    options = {"method": method, "output": output, "memory": memory}
    arguments = make(shape, steps="per step", dtype=torch.float32, **options)
    with use_variant(variant):
        assert_agrees(arguments, torch.float32, shape, wanted=ALL if learned else NAMES)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("method", ["euler", "midpoint"])
@pytest.mark.parametrize("steps", ["scalar", "per step", "per sample"])
def test_every_kind_of_step(steps, method, dtype):
    shape = (15, 15, 18, 2)  # T = B: a transposed table would not be noticed by its shape
    assert_agrees(make(shape, steps=steps, method=method, dtype=dtype), dtype, shape, wanted=ALL)


@pytest.mark.parametrize("method", ["euler", "midpoint"])
def test_steps_of_no_length_have_a_gradient_too(method):
    """A step of zero moves nothing, but a longer one would: no slope is found by a quotient."""
    shape = (15, 15, 18, 2)
    arguments = make(shape, steps="per sample", method=method)
    arguments.step_size[::2] = 0
    assert_agrees(arguments, torch.float64, shape, wanted=ALL)
    assert run(arguments, "native", wanted=ALL)["step_size"][::2].all()


@pytest.mark.parametrize("variant", variants())
def test_an_infinite_input_leaves_the_gradient_of_the_steps_finite(variant):
    """Where tanh is saturated the states are finite; what pads the last vector is not."""
    arguments = make((4, 3, 5, 2), steps="per sample")
    arguments.tensors["input"][..., 0] = float("inf")
    with use_variant(variant):
        expected, got = (
            run(arguments, name, wanted=("step_size",)) for name in ("reference", "native")
        )
    assert expected["step_size"].isfinite().all()
    assert_matches("step_size", got["step_size"], expected["step_size"], steps=4)


WANTED = [("w",), ("input",), ("h0",), ("a", "b"), ("u",), ("h0", "w"), ("step_size",)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("wanted", WANTED, ids=", ".join)
def test_only_the_gradients_asked_for(wanted, bias):
    wanted = tuple(name for name in wanted if bias or name != "b")
    shape = (10, 15, 18, 12)
    arguments = make(shape, bias=bias, steps="per sample")
    assert_agrees(arguments, torch.float64, shape, wanted=wanted)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_rows_and_repeat_bit_for_bit(threads):
    shape = (60, 70, 64, 1)
    arguments = make(shape, steps="per sample", dtype=torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_agrees(arguments, torch.float32, shape, wanted=ALL)
        single = arguments.to(torch.float32)
        first, again = (run(single, "native", wanted=ALL) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


@pytest.mark.parametrize("variant", variants())
def test_repeats_bit_for_bit(variant):
    arguments = make((30, 9, 33, 3), dtype=torch.float32).to(torch.float32)
    with use_variant(variant):
        first, again = (run(arguments, "native") for _ in range(2))
    for name, value in first.items():
        assert torch.equal(value, again[name]), name


def test_a_loss_on_the_last_state_alone():
    shape = (30, 9, 33, 3)
    assert_agrees(make(shape), torch.float64, shape, weights="last")


def strided(x):
    """The same numbers with a NaN after each."""
    return torch.stack((x, torch.full_like(x, float("nan"))), -1)[..., 0]


def test_any_strides():
    """Every second number, transposed, expanded; torch itself has no negative strides."""
    arguments = make((6, 6, 6, 6))
    expected = run(arguments, "reference")
    odd = {k: strided(x) for k, x in arguments.tensors.items()}
    assert not odd["w"].is_contiguous()
    got = run(type(arguments)(odd, 0.1, {}), "native")
    for name, value in expected.items():
        assert_matches(name, got[name], value, steps=6)
    turned = arguments.tensors | {
        "input": arguments.tensors["input"].transpose(0, 1),
        "w": arguments.tensors["w"].T,
        "b": arguments.tensors["b"][:1].expand(6),
    }
    both = [run(type(arguments)(turned, 0.1, {}), name) for name in ("native", "reference")]
    for name in both[0]:
        assert_matches(name, both[0][name], both[1][name], steps=6)


def test_a_gradient_with_any_strides():
    arguments = make((6, 5, 4, 3))
    leaf = arguments.tensors["w"].requires_grad_()
    grads = []
    for backend in ("native", "reference"):
        out = lipschitz_scan(*arguments.tensors.values(), step_size=0.1, backend=backend)
        expanded = torch.ones(1, dtype=torch.float64).expand_as(out)
        grads.append(torch.autograd.grad(out, leaf, expanded)[0])
    assert_matches("w", *grads, steps=6)


@pytest.mark.parametrize("shape", [(0, 3, 4, 2), (5, 0, 4, 2), (5, 3, 0, 2)], ids=str)
def test_empty_calls_go_to_the_reference(shape):
    T, B, N, P = shape
    z = torch.zeros
    args = z(T, B, P), z(B, N), z(N, N), z(N, N), z(N, P), z(N)
    choice = explain_backend(*args, step_size=0.1)
    assert choice.refused["native"] == ("there is nothing to compute",)
    assert lipschitz_scan(*args, step_size=0.1).shape == (T, B, N)
    assert lipschitz_scan(*args, step_size=0.1, output="last").shape == (B, N)


def test_a_huge_call_fails_cleanly():
    """2^50 steps through an expanded input: an error of memory, not a crash."""
    input = torch.zeros(1, 1, 1).expand(2**50, 1, 1)
    z = torch.zeros(1, 1)
    with pytest.raises((RuntimeError, MemoryError), match="alloc"):
        lipschitz_scan(input, z, z, z, z, None, step_size=0.1, backend="native")


def raw(**changes):
    arguments = dict(make((3, 2, 4, 2), dtype=torch.float32).to(torch.float32).tensors)
    settings = {"step_sizes": None, "step_size": 0.1, "method": 0, "stride": 1, "keep_tanhs": True}
    arguments |= {k: v for k, v in changes.items() if k in arguments}
    settings |= {k: v for k, v in changes.items() if k in settings}
    return torch.ops.lipschitz_rnn.scan(*arguments.values(), *settings.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_steps_in_float32_beside_half_precision(dtype):
    arguments = make((15, 9, 18, 2), steps="per sample").to(dtype)
    arguments = replace(arguments, step_size=arguments.step_size.float())
    expected, got = (run(arguments, name, wanted=ALL) for name in ("reference", "native"))
    assert got["step_size"].dtype == torch.float32
    assert_matches("step_size", got["step_size"], expected["step_size"], steps=15)


def test_tanhs_kept_past_the_public_op_do_not_spoil_the_gradient_of_the_steps():
    step = torch.full((3,), 0.1, requires_grad=True)
    gradients = []
    for keep_tanhs in (True, False):
        states, _, _ = raw(step_sizes=step, keep_tanhs=keep_tanhs)
        gradients += torch.autograd.grad(states.sum(), step)
    assert torch.equal(*gradients)


WRONG = [
    {"h0": torch.zeros(3, 4)},
    {"h0": torch.zeros(2, 4, dtype=torch.float64)},
    {"w": torch.zeros(4, 5)},
    {"w": torch.zeros(8, 4)[::2]},
    {"a": torch.zeros(3, 4)},
    {"u": torch.zeros(2, 4).T},
    {"b": torch.zeros(5)},
    {"input": torch.zeros(3, 2)},
    {"input": torch.zeros(0, 2, 2)},
    {"step_sizes": torch.ones(2)},
    {"step_sizes": torch.ones(3, 3)},
    {"method": 2},
    {"stride": 0},
]


@pytest.mark.parametrize("changes", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_the_operator_itself_lets_no_wrong_address_out(changes):
    """Called past the public op, by whoever finds it in ``torch.ops``."""
    with pytest.raises(ValueError, match="lipschitz_rnn::scan: expected"):
        raw(**changes)


def test_refusals_name_their_reasons():
    arguments = make((3, 2, 4, 2))
    cases = {
        "method is 'rk4'; supported: euler, midpoint": {"method": "rk4"},
        "nonlinearity is 'relu'; supported: 'tanh'": {"nonlinearity": "relu"},
        "substeps is 2; supported: 1": {"substeps": 2},
    }
    for message, options in cases.items():
        with pytest.raises(ValueError, match=message):
            lipschitz_scan(*arguments.tensors.values(), step_size=0.1, backend="native", **options)


def test_without_a_library_the_reference_runs_and_says_why(monkeypatch):
    monkeypatch.setattr(library_module, "library", Missing("it is a test"))
    arguments = make((3, 2, 4, 2))
    choice = explain_backend(*arguments.tensors.values(), step_size=0.1)
    assert (choice.name, choice.refused["native"]) == ("reference", ("it is a test",))
    assert library_module.variants() == ()


@pytest.mark.parametrize(
    ("value", "outcome"), [*((name, name) for name in variants()), ("sse9", "one of auto")]
)
def test_environment_variable_chooses_the_variant(value, outcome):
    code = (
        "import torch; from lipschitz_rnn.ops import lipschitz_scan, library\n"
        "z = torch.zeros(1, 1)\n"
        "try:\n"
        "    lipschitz_scan(z[None], z, z, z, z, None, step_size=1.0, backend='native')\n"
        "    print(library.variant_name())\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "LIPSCHITZ_RNN_ISA": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert outcome in done.stdout
