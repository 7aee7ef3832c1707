"""Bad calls get an answer from which they can be mended."""

import pytest
import torch
from closed_forms import random_problem

from lipschitz_rnn._base.checks import values_are_visible
from lipschitz_rnn.ops import gated_lipschitz_scan, lipschitz_scan

P = random_problem()
NAMES = ("input", "h0", "a", "w", "u", "b")


def call(step_size=0.1, **changes):
    tensors = dict(zip(NAMES, P.args, strict=True))
    options = {k: v for k, v in changes.items() if k not in NAMES}
    tensors |= {k: v for k, v in changes.items() if k in NAMES}
    return lipschitz_scan(*tensors.values(), step_size=step_size, **options)


nan = float("nan")
BAD = [
    (
        {"input": P.input[0]},
        ValueError,
        r"expected `input` of shape \(T, B, P\) = \(\*, \*, \*\), got",
    ),
    ({"input": [1.0]}, TypeError, "expected `input` to be a torch.Tensor, got list"),
    ({"input": P.input.long()}, TypeError, "expected a floating-point `input`, got torch.int64"),
    ({"input": P.input.float()}, TypeError, "`h0` of the dtype of `input`, torch.float32"),
    ({"h0": P.h0[:2]}, ValueError, r"`h0` of shape \(B, H\) = \(3, 4\), got \(2, 4\)"),
    ({"h0": None}, TypeError, "expected `h0` to be a torch.Tensor, got NoneType"),
    ({"a": P.a[:2]}, ValueError, r"`a` of shape \(H, H\) = \(4, 4\), got \(2, 4\)"),
    ({"w": P.w[:2]}, ValueError, r"a square matrix `w`, got \(2, 4\)"),
    ({"u": P.u.T}, ValueError, r"`u` of shape \(H, P\) = \(4, 2\), got \(2, 4\)"),
    ({"b": P.b[:3]}, ValueError, r"`b` of shape \(H,\) = \(4,\), got \(3,\)"),
    ({"b": P.b.to("meta")}, ValueError, "`b` on the device of `input`, cpu, got meta"),
    ({"step_size": -0.1}, ValueError, "a finite `step_size` >= 0, got -0.1"),
    ({"step_size": nan}, ValueError, "a finite `step_size` >= 0, got nan"),
    ({"step_size": "big"}, TypeError, "`step_size` to be a number, got str"),
    (
        {"step_size": torch.ones(4)},
        ValueError,
        r"of shape \(\), \(T,\) = \(5,\) or \(T, B\) = \(5, 3\)",
    ),
    ({"step_size": torch.ones(3, 5)}, ValueError, r"or \(T, B\) = \(5, 3\), got \(3, 5\)"),
    ({"step_size": torch.ones(5).long()}, TypeError, "floating-point `step_size`"),
    ({"step_size": torch.tensor([1, 1, 1, 1, -1.0])}, ValueError, "got values from -1.0 to 1.0"),
    ({"step_size": torch.tensor([1, 1, 1, 1, nan])}, ValueError, "Time stamps must not decrease"),
    ({"step_size": torch.ones(5) / 0}, ValueError, "expected a finite `step_size`"),
    (
        {"method": "eular"},
        ValueError,
        "one of euler, midpoint, heun, rk4, got 'eular'. Did you mean 'euler'",
    ),
    ({"nonlinearity": "tan"}, ValueError, "Did you mean 'tanh'"),
    ({"substeps": 0}, ValueError, "`substeps` >= 1, got 0"),
    ({"substeps": 1.5}, TypeError, "`substeps` to be an int, got float"),
]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    BAD,
    ids=[f"{next(iter(b[0]))}{i}" for i, b in enumerate(BAD)],
)
def test_bad_call(changes, error, message):
    with pytest.raises(error, match=message) as caught:
        call(**changes)
    assert str(caught.value).startswith("lipschitz_scan: ")


def test_bad_gate():
    with pytest.raises(ValueError, match=r"`u_gate` of shape \(H, P\) = \(4, 2\), got \(2, 2\)"):
        gated_lipschitz_scan(*P.args, P.u[:2], None, step_size=0.1)


def test_values_are_looked_at_only_where_that_is_free():
    from torch._subclasses.fake_tensor import FakeTensorMode

    assert values_are_visible(torch.ones(2))
    assert values_are_visible(torch.nn.Parameter(torch.ones(2)))
    assert not values_are_visible(torch.ones(2, device="meta"))
    with FakeTensorMode():
        assert not values_are_visible(torch.ones(2))
    seen = []
    torch.func.vmap(lambda x: seen.append(values_are_visible(x)) or x)(torch.ones(2))
    torch.func.jvp(
        lambda x: seen.append(values_are_visible(x)) or x, (torch.ones(2),), (torch.ones(2),)
    )
    assert seen == [False, False]
