"""The kernel's tanh: accuracy, monotony, special values. csrc/test/driver.cpp walks every float."""

import math

import numpy as np
import pytest
import torch

from lipschitz_rnn.ops import library, variants

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(not variants(), reason="no native library here"),
]
ALL = [(v, d) for v in variants() for d in (torch.float32, torch.float64)]


def kernel_tanh(x, variant):
    y = torch.full_like(x, float("nan"))
    suffix = {torch.float32: "f32", torch.float64: "f64"}[x.dtype]
    function = getattr(library.library, f"lipschitz_scan_tanh_{suffix}")
    names = ("baseline", "avx2", "avx512")
    assert function(x.data_ptr(), y.data_ptr(), x.numel(), names.index(variant)) == 0
    return y


def sample(dtype):
    """Runs of neighbours around joints of the range reduction and powers of two, and between."""
    kind = np.float32 if dtype == torch.float32 else np.float64
    joints = [(n + 0.5) * math.log(2) / 2 for n in range(56)]
    centres = np.array([*joints, *(2.0**e for e in range(-30, 6)), 9.0109, 19.0615], dtype=kind)
    bits = centres.view(np.int32 if kind == np.float32 else np.int64)
    near = (bits[:, None] + np.arange(-400, 400)).ravel().view(kind)
    wide = np.geomspace(1e-30, 40, 200_000, dtype=kind)
    return torch.from_numpy(np.sort(np.concatenate((near, wide))))


@pytest.mark.parametrize(("variant", "dtype"), ALL)
def test_within_two_ulp_of_the_truth(variant, dtype):
    """2 ulp in float32; in float64 half an ulp of rounding and less than half of ours."""
    x = sample(dtype)
    y = kernel_tanh(x, variant).numpy()
    truth = np.tanh(x.numpy().astype(np.longdouble))
    # An ulp of the exact value; below 1 it is that of the floats just under 1.
    kind = x.numpy().dtype.type
    ulp = np.spacing(np.minimum(truth.astype(kind), np.nextafter(kind(1), kind(0))))
    error = np.abs((y.astype(np.longdouble) - truth) / ulp).max()
    if dtype == torch.float64 and np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        pytest.skip("long double is no wider than double here")
    assert error <= (2.0 if dtype == torch.float32 else 1.0), f"{error:.3f} ulp"


@pytest.mark.parametrize(("variant", "dtype"), ALL)
def test_monotone(variant, dtype):
    y = kernel_tanh(sample(dtype), variant)
    assert (y.diff() >= 0).all()


@pytest.mark.parametrize(("variant", "dtype"), ALL)
def test_odd_and_at_most_one(variant, dtype):
    x = sample(dtype)
    y = kernel_tanh(x, variant)
    assert torch.equal(kernel_tanh(-x, variant), -y)
    assert y.max() == 1


@pytest.mark.parametrize(("variant", "dtype"), ALL)
def test_special_values(variant, dtype):
    tiny = torch.finfo(dtype).smallest_normal
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, tiny, -tiny / 4, 1e30, -1e30], dtype=dtype)
    y = kernel_tanh(x, variant)
    assert torch.equal(y[:4], torch.tensor([0.0, -0.0, 1.0, -1.0], dtype=dtype))
    assert torch.equal(torch.signbit(y[:2]), torch.tensor([False, True]))
    assert y[4].isnan()
    assert torch.equal(y[5:], torch.tensor([tiny, -tiny / 4, 1.0, -1.0], dtype=dtype))


@pytest.mark.parametrize("count", [0, 1, 7, 17])
@pytest.mark.parametrize(("variant", "dtype"), ALL)
def test_any_count(count, variant, dtype):
    x = torch.linspace(-2, 2, count, dtype=dtype)
    y = torch.full((count + 8,), 9.0, dtype=dtype)
    suffix = {torch.float32: "f32", torch.float64: "f64"}[dtype]
    function = getattr(library.library, f"lipschitz_scan_tanh_{suffix}")
    function(x.data_ptr(), y.data_ptr(), count, -1)
    assert torch.allclose(y[:count], torch.tanh(x), rtol=1e-6)
    assert (y[count:] == 9).all()
