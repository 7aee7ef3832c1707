"""The fixed eager loop that the kernel is measured against."""

import torch
from torch import Tensor
from torch.nn import functional


def loop(
    input: Tensor,
    h0: Tensor,
    a: Tensor,
    w: Tensor,
    u: Tensor,
    b: Tensor,
    step_size: float,
    *,
    keep_states: bool = True,
) -> tuple[Tensor, Tensor | None]:
    r"""The recurrence as well as plain, eager PyTorch can run it.

    .. math:: h_t = h_{t-1} + \varepsilon \bigl(A h_{t-1} + \tanh(W h_{t-1} + U x_t + b)\bigr)

    It never changes, unlike :mod:`lipschitz_rnn.ops.reference`: a speed-up over the loop means the
    same in every release only if the loop is the same. All inputs are projected in one product,
    every step is one product with :math:`[A \mid W]`, and time is walked by ``unbind``: an index
    would cost a gradient of the whole sequence for each step.

    Args:
        input: The sequence, shape (T, B, P).
        h0: Initial state, shape (B, N).
        a: A, shape (N, N).
        w: W, shape (N, N).
        u: U, shape (N, P).
        b: Bias, shape (N,).
        step_size: ε.
        keep_states: Whether to return every state. Stacking them can take half as long as computing
            them, so it must not be asked for where the other side returns the last one only.

    Returns:
        The last state, (B, N), and all of them, (T, B, N), or None.
    """
    matrices = torch.cat((a, w)).mT  # (N, 2N)
    h, states = h0, []
    for z in functional.linear(input, u, b).unbind(0):
        linear, recurrent = (h @ matrices).chunk(2, -1)
        h = torch.add(h, linear + torch.tanh(recurrent + z), alpha=step_size)
        if keep_states:
            states.append(h)
    return h, torch.stack(states) if keep_states else None
