"""What ``LipschitzRNN`` has beyond the contract of ``nn.RNN``."""

import pytest
import torch
from matching import assert_matches
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell, RecurrentLayer
from lipschitz_rnn.ops import lipschitz_scan


def randn(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def make(input_size=3, hidden_size=5, *args, **options):
    options.setdefault("dtype", torch.float64)
    layer = LipschitzRNN(input_size, hidden_size, *args, **{"step_size": 0.1, **options})
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.dim():
                parameter.normal_(std=0.5)
    return layer


def test_layer_is_the_op():
    layer, input, hx = make(method="midpoint"), randn(7, 2, 3), randn(1, 2, 5)
    weights = layer.weight_a_l0, layer.weight_hh_l0, layer.weight_ih_l0, layer.bias_l0
    expected = lipschitz_scan(input, hx[0], *weights, step_size=0.1, method="midpoint")
    assert torch.equal(layer(input, hx)[0], expected)


def test_parameter_names_are_torchs():
    names = {name for name, _ in make(3, 5, 2, bidirectional=True, gated=True).named_parameters()}
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        for plain in ("weight_ih", "bias", "weight_gate", "bias_gate"):
            assert plain + suffix in names
        for matrix in ("weight_hh", "weight_a"):
            assert f"parametrizations.{matrix}{suffix}.original" in names
    assert len(names) == 4 * 6


def test_parameter_order_does_not_depend_on_hashing():
    layer = make(trainable=("alpha", "step_size", "gamma_w", "beta_a"))
    names = [name for name, _ in layer.named_parameters()]
    scalars = [name for name in names if "alpha" in name or "step_size" in name]
    assert scalars == ["alpha_l0", "parametrizations.step_size_l0.original"]


def test_initialisation_is_the_papers():
    """M ~ N(0, (0.1/N)²), U and b ~ U(±1/√p); 99.99 % intervals for 65,536 draws."""
    layer = LipschitzRNN(4, 256, 2)
    for name in ("weight_hh_l0", "weight_a_l0", "weight_hh_l1"):
        m = layer.parametrizations[name].original
        assert abs(m.std().item() * 256 / 0.1 - 1) < 3.9 / (2 * m.numel()) ** 0.5
        assert abs(m.mean().item()) * 256 / 0.1 < 3.9 / m.numel() ** 0.5
    assert 0.49 < layer.weight_ih_l0.abs().max() <= 0.5
    assert 0.47 < layer.bias_l0.abs().max() <= 0.5
    assert 0.062 < layer.weight_ih_l1.abs().max() <= 0.0625
    wide = LipschitzRNN(1, 64, init_std=6.4).parametrizations.weight_hh_l0.original
    assert abs(wide.std().item() - 0.1) < 0.1 * 3.9 / (2 * 64 * 64) ** 0.5


def test_separate_scalars_reach_their_matrices():
    layer = make(beta=0.6, gamma=0.5, beta_a=1.0, gamma_w=0.25)
    a, w = layer.weight_a_l0, layer.weight_hh_l0
    assert_matches("A", (a + a.T) / 2, -0.5 * torch.eye(5).double())
    m = layer.parametrizations.weight_hh_l0.original
    expected = 0.4 * (m + m.T) + 0.6 * (m - m.T) - 0.25 * torch.eye(5).double()
    assert_matches("W", w, expected)


def test_alpha_zero_has_no_linear_parameter():
    """α = 0 and β = 1 is the antisymmetric RNN."""
    layer, input = make(alpha=0.0, beta=1.0, gamma=0.01), randn(7, 2, 3)
    assert layer.weight_a_l0 is None
    weights = layer.weight_hh_l0, layer.weight_ih_l0, layer.bias_l0
    expected = lipschitz_scan(input, torch.zeros(2, 5).double(), None, *weights, step_size=0.1)
    assert torch.equal(layer(input)[0], expected)
    assert make(alpha=0.0, trainable=("alpha",)).weight_a_l0 is not None


@pytest.mark.parametrize("batch", [1, 2, 5, 7], ids=lambda b: f"B={b}")
def test_dt_scales_the_step_of_each_sample(batch):
    layer, input = make(), randn(7, batch, 3)
    dt = torch.rand(7, batch, dtype=torch.float64)
    output, _ = layer(input, dt=dt)
    for n in range(batch):
        h = torch.zeros(1, 5).double()
        weights = layer.weight_a_l0, layer.weight_hh_l0, layer.weight_ih_l0, layer.bias_l0
        for t in range(7):
            step = 0.1 * dt[t, n].item()
            h = lipschitz_scan(input[t : t + 1, n : n + 1], h, *weights, step_size=step)[0]
            assert_matches("state", output[t, n], h[0], steps=7)


def test_layouts_of_dt():
    layer, input = make(), randn(7, 2, 3)
    dt = torch.rand(7, dtype=torch.float64)
    expected = layer(input, dt=dt.unsqueeze(1).expand(7, 2))[0]
    assert_matches("shared", layer(input, dt=dt)[0], expected)
    assert_matches("unbatched", layer(input[:, 0], dt=dt)[0], expected[:, 0])
    first = make(batch_first=True)
    first.load_state_dict(layer.state_dict())
    both = torch.rand(7, 2, dtype=torch.float64)
    got = first(input.transpose(0, 1), dt=both.T)[0]
    assert_matches("batch_first", got, layer(input, dt=both)[0].transpose(0, 1))


def test_a_number_as_dt():
    layer, input = make(), randn(7, 2, 3)
    expected = layer(input, dt=torch.full((7, 2), 0.3, dtype=torch.float64))[0]
    assert_matches("number", layer(input, dt=0.3)[0], expected)


def test_dt_is_not_rounded():
    """A float32 dt in a float64 layer, and a float32 dt in a bfloat16 stream."""
    layer, input = make(), randn(7, 2, 3)
    dt = torch.rand(7, 2)
    assert_matches("states", layer(input, dt=dt)[0], layer(input, dt=dt.double())[0])
    assert dt.double().ne(dt.bfloat16()).any()
    half, hx = make(dtype=torch.bfloat16), torch.randn(1, 2, 5)
    x = torch.randn(2, 3, dtype=torch.bfloat16)
    _, state = half.step(x, hx, dt[0])
    wide = make(dtype=torch.float32)
    wide.load_state_dict({k: v.float() for k, v in half.state_dict().items()})
    with torch.no_grad():  # W and A are computed from M in bfloat16: take them from there
        for name in ("weight_hh_l0", "weight_a_l0"):
            setattr(wide, name, getattr(half, name).float())
    assert_matches("step", state, wide(x.float()[None], hx, dt=dt[:1])[1])


@pytest.mark.parametrize("kind", ["decreasing", "nan"])
def test_what_pads_dt_is_not_looked_at(kind):
    """Padded time stamps give negative differences: a common thing, and harmless."""
    layer, input = make(bidirectional=True), randn(7, 2, 3)
    dt = torch.rand(7, 2, dtype=torch.float64)
    dt[3:, 1] = -1.0 if kind == "decreasing" else float("nan")
    dt.requires_grad_()
    output, h_n = layer(pack_padded_sequence(input, [7, 3]), dt=dt)
    assert_matches("h_n", h_n[:, 1], layer(input[:3, 1], dt=dt[:3, 1].detach())[1])
    output.data.sum().backward()
    assert dt.grad.isfinite().all()
    assert not dt.grad[3:, 1].any()
    assert all(p.grad.isfinite().all() for p in layer.parameters())


def growing(kind):
    """A unit that grows threefold a step, from zero not at all; ours, or made of cells."""
    options = {"nonlinearity": "relu", "step_size": 1.0, "dtype": torch.float32}
    layer = LipschitzRNN(1, 1, **options)
    if kind == "cells":
        layer = RecurrentLayer(LipschitzRNNCell(1, 1, **options))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(2.0 if parameter.dim() == 2 else 0.0)
    return layer


@pytest.mark.parametrize("kind", ["layer", "cells"])
def test_padding_never_spoils_a_gradient(kind):
    """Integrated on, the padding would overflow, and 0 · inf is NaN."""
    layer = growing(kind)
    assert layer(torch.ones(200, 1, 1))[0].isinf().any()
    _, h_n = layer(pack_sequence([torch.zeros(200, 1), torch.ones(2, 1)]))
    h_n[0, 1].sum().backward()
    alone = growing(kind)
    alone(torch.ones(2, 1))[1].sum().backward()
    for got, expected in zip(layer.parameters(), alone.parameters(), strict=True):
        assert_matches("gradient", got.grad, expected.grad)


def test_packed_dt_of_another_order_is_refused():
    """The same batch sizes, but other sequences: silently mispaired if it passed."""
    layer, pack = make(), lambda *n: pack_sequence([randn(k, 3) for k in n], enforce_sorted=False)
    times = pack(2, 5)._replace(data=torch.ones(7).double())
    with pytest.raises(ValueError, match="`dt` to be packed as `input` is"):
        layer(pack(5, 2), dt=times)
    assert layer(pack(2, 5), dt=times)[1].shape == (1, 2, 5)
    with pytest.raises(ValueError, match="`dt` to be packed as `input` is"):
        layer(randn(5, 2, 3), dt=times)


def test_ones_and_zeros_as_dt():
    layer, input, hx = make(method="rk4"), randn(7, 2, 3), randn(1, 2, 5)
    ones = torch.ones(7, 2, dtype=torch.float64)
    assert_matches("ones", layer(input, hx, dt=ones)[0], layer(input, hx)[0])
    assert torch.equal(layer(input, hx, dt=0 * ones)[1], hx)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("packed_options", [True, False])
def test_dt_and_mask_follow_a_packed_input(packed_options, enforce_sorted, batch_first):
    layer = make(3, 5, 2, bidirectional=True, batch_first=batch_first)
    lengths = [7, 4, 4, 1] if enforce_sorted else [4, 1, 7, 4]

    def pack(value):
        value = value.transpose(0, 1) if batch_first else value
        return pack_padded_sequence(value, lengths, batch_first, enforce_sorted)

    def hand(value):
        if packed_options:
            return pack(value)
        return value.transpose(0, 1) if batch_first else value

    input, dt = randn(7, 4, 3), torch.rand(7, 4, dtype=torch.float64)
    mask = torch.rand(7, 4, 3) > 0.4
    output, h_n = layer(pack(input), dt=hand(dt), mask=hand(mask))
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    for n, length in enumerate(lengths):
        part = slice(0, length), n
        alone, h = layer(input[part], dt=dt[part], mask=mask[part])
        assert_matches("output", padded[part], alone, steps=7)
        assert_matches("h_n", h_n[:, n], h, steps=7)


def test_shared_dt_of_a_packed_bidirectional_batch():
    layer, input = make(bidirectional=True), randn(7, 2, 3)
    dt = torch.rand(7, dtype=torch.float64)
    _, h_n = layer(pack_padded_sequence(input, [7, 3]), dt=dt)
    assert_matches("h_n", h_n[:, 1], layer(input[:3, 1], dt=dt[:3])[1])


def hold(input, mask):
    """Forward fill, as a plain loop."""
    filled, last = input.clone(), torch.zeros_like(input[0])
    for t in range(len(input)):
        last = torch.where(mask[t], input[t], last)
        filled[t] = last
    return filled


@pytest.mark.parametrize("missing", ["hold", "zero"])
@pytest.mark.parametrize("per_feature", [False, True])
def test_missing_inputs(missing, per_feature):
    layer, input = make(missing=missing, bidirectional=True), randn(9, 4, 3)
    mask = torch.rand(9, 4, 3) > 0.6 if per_feature else torch.rand(9, 4) > 0.6
    mask[0, 0], mask[:, 1] = False, False  # one starts with a gap, one is never observed
    full = mask if per_feature else mask.unsqueeze(-1).expand(9, 4, 3)
    filled = hold(input, full) if missing == "hold" else input * full
    holes = torch.where(full, input, torch.tensor(float("nan"))).requires_grad_()
    output, h_n = layer(holes, mask=mask)
    expected, h = layer(filled)
    assert torch.equal(output, expected)
    assert torch.equal(h_n, h)
    output.sum().backward()
    assert not holes.grad[~full].any()
    assert holes.grad.isfinite().all()
    batch_first = make(missing=missing, bidirectional=True, batch_first=True)
    batch_first.load_state_dict(layer.state_dict())
    other, _ = batch_first(holes.transpose(0, 1), mask=mask.transpose(0, 1))
    assert_matches("batch_first", other, expected.transpose(0, 1))
    alone, _ = layer(holes[:, 2], mask=mask[:, 2])
    assert_matches("unbatched", alone, expected[:, 2])


STREAMED = [
    {},
    {"num_layers": 3},
    {"gated": True, "method": "heun"},
    {"alpha": 0.0, "substeps": 2},
    {"trainable": ("step_size", "alpha"), "batch_first": True},
]


@pytest.mark.parametrize("options", STREAMED, ids=str)
@pytest.mark.parametrize("batch", [None, 1, 3, 5])
def test_stream_equals_the_whole_sequence(options, batch):
    layer = make(**options)
    shape = (20,) if batch is None else (20, batch)
    input, dt = randn(*shape, 3), 2 * torch.rand(*shape, dtype=torch.float64)
    swap = layer.batch_first and batch is not None
    whole, h_n = layer(
        input.transpose(0, 1) if swap else input, dt=dt.transpose(0, 1) if swap else dt
    )
    state, outputs = None, []
    for x, time in zip(input, dt, strict=True):
        output, state = layer.step(x, state, time)
        outputs.append(output)
    got = torch.stack(outputs)
    assert_matches("outputs", got.transpose(0, 1) if swap else got, whole, steps=20)
    assert_matches("state", state, h_n, steps=20)


def test_stream_without_dt_and_with_a_number():
    layer, input = make(), randn(4, 2, 3)
    output, state = layer.step(input[0])
    assert_matches("default", output, layer(input[:1])[0][0])
    output, _ = layer.step(input[1], state, 0.5)
    expected = layer(input[1:2], state, dt=torch.tensor([0.5]).double())[0][0]
    assert_matches("number", output, expected)


def test_stream_in_bfloat16_keeps_its_state_in_float32():
    layer = make(dtype=torch.bfloat16, step_size=0.01)
    input = torch.randn(300, 2, 3, dtype=torch.bfloat16)
    whole, state = layer(input)[0], None
    for x in input:
        output, state = layer.step(x, state)
    assert state.dtype == torch.float32
    assert output.dtype == torch.bfloat16
    # equal up to the float32 rounding of the sum, hence at most one unit of bfloat16 after it
    assert (output.float() - whole[-1].float()).abs().max() <= 2**-8 * whole[-1].float().abs().max()


def test_stream_refuses_what_needs_the_future():
    with pytest.raises(ValueError, match="bidirectional=False, got True"):
        make(bidirectional=True).step(randn(2, 3))
    with pytest.raises(ValueError, match=r"`input` of shape \(B, P\)"):
        make().step(randn(2, 4))


@pytest.mark.parametrize(
    "names", [("step_size",), ("alpha",), ("beta_a", "gamma_a"), ("beta_w", "gamma_w")], ids=str
)
def test_learned_scalars_follow_their_gradient(names):
    """The layer with a learned scalar is the layer with that scalar fixed, and its derivative."""
    learned = make(trainable=names)
    fixed = make()
    plain = {k: v for k, v in learned.state_dict().items() if k in fixed.state_dict()}
    fixed.load_state_dict(plain)
    input = randn(7, 2, 3)
    assert_matches("output", learned(input)[0], fixed(input)[0])
    raw = [p for p in learned.parameters() if not p.dim()]
    assert len(raw) == len(names)

    def run(*values):
        parameters = dict(
            zip([n for n, p in learned.named_parameters() if not p.dim()], values, strict=True)
        )
        return torch.func.functional_call(learned, parameters, (input,))[0]

    assert torch.autograd.gradcheck(run, raw)


ALL_SCALARS = ("step_size", "alpha", "beta_a", "gamma_a", "beta_w", "gamma_w")


def test_learned_scalars_in_forward_mode_in_float32():
    """torch gives 0-dimensional tensors that meet Python numbers tangents in float64."""
    layer = LipschitzRNN(3, 5, substeps=2, trainable=ALL_SCALARS)
    double = LipschitzRNN(3, 5, substeps=2, trainable=ALL_SCALARS, dtype=torch.float64)
    double.load_state_dict(layer.state_dict())
    input = torch.randn(7, 2, 3)

    def second(model, input):
        parameters = {k: p.detach() for k, p in model.named_parameters()}
        tangents = {k: torch.ones_like(p) for k, p in parameters.items()}

        def loss(p):
            return torch.func.functional_call(model, p, (input,))[0].square().mean()

        return torch.func.jvp(torch.func.grad(loss), (parameters,), (tangents,))[1]

    got, expected = second(layer, input), second(double, input.double())
    for name in got:
        assert got[name].dtype == torch.float32
        # means over 70 numbers; second derivatives of exp and log lose a few digits more
        assert_matches(name, got[name], expected[name], steps=70)


@pytest.mark.parametrize("options", [{"beta": 1.0}, {"trainable": ALL_SCALARS}], ids=str)
def test_construction_without_memory(options):
    """On meta and under FakeTensorMode; then materialised and reset, as skip_init does."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    layer = LipschitzRNN(3, 5, device="meta", **options)
    assert "LipschitzRNN(3, 5" in repr(layer)
    assert repr(layer.parametrizations)
    with FakeTensorMode():
        assert LipschitzRNN(3, 5, **options)(torch.ones(7, 2, 3))[0].shape == (7, 2, 5)
    torch.manual_seed(0)
    empty = layer.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in empty.parameters():
            parameter.fill_(float("nan"))
    empty.reset_parameters()
    torch.manual_seed(0)
    fresh = LipschitzRNN(3, 5, **options)
    torch.manual_seed(0)
    fresh.reset_parameters()
    input = torch.randn(7, 2, 3)
    assert_matches("output", empty(input)[0], fresh(input)[0])


def test_reset_after_the_parametrisation_was_removed():
    layer = LipschitzRNN(3, 64, beta=1.0, gamma=0.5)
    torch.nn.utils.parametrize.remove_parametrizations(layer, "weight_hh_l0")
    before = layer.weight_hh_l0.detach().clone()
    layer.reset_parameters()
    assert not torch.equal(layer.weight_hh_l0, before)
    symmetric = (layer.weight_hh_l0 + layer.weight_hh_l0.T) / 2
    assert_matches("symmetric part", symmetric, -0.5 * torch.eye(64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_layer(dtype):
    layer = make(3, 5, 2, dtype=dtype, trainable=("step_size",))
    output, h_n = layer(torch.randn(7, 2, 3, dtype=dtype), dt=torch.rand(7, 2, dtype=dtype))
    assert output.dtype == h_n.dtype == dtype
    output.sum().backward()
    assert {p.grad.dtype for p in layer.parameters() if p.dim()} == {dtype}
    assert {p.grad.dtype for p in layer.parameters() if not p.dim()} == {torch.float32}


def test_autocast_leaves_the_layer_in_float32():
    layer, input = make(3, 5, 2, dtype=torch.float32), torch.randn(50, 2, 3)
    expected = layer(input)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, _ = layer(input)
        from_half, _ = layer(input.bfloat16())
        got.sum().backward()
        rounded, h_n = layer(input.bfloat16(), dt=torch.ones(50, 2))
    assert torch.equal(got, expected)
    assert from_half.dtype == rounded.dtype == h_n.dtype == torch.float32
    assert_matches("only the input is rounded", from_half, layer(input.bfloat16().float())[0])
    assert layer.weight_ih_l0.grad is not None


COMPILED = [
    {},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"gated": True, "method": "midpoint"},
    {"trainable": ("step_size", "alpha", "beta_a", "gamma_a", "beta_w", "gamma_w")},
]


@pytest.mark.parametrize("options", COMPILED, ids=str)
def test_compiles_without_a_graph_break(options):
    layer = make(**options)
    input, dt = randn(4, 4, 3), torch.rand(4, 4, dtype=torch.float64)
    mask = torch.rand(4, 4, 3) > 0.3

    def loss(model):
        return model(input, dt=dt, mask=mask)[0].square().sum()

    expected = torch.autograd.grad(loss(layer), list(layer.parameters()))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    got = torch.autograd.grad(loss(compiled), list(layer.parameters()))
    for (name, _), g, e in zip(layer.named_parameters(), got, expected, strict=True):
        assert_matches(name, g, e, steps=4)


@pytest.mark.slow
def test_compiles_with_inductor():
    layer, input = make(dtype=torch.float32), torch.randn(16, 4, 3)
    compiled = torch.compile(layer, fullgraph=True)
    assert_matches("output", compiled(input)[0], layer(input)[0], steps=16)


REPRS = [
    {},
    {"num_layers": 2, "beta": 0.9, "gamma_w": 0.5, "step_size": 0.1, "batch_first": True},
    {"method": "rk4", "substeps": 2, "nonlinearity": "relu", "gated": True, "bias": False},
    {"alpha": 0.5, "trainable": ("alpha",), "init_std": 1.0, "missing": "zero"},
    {"num_layers": 2, "dropout": 0.5, "bidirectional": True},
]


@pytest.mark.parametrize("options", REPRS, ids=str)
def test_repr_rebuilds(options):
    layer = LipschitzRNN(3, 5, **options)
    again = eval(repr(layer))
    assert repr(again) == repr(layer)
    assert again.options == layer.options
    for name in ("num_layers", "batch_first", "dropout", "bidirectional", "missing"):
        assert getattr(again, name) == getattr(layer, name)


BAD = [
    ({"hidden_size": 0}, ValueError, "`hidden_size` >= 1, got 0"),
    ({"input_size": 2.0}, TypeError, "`input_size` to be an int, got float"),
    ({"num_layers": 0}, ValueError, "`num_layers` >= 1"),
    ({"beta": 1.5}, ValueError, "0 <= `beta_a` <= 1, got 1.5"),
    ({"beta_w": -1}, ValueError, "0 <= `beta_w` <= 1, got -1"),
    ({"gamma": -1}, ValueError, "a finite `gamma_a` >= 0"),
    ({"step_size": 0}, ValueError, "a finite `step_size` > 0, got 0"),
    ({"step_size": float("nan")}, ValueError, "a finite `step_size` > 0, got nan"),
    ({"alpha": float("inf")}, ValueError, "finite `alpha`"),
    ({"method": "rk5"}, ValueError, "Did you mean 'rk4'"),
    ({"nonlinearity": "gelu"}, ValueError, "one of tanh, relu"),
    ({"trainable": ("beta",)}, ValueError, "one of step_size, alpha, beta_a"),
    ({"trainable": "alpha"}, TypeError, r"Write trainable=\('alpha',\)"),
    ({"trainable": ("beta_a",), "beta": 1.0}, ValueError, "0 < `beta_a` < 1, got 1.0"),
    ({"trainable": ("beta_a",), "alpha": 0.0}, ValueError, "Without a linear term"),
    ({"missing": "drop"}, ValueError, "one of hold, zero"),
    ({"dropout": 1.5}, ValueError, "0 <= `dropout` <= 1"),
    ({"init_std": -1}, ValueError, "a finite `init_std` >= 0"),
    ({"substeps": 0}, ValueError, "`substeps` >= 1"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=[str(b[0]) for b in BAD])
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message) as caught:
        LipschitzRNN(**{"input_size": 3, "hidden_size": 5, **options})
    assert str(caught.value).startswith("LipschitzRNN: expected ")


BAD_CALLS = [
    (
        {"dt": torch.ones(7, 3).double()},
        ValueError,
        r"`dt` of shape \(T, B\) = \(7, 2\), got \(7, 3\)",
    ),
    ({"dt": torch.ones(6).double()}, ValueError, r"`dt` of shape \(T,\) = \(7,\), got \(6,\)"),
    ({"dt": torch.ones(7, 2).long()}, TypeError, "floating-point `dt`"),
    ({"dt": -torch.ones(7, 2).double()}, ValueError, "Time stamps must not decrease"),
    ({"mask": torch.ones(7, 2)}, TypeError, "boolean tensor `mask`, .* got torch.float32"),
    ({"mask": torch.ones(7, 3).bool()}, ValueError, r"`mask` of shape \(T, B\) = \(7, 2\)"),
    (
        {"mask": torch.ones(7, 2, 4).bool()},
        ValueError,
        r"`mask` of shape \(T, B, P\) = \(7, 2, 3\)",
    ),
    ({"mask": [True]}, TypeError, "boolean tensor `mask`, .* got list"),
    ({"dt": [1.0]}, TypeError, "`dt` to be a number, got list"),
    ({"dt": -1.0}, ValueError, "a finite `dt` >= 0, got -1.0"),
    ({"dt": torch.tensor(float("nan")).expand(7)}, ValueError, "a finite `dt` >= 0"),
    ({"hx": (torch.zeros(1, 2, 5).double(),)}, TypeError, "`hx` to be one tensor"),
    (
        {"hx": torch.zeros(1, 2, 6).double()},
        ValueError,
        r"`hx` of shape \(L\*D, B, H\) = \(1, 2, 5\)",
    ),
    ({"hx": [1]}, TypeError, "expected `hx` to be a torch.Tensor"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"), BAD_CALLS, ids=[str(i) for i in range(len(BAD_CALLS))]
)
def test_bad_calls(options, error, message):
    with pytest.raises(error, match=message):
        make()(randn(7, 2, 3), **options)


def test_wrong_dtype_names_the_input_and_the_remedy():
    with pytest.raises(TypeError, match=r"`input` of the dtype of the weights.*Convert one"):
        make()(torch.randn(7, 2, 3))


def test_wrong_layout_is_told_the_remedy():
    with pytest.raises(ValueError, match="batch_first=True if the input is"):
        LipschitzRNN(1, 4)(torch.randn(128, 784, 3))
