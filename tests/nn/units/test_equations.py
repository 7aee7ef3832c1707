"""Every unit against its equation, written once more as a plain loop over free parameters."""

import pytest
import torch
from matching import assert_matches
from nn.units.unit_loops import CASES, H, P, make_cell, randn
from torch import nn

from lipschitz_rnn.nn import RecurrentLayer

T, B = 7, 3
PAIRS = ("cornn", "lem")


def start(name):
    return (randn(B, H), randn(B, H)) if name in PAIRS else (randn(B, H),)


def run_layer(name, cell, input, state, dt=None):
    """All outputs, and every part of the final state, by RecurrentLayer."""
    hx = tuple(part.unsqueeze(0) for part in state)
    layer = RecurrentLayer(cell)
    output, last = layer(
        input, hx if name in PAIRS else hx[0], **({} if dt is None else {"dt": dt})
    )
    return output, tuple(x[0] for x in (last if name in PAIRS else (last,)))


@pytest.mark.parametrize("timed", [False, True], ids=["steps", "dt"])
@pytest.mark.parametrize("name", CASES)
def test_layer_and_its_gradients_are_those_of_the_loop(name, timed):
    case, cell = CASES[name], make_cell(name)
    if timed and not case.timed:
        with pytest.raises(TypeError, match="expected a cell whose forward takes `dt`"):
            RecurrentLayer(cell)(randn(T, B, P), dt=torch.ones(T, B).double())
        return
    input = randn(T, B, P).requires_grad_()
    state = tuple(part.requires_grad_() for part in start(name))
    dt = torch.rand(T, B, dtype=torch.float64) * 2 if timed else None
    times = torch.ones(T, B).double() if dt is None else dt
    parameters = dict(cell.named_parameters())
    leaves = [*parameters.values(), input, *state]

    output, last = run_layer(name, cell, input, state, dt)
    expected = case.loop(parameters, input, state, times)
    assert_matches("output", output, torch.stack([s[0] for s in expected]), steps=T, factor=32)
    for got, want in zip(last, expected[-1], strict=True):
        assert_matches("h_n", got, want, steps=T, factor=32)

    weights = [randn(T, B, H), *(randn(B, H) for _ in state)]
    got = torch.autograd.grad(dot([output, *last], weights), leaves)
    stacked = torch.stack([s[0] for s in expected])
    want = torch.autograd.grad(dot([stacked, *expected[-1]], weights), leaves)
    for leaf, g, w in zip([*parameters, "input", "hx", "hx 2"], got, want, strict=False):
        assert w.abs().sum() > 0
        assert_matches(f"gradient of {leaf}", g, w, steps=T, factor=64)


def dot(tensors, weights):
    return sum((t * w).sum() for t, w in zip(tensors, weights, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_cell_in_a_loop_is_the_layer(name):
    cell, input, state = make_cell(name), randn(T, B, P), start(name)
    _, last = run_layer(name, cell, input, state)
    h = state if name in PAIRS else state[0]
    for x in input:
        h = cell(x, h)
    for got, want in zip(h if name in PAIRS else (h,), last, strict=True):
        assert_matches("state", got, want, steps=T)


@pytest.mark.parametrize("name", CASES)
def test_jacobian_is_that_of_autograd(name):
    case, cell, x, state = CASES[name], make_cell(name), randn(B, P), start(name)
    dt = torch.tensor([0.5, 2.0, 1.0]).double() if case.timed else None

    def step(flat):
        parts = flat.chunk(len(state), -1)
        hx = parts if name in PAIRS else parts[0]
        new = cell(x, hx) if dt is None else cell(x, hx, dt)
        return torch.cat(new, -1) if name in PAIRS else new

    flat = torch.cat(state, -1)
    full = torch.autograd.functional.jacobian(step, flat)
    expected = torch.stack([full[n, :, n] for n in range(B)])
    hx = state if name in PAIRS else state[0]
    got = cell.jacobian(x, hx) if dt is None else cell.jacobian(x, hx, dt)
    assert_matches("jacobian", got, expected, factor=32)
    one = tuple(part[1] for part in state)
    alone = cell.jacobian(x[1], one if name in PAIRS else one[0])
    both = cell.jacobian(x, hx)
    assert_matches("unbatched", alone, both[1])


@pytest.mark.parametrize("name", ["cayley", "exponential"])
def test_jacobian_of_a_unit_without_time(name):
    with pytest.raises(TypeError, match=r"jacobian: expected no `dt`, got float"):
        make_cell(name).jacobian(randn(B, P), randn(B, H), 1.0)


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].field])
def test_vector_field_is_the_right_hand_side(name):
    cell, x, state = make_cell(name), randn(B, P), start(name)
    expected = CASES[name].field(dict(cell.named_parameters()), x, state)
    got = cell.vector_field(x, state if name in PAIRS else state[0])
    for g, e in zip(got if name in PAIRS else (got,), expected, strict=True):
        assert_matches("field", g, e, factor=32)
    one = tuple(part[1] for part in state)
    got = cell.vector_field(x[1], one if name in PAIRS else one[0])
    assert_matches("unbatched", (got if name in PAIRS else (got,))[0], expected[0][1], factor=32)


def test_the_step_is_that_of_the_field():
    """A small step moves along the field: what ``vector_field`` is the rate of."""
    for name in ("residual", "antisymmetric", "gated", "lem"):
        cell, x, state = make_cell(name), randn(B, P), start(name)
        hx = state if name in PAIRS else state[0]
        dt, size = 1e-6, cell.options["step_size"]
        new, slope = cell(x, hx, dt), cell.vector_field(x, hx)
        for h, h_new, rate in zip(
            *((hx, new, slope) if name in PAIRS else ((hx,), (new,), (slope,))), strict=True
        ):
            moved = (h_new - h) / (dt * size)
            assert (moved - rate).norm() < 1e-5 * rate.norm(), name


COUNTS = [
    ("residual", 1, 128, 17_930),
    ("antisymmetric", 1, 128, 9_674),
    ("antisymmetric", 3, 256, 36_234),
    ("antisymmetric-gated", 3, 256, 37_258),
    ("cayley", 1, 128, 9_674),
    ("exponential", 1, 360, 68_950),
    ("exponential", 1, 512, 136_970),
    ("cornn", 1, 128, 34_314),
    ("lem", 1, 128, 67_850),
    ("noisy", 1, 128, 34_442),
    ("gated", 1, 128, 34_570),
]


@pytest.mark.parametrize(("name", "p", "n", "count"), COUNTS, ids=str)
def test_parameters_with_a_head_of_ten_classes(name, p, n, count):
    cell = type(make_cell(name))
    made = CASES[name].kind(p, n, **CASES[name].options)
    assert issubclass(cell, CASES[name].kind)
    parameters = [*made.parameters(), *nn.Linear(n, 10).parameters()]
    assert sum(parameter.numel() for parameter in parameters) == count


@pytest.mark.parametrize("name", CASES)
def test_without_bias(name):
    case = CASES[name]
    bare = case.kind(P, H, **case.options, bias=False, dtype=torch.float64).eval()
    assert bare.bias is None
    assert not any("bias" in key for key, _ in bare.named_parameters())
    full = make_cell(name)
    full.load_state_dict(bare.state_dict(), strict=False)
    with torch.no_grad():
        for key, parameter in full.named_parameters():
            if "bias" in key:
                parameter.zero_()
    x, state = randn(B, P), start(name)
    hx = state if name in PAIRS else state[0]
    got, want = bare(x, hx), full(x, hx)
    for g, w in zip(*((got, want) if name in PAIRS else ((got,), (want,))), strict=True):
        assert_matches("state", g, w)


@pytest.mark.parametrize("name", CASES)
def test_repr_rebuilds(name):
    case = CASES[name]
    text = repr(make_cell(name))
    assert text.startswith(f"{case.kind.__name__}({P}, {H}")
    again = eval(text, {case.kind.__name__: case.kind})
    assert repr(again) == text
    assert again.options == make_cell(name).options
    assert repr(case.kind(P, H)) == f"{case.kind.__name__}({P}, {H})"


@pytest.mark.parametrize("name", CASES)
def test_reset_is_a_new_start(name):
    """Everything is drawn anew, as a new cell draws it."""
    cell, new = make_cell(name), CASES[name].kind
    before = {key: value.clone() for key, value in cell.state_dict().items()}
    torch.manual_seed(3)
    cell.reset_parameters()
    torch.manual_seed(3)
    expected = new(P, H, **CASES[name].options, dtype=torch.float64).state_dict()
    if name == "noisy":
        assert_matches("d", cell.step_size, torch.full_like(cell.step_size, 0.2))
    for key, value in cell.state_dict().items():
        assert torch.equal(value, expected[key]), key
        assert not torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", [n for n in CASES if CASES[n].timed])
def test_half_precision_keeps_its_state_in_single(name):
    """800 steps of a thousandth would be lost in 8 bits."""
    case = CASES[name]
    options = {**case.options, "step_size": 0.001}
    options |= {"additive_noise": 0.0, "multiplicative_noise": 0.0} if name == "noisy" else {}
    cell = case.kind(P, H, **options, dtype=torch.bfloat16)
    exact = case.kind(P, H, **options, dtype=torch.float32)
    exact.load_state_dict({k: v.float() for k, v in cell.state_dict().items()})
    input = torch.randn(800, 2, P).bfloat16()
    output, last = RecurrentLayer(cell)(input)
    wanted, last_wanted = RecurrentLayer(exact)(input.float())
    assert output.dtype == torch.bfloat16
    assert_matches("output", output, wanted)
    pairs = zip(last, last_wanted, strict=True) if name in PAIRS else [(last, last_wanted)]
    for got, want in pairs:
        assert got.dtype == torch.float32
        # the matrices themselves are computed in half precision where they are constrained
        assert_matches("h_n", got.bfloat16(), want)


@pytest.mark.parametrize("name", CASES)
def test_meta_has_shapes_and_no_numbers(name):
    cell = CASES[name].kind(P, H, **CASES[name].options, device="meta")
    assert {parameter.device.type for parameter in cell.parameters()} == {"meta"}
    assert cell.weight_ih.shape[1] == P
    assert cell.weight_hh.shape[1] == H


@pytest.mark.parametrize("name", CASES)
def test_one_unit(name):
    """H = 1 has no entries below the diagonal."""
    cell = CASES[name].kind(P, 1, **CASES[name].options, dtype=torch.float64)
    output, _ = RecurrentLayer(cell)(randn(4, 2, P))
    assert output.shape == (4, 2, 1)
    assert output.isfinite().all()


BAD = [
    ("residual", {"step_size": 0.0}, ValueError, "a finite `step_size` > 0, got 0.0"),
    ("residual", {"method": "rk5"}, ValueError, "Did you mean 'rk4'"),
    ("residual", {"hidden_size": 0}, ValueError, "`hidden_size` >= 1, got 0"),
    ("antisymmetric", {"gamma": -1.0}, ValueError, "a finite `gamma` >= 0, got -1.0"),
    ("antisymmetric", {"init_std": -1.0}, ValueError, "a finite `init_std` >= 0"),
    ("cayley", {"input_size": 2.0}, TypeError, "`input_size` to be an int, got float"),
    ("exponential", {"init": "cayle"}, ValueError, "Did you mean 'cayley'"),
    ("exponential", {"nonlinearity": "relu"}, ValueError, "one of modrelu, tanh, got 'relu'"),
    ("cornn", {"epsilon": -1.0}, ValueError, "a finite `epsilon` >= 0"),
    ("cornn", {"gamma": float("nan")}, ValueError, "a finite `gamma` >= 0, got nan"),
    ("lem", {"step_size": -1.0}, ValueError, "a finite `step_size` > 0"),
    ("noisy", {"multiplicative_noise": 1.5}, ValueError, "0 <= `multiplicative_noise` <= 1"),
    ("noisy", {"additive_noise": -0.1}, ValueError, "a finite `additive_noise` >= 0"),
    ("noisy", {"step_size": 0.0}, ValueError, "a finite `step_size` > 0"),
    ("noisy", {"beta": 1.5}, ValueError, "0 <= `beta_a` <= 1"),
    ("gated", {"trainable": ("beta",)}, ValueError, "one of step_size, alpha"),
]


@pytest.mark.parametrize(("name", "options", "error", "message"), BAD, ids=str)
def test_bad_options(name, options, error, message):
    kind = CASES[name].kind
    with pytest.raises(error, match=message) as caught:
        kind(**{"input_size": P, "hidden_size": H, **options})
    assert str(caught.value).startswith(f"{kind.__name__}: expected ")


BAD_CALLS = [
    (
        lambda: (randn(2, P + 1),),
        ValueError,
        r"`input` of shape \(B, P\) = \(\*, 2\), got \(2, 3\)",
    ),
    (lambda: (torch.ones(2, P),), TypeError, "`input` of the dtype of the weights, torch.float64"),
    (lambda: (torch.ones(2, P).long(),), TypeError, "a floating-point `input`"),
    (lambda: ([1.0],), TypeError, "`input` to be a torch.Tensor, got list"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "message"), BAD_CALLS, ids=["P", "f32", "int", "list"]
)
@pytest.mark.parametrize("name", CASES)
def test_bad_calls(name, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        make_cell(name)(*arguments())
    assert str(caught.value).startswith(f"{CASES[name].kind.__name__}: expected ")


@pytest.mark.parametrize("name", CASES)
def test_states_that_do_not_fit(name):
    cell, x = make_cell(name), randn(2, P)
    one, two = randn(2, H), (randn(2, H), randn(2, H))
    pair = name in PAIRS
    with pytest.raises(TypeError, match="expected `hx` to be " + ("a tuple" if pair else "one")):
        cell(x, one if pair else two)
    wide = (randn(2, H + 1), randn(2, H)) if pair else randn(2, H + 1)
    with pytest.raises(ValueError, match=r"`hx` of shape \(B, H\) = \(2, 5\), got \(2, 6\)"):
        cell(x, wide)
    single = (one.float(), one.float()) if pair else one.float()
    with pytest.raises(TypeError, match=r"dtype.*got torch\.float32"):
        cell(x, single)


def test_time_that_runs_backwards():
    for name in ("residual", "cornn", "lem", "noisy"):
        with pytest.raises(ValueError, match="expected a finite `dt` >= 0"):
            make_cell(name)(randn(2, P), None, -1.0)
