"""The kernel owns the first derivative; every other one goes to the reference by itself."""

import pytest
import torch
from matching import assert_matches
from native_problems import make
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from lipschitz_rnn.ops import explain_backend, lipschitz_scan, use_backend, variants
from lipschitz_rnn.ops.transforms import is_transformed

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]
METHODS = ["euler", "midpoint"]
# T, B, N, P; N above one vector of every variant would only make the checks slow
SMALL = (3, 2, 3, 2)


def leaves(shape=SMALL, **options):
    tensors = make(shape, **options).tensors
    return [x.clone().requires_grad_() for x in tensors.values() if x is not None]


def scan(method="euler", backend="native", linear=True, **options):
    def function(input, h0, *rest):
        rest = rest if linear else (None, *rest)
        return lipschitz_scan(
            input, h0, *rest, step_size=0.1, method=method, backend=backend, **options
        )

    return function


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("output", ["all", "last"])
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_first_derivatives_against_differences(method, linear, output, memory):
    function = scan(method, linear=linear, output=output, memory=memory)
    assert gradcheck(function, leaves(linear=linear), atol=1e-7, fast_mode=True)


def learned(method, steps, backend="native", **options):
    """A function of the step sizes too, which come first."""

    def function(step_size, *tensors):
        return lipschitz_scan(
            *tensors, step_size=step_size, method=method, backend=backend, **options
        )

    step_size = make(SMALL, steps=steps).step_size.clone().requires_grad_()
    return function, (step_size, *leaves())


@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("output", ["all", "last"])
@pytest.mark.parametrize("steps", ["scalar", "per step", "per sample"])
@pytest.mark.parametrize("method", METHODS)
def test_derivatives_by_the_steps_against_differences(method, steps, output, memory):
    function, inputs = learned(method, steps, output=output, memory=memory)
    assert gradcheck(function, inputs, atol=1e-7, fast_mode=True)


@pytest.mark.parametrize("output", ["all", "last"])
@pytest.mark.parametrize("steps", ["scalar", "per step", "per sample"])
@pytest.mark.parametrize("method", METHODS)
def test_second_derivatives_by_the_steps(method, steps, output):
    function, inputs = learned(method, steps, output=output)
    assert gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("output", ["all", "last"])
@pytest.mark.parametrize("method", METHODS)
def test_second_derivatives_leave_the_kernel(method, output):
    """Forced or not: the first gradient is the kernel's, the second the reference's."""
    for backend in ("native", "auto"):
        function = scan(method, backend, output=output)
        assert gradgradcheck(function, leaves(), fast_mode=True)


def test_many_gradients_at_once_are_for_the_reference():
    """As `torch.autograd.functional.jacobian(vectorize=True)` asks for them."""
    function, inputs = learned("euler", "per step", "reference", output="last")
    last = function(*inputs)
    directions = torch.eye(last.numel(), dtype=last.dtype).view(-1, *last.shape)
    many = {"is_grads_batched": True, "retain_graph": True}
    got = torch.autograd.grad(last, inputs, directions, **many)
    each = [torch.autograd.grad(last, inputs, one, retain_graph=True) for one in directions]
    for x, y in zip(got, zip(*each, strict=True), strict=True):
        assert_matches("gradients", x, torch.stack(y), steps=SMALL[0])
    native, _ = learned("euler", "per step", output="last")
    with pytest.raises(RuntimeError, match="Batching rule"):
        torch.autograd.grad(native(*inputs), inputs, directions, **many)


@pytest.mark.parametrize("method", METHODS)
def test_hessian_vector_product_equals_the_references(method):
    inputs = leaves((8, 3, 5, 2))
    v = torch.randn_like(inputs[3])

    def product(backend):
        states = scan(method, backend)(*inputs)
        gradient = torch.autograd.grad(states.square().sum(), inputs[3], create_graph=True)[0]
        return torch.autograd.grad((gradient * v).sum(), inputs)

    for got, expected in zip(product("auto"), product("reference"), strict=True):
        assert_matches("product", got, expected, steps=8)


def test_forward_mode_equals_the_reference_exactly():
    inputs = [x.detach() for x in leaves()]
    tangents = [torch.randn_like(x) for x in inputs]
    for method in METHODS:
        got = torch.func.jvp(scan(method, "auto"), tuple(inputs), tuple(tangents))
        expected = torch.func.jvp(scan(method, "reference"), tuple(inputs), tuple(tangents))
        assert torch.equal(got[1], expected[1])
        assert got[1].any()
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(x, t) for x, t in zip(inputs, tangents, strict=True)]
            tangent = forward_ad.unpack_dual(scan(method, "auto")(*duals)).tangent
        assert torch.equal(tangent, expected[1])


def test_transforms_compose():
    inputs = [x.detach() for x in leaves()]

    def loss(w, backend="auto"):
        return scan("midpoint", backend)(*inputs[:3], w, *inputs[4:]).square().sum()

    v = torch.randn_like(inputs[3])
    got = torch.func.jvp(torch.func.grad(loss), (inputs[3],), (v,))[1]
    expected = torch.func.jvp(torch.func.grad(lambda w: loss(w, "reference")), (inputs[3],), (v,))[
        1
    ]
    assert torch.equal(got, expected)
    many = torch.stack([inputs[3], 2 * inputs[3]])
    each = torch.stack([torch.func.grad(loss)(w) for w in many])
    assert_matches("vmap", torch.func.vmap(torch.func.grad(loss))(many), each)


def test_the_predicates_see_what_they_should():
    """Both are private in torch: a new version must not silently turn the guard off."""
    seen = []

    def look(x):
        seen.append(is_transformed())
        return x.sin()

    x = torch.ones(3)
    assert not is_transformed()
    torch.func.vmap(look)(x)
    torch.func.grad(lambda y: look(y).sum())(x)
    torch.func.jvp(look, (x,), (x,))
    with forward_ad.dual_level():
        look(x)
    look(x)
    assert seen == [True, True, True, True, False]


def test_the_backend_refuses_within_a_transform_and_not_after():
    arguments = [x.detach() for x in leaves()]
    seen = []

    def look(w):
        choice = explain_backend(*arguments[:3], w, *arguments[4:], step_size=0.1)
        seen.append(choice.name)
        return w.sum()

    torch.func.grad(look)(arguments[3])
    look(arguments[3])
    assert seen == ["reference", "native"]


@pytest.mark.parametrize("keep_tanhs", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("linear", [True, False])
def test_opcheck(linear, stride, keep_tanhs):
    tensors = make(SMALL, linear=linear).tensors
    tensors = {k: None if x is None else x.clone().requires_grad_() for k, x in tensors.items()}
    keep_tanhs = keep_tanhs and stride == 1
    arguments = (*tensors.values(), None, 0.1, 0, stride, keep_tanhs)
    torch.library.opcheck(torch.ops.lipschitz_rnn.scan.default, arguments)
    steps = make(SMALL, steps="per sample").step_size.requires_grad_()
    arguments = (*tensors.values(), steps, 0.0, 0, stride, keep_tanhs)
    torch.library.opcheck(torch.ops.lipschitz_rnn.scan.default, arguments)


@pytest.mark.parametrize("steps", [None, "per step", "per sample"])
def test_opcheck_of_the_backward(steps):
    tensors = [x.detach() for x in leaves()]
    table = make(SMALL, steps=steps).step_size if steps else None
    states, last, tanhs = torch.ops.lipschitz_rnn.scan(*tensors, table, 0.1, 0, 1, True)
    grads = torch.randn_like(states), torch.randn_like(last)
    wanted = [*[True, False] * 3, True]  # without a table there is none of it either
    arguments = (*grads, *tensors, table, states, tanhs, 0.1, 0, 1, wanted)
    torch.library.opcheck(
        torch.ops.lipschitz_rnn.scan_backward.default,
        arguments,
        test_utils=("test_schema", "test_faketensor"),
    )


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
@pytest.mark.parametrize("output", ["all", "last"])
def test_compiles_without_a_graph_break_with_the_kernel_inside(output, backend, dynamic):
    torch._dynamo.reset()
    inputs = [torch.tensor(0.1, dtype=torch.float64, requires_grad=True), *leaves((6, 3, 5, 2))]
    graphs = []

    def spy(module, examples):
        graphs.append(module.code)  # now: the graph is emptied once it is compiled
        return torch._dynamo.lookup_backend(backend)(module, examples)

    def loss(step_size, *tensors):
        states = lipschitz_scan(*tensors, step_size=step_size, output=output)
        return states.square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend=spy, dynamic=dynamic)
    got = torch.autograd.grad(compiled(*inputs), inputs)
    for x, y in zip(got, torch.autograd.grad(loss(*inputs), inputs), strict=True):
        assert torch.equal(x, y)
    assert any("lipschitz_rnn.scan" in code for code in graphs)


def test_training_with_retained_graph_and_two_losses():
    """Backward twice through one call, and a loss on both of its results."""
    inputs = leaves((6, 3, 5, 2))
    with use_backend("native"):
        states = scan()(*inputs)
    first = torch.autograd.grad(states.sum(), inputs, retain_graph=True)
    again = torch.autograd.grad(states.sum(), inputs)
    for x, y in zip(first, again, strict=True):
        assert torch.equal(x, y)


@pytest.mark.parametrize("transform", ["grad", "vmap", "jvp"])
def test_compiled_transforms_take_the_reference_too(transform):
    torch._dynamo.reset()
    inputs = [x.detach() for x in leaves()]

    def loss(w):
        return scan("euler", "auto")(*inputs[:3], w, *inputs[4:]).square().sum()

    def run(w):
        if transform == "grad":
            return torch.func.grad(loss)(w)
        if transform == "vmap":
            return torch.func.vmap(loss)(torch.stack((w, 2 * w)))
        return torch.func.jvp(loss, (w,), (w,))[1]

    compiled = torch.compile(run, backend="aot_eager")
    assert_matches(transform, compiled(inputs[3]), run(inputs[3]))
