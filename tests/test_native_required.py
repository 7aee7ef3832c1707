"""A package that fell back to pure Python must not pass where the kernel is required."""

import os

import pytest

from lipschitz_rnn.ops import available_backends, explain_kernel, variants


@pytest.mark.skipif(
    not os.environ.get("LIPSCHITZ_RNN_REQUIRE_NATIVE"),
    reason="LIPSCHITZ_RNN_REQUIRE_NATIVE is not set",
)
def test_the_kernel_is_there():
    assert variants(), explain_kernel()
    assert available_backends()[0] == "native"
