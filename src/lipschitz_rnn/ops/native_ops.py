"""The kernel as two operators of torch: ``lipschitz_rnn::scan`` and its backward."""

from typing import Any

import torch
from torch import Tensor

from lipschitz_rnn._base.checks import require_shape
from lipschitz_rnn.ops import buffers, reference
from lipschitz_rnn.ops.call import ScanCall
from lipschitz_rnn.ops.native_call import BY_NUMBER, make_struct, pointer, require_dense, run
from lipschitz_rnn.ops.nonlinearity import NONLINEARITIES

# Note [Derivatives beyond the first]
#
# The operator has a formula for its first derivative in reverse mode, and no other. Left alone,
# torch would raise for a second derivative, and would silently return a zero tangent in forward
# mode. So (i) the backend refuses while a functorch transform or a forward-mode level is active,
# and (ii) the registered backward looks whether a graph is being recorded: exactly then the caller
# wants to differentiate once more, and the gradient is taken of the reference instead.


@torch.library.custom_op("lipschitz_rnn::scan", mutates_args=())
def scan(
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    step_sizes: Tensor | None,
    step_size: float,
    method: int,
    stride: int,
    keep_tanhs: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """States ``h_k, h_2k, ..`` for stride k, the last one, and the tanhs of all steps if kept."""
    tensors = {"input": input, "h0": h0, "a": a, "w": w, "u": u, "b": b, "step_sizes": step_sizes}
    struct = make_struct(tensors, step_size, method, stride)
    shape = (input.shape[0], *h0.shape)
    states = buffers.take((shape[0] // stride, *h0.shape), h0.dtype)
    tanhs = buffers.take(shape if keep_tanhs else (0,), h0.dtype)
    last = torch.empty_like(h0)
    struct.states, struct.last = pointer(states), last.data_ptr()
    struct.tanhs = pointer(tanhs)
    run("forward", h0.dtype, struct)
    return states, last, tanhs


@scan.register_fake
def _(
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    step_sizes: Tensor | None,
    step_size: float,
    method: int,
    stride: int,
    keep_tanhs: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    states = h0.new_empty(input.shape[0] // stride, *h0.shape)
    tanhs = h0.new_empty((input.shape[0], *h0.shape) if keep_tanhs else (0,))
    return states, torch.empty_like(h0), tanhs


@torch.library.custom_op("lipschitz_rnn::scan_backward", mutates_args=())
def scan_backward(
    grad_states: Tensor | None,
    grad_last: Tensor | None,
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    step_sizes: Tensor | None,
    states: Tensor,
    tanhs: Tensor,
    step_size: float,
    method: int,
    stride: int,
    wanted: list[bool],
) -> list[Tensor]:
    """Gradients of input, h0, a, w, u, b and step_sizes; an empty tensor where not wanted."""
    arguments = {"input": input, "h0": h0, "a": a, "w": w, "u": u, "b": b}
    tensors = arguments | {
        "step_sizes": step_sizes,
        "grad_states": grad_states,
        "grad_last": grad_last,
    }
    struct = make_struct(tensors, step_size, method, stride)
    require_dense({"states": states, "tanhs": tanhs}, h0)
    kept = {"states": (input.shape[0] // stride, *h0.shape), "tanhs": (input.shape[0], *h0.shape)}
    require_shape(
        "lipschitz_rnn::scan_backward", "states", states, kept["states"], "(T // k, B, H)"
    )
    if tanhs.numel():
        require_shape("lipschitz_rnn::scan_backward", "tanhs", tanhs, kept["tanhs"], "(T, B, H)")
    learned = step_sizes if wanted[-1] else None
    # slopes are computed once more, for the gradient of the steps, and tanhs with them
    struct.states, struct.tanhs = pointer(states), pointer(tanhs) if learned is None else None
    gradients = []
    for (name, tensor), want in zip(arguments.items(), wanted[:-1], strict=True):
        shape = tensor.shape if want and tensor is not None else (0,)
        gradients.append(buffers.take(shape, h0.dtype))
        setattr(struct, f"grad_{name}", pointer(gradients[-1]))
    # of every sample's own step, whether or not all took the same one
    of_samples = buffers.take((0,) if learned is None else input.shape[:2], h0.dtype)
    struct.grad_step = pointer(of_samples)
    run("backward", h0.dtype, struct)
    one_for_all = learned is not None and learned.dim() == 1
    return [*gradients, of_samples.sum(1) if one_for_all else of_samples]


@scan_backward.register_fake
def _(
    grad_states: Tensor | None,
    grad_last: Tensor | None,
    input: Tensor,
    h0: Tensor,
    a: Tensor | None,
    w: Tensor,
    u: Tensor,
    b: Tensor | None,
    step_sizes: Tensor | None,
    states: Tensor,
    tanhs: Tensor,
    step_size: float,
    method: int,
    stride: int,
    wanted: list[bool],
) -> list[Tensor]:
    return [
        h0.new_empty(tensor.shape if want and tensor is not None else (0,))
        for tensor, want in zip((input, h0, a, w, u, b, step_sizes), wanted, strict=True)
    ]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, step_size, method, stride, _ = inputs
    states, _, tanhs = output
    # States kept here and there are for the backward pass alone; no caller sees them.
    ctx.mark_non_differentiable(*((tanhs,) if stride == 1 else (states, tanhs)))
    ctx.set_materialize_grads(False)  # a full array of zeros for states that no loss looks at
    ctx.save_for_backward(*tensors, states, tanhs)
    ctx.settings = step_size, method, stride


def _backward(ctx: Any, grad_states: Tensor | None, grad_last: Tensor | None, _: Any) -> Any:
    *tensors, states, tanhs = ctx.saved_tensors
    wanted = [bool(need) for need in ctx.needs_input_grad[:7]]
    grad_states = grad_states if ctx.settings[2] == 1 else None
    nothing = (None,) * 4
    if grad_states is None and grad_last is None:
        return (*(None,) * 7, *nothing)
    if torch.is_grad_enabled():
        return (
            *_reference_gradient(ctx.settings, tensors, wanted, grad_states, grad_last),
            *nothing,
        )
    gradients = scan_backward(
        None if grad_states is None else grad_states.contiguous(),
        None if grad_last is None else grad_last.contiguous(),
        *tensors,
        states,
        tanhs,
        *ctx.settings,
        wanted,
    )
    pairs = zip(gradients, wanted, strict=True)
    return (*(gradient if want else None for gradient, want in pairs), *nothing)


def _reference_gradient(
    settings: tuple[float, int, int],
    tensors: list[Tensor | None],
    wanted: list[bool],
    grad_states: Tensor | None,
    grad_last: Tensor | None,
) -> list[Tensor | None]:
    """The same gradients through the reference, with a graph that can be differentiated again."""
    step_size, method, _ = settings
    *arguments, step_sizes = tensors
    steps = step_size if step_sizes is None else step_sizes
    tanh = NONLINEARITIES["tanh"]
    input, h0, a, w, u, b = arguments
    assert input is not None and h0 is not None and w is not None and u is not None
    call = ScanCall(input, h0, a, w, u, b, steps, BY_NUMBER[method], tanh, substeps=1)
    states, last = reference.scan(call)
    assert states is not None  # the call keeps all
    pairs = [(states, grad_states), (last, grad_last)]
    outputs, grads = zip(*((y, g) for y, g in pairs if g is not None), strict=True)
    inputs = [x for x, want in zip(tensors, wanted, strict=True) if want]
    found = iter(torch.autograd.grad(outputs, inputs, grads, create_graph=True))  # type: ignore[arg-type]
    return [next(found) if want else None for want in wanted]


scan.register_autograd(_backward, setup_context=_setup_context)
