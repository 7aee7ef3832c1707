"""Times and slopes that a constraint covers, and those it refuses."""

import pytest
import torch

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.nn import LipschitzRNN, LipschitzRNNCell
from lipschitz_rnn.nn.contraction import make_metric


@pytest.mark.parametrize(
    ("method", "good", "bad"),
    [("euler", (0.0, 0.3, 1.0), (1.01, -0.1, float("nan"))), ("midpoint", (0.0, 1.0), (0.5, 2.0))],
)
def test_times_that_are_not_covered_are_refused(method, good, bad):
    options = {"constraint": "contractive", "rate": 0.1, "step_size": 0.1, "method": method}
    layer, cell = LipschitzRNN(2, 4, **options), LipschitzRNNCell(2, 4, **options)
    x = torch.randn(6, 3, 2)

    def calls(time):
        dt = torch.ones(6, 3)
        dt[4, 1] = time
        yield lambda: layer(x, dt=dt)
        yield lambda: cell(x[0], None, dt=torch.tensor([1.0, time, 1.0]))
        yield lambda: layer.step(x[0], None, dt=time)

    with torch.no_grad():
        for time in good:
            for call in calls(time):
                call()
        for time in bad:
            for call in calls(time):
                with pytest.raises(ValueError, match="`dt`"):
                    call()
    free = LipschitzRNN(2, 4, method=method)
    assert free(x, dt=torch.full((6, 3), 5.0))[0].isfinite().all()


def test_shorter_euler_steps_contract_as_much_as_their_share():
    torch.manual_seed(0)
    layer = LipschitzRNN(
        2, 6, constraint="contractive", rate=2.0, step_size=0.3, init_std=9.0, dtype=torch.float64
    )
    root = make_metric(layer.log_metric_l0)
    x, dt = torch.randn(40, 5, 2).double(), torch.rand(40, 5).double()
    one, other = (layer(x, torch.randn(1, 5, 6).double() * 3, dt=dt)[0] for _ in range(2))
    apart = torch.linalg.vector_norm(root * (one - other), dim=-1)
    factor = 1 - dt[1:] * (1 - torch.tensor(-0.3 * 2.0).exp())
    assert (apart[1:] <= factor * apart[:-1] * (1 + 1e-12) + 1e-15).all()


@pytest.mark.parametrize("constraint", ["contractive", "contractive-flow"])
def test_slopes_that_never_vanish(constraint):
    if constraint == "contractive":
        with pytest.raises(
            ValueError, match=r"slopes reach 0 .* got 'identity' with slopes from 1"
        ):
            LipschitzRNN(2, 4, constraint=constraint, nonlinearity="identity")
    else:  # condition (a) asks for an upper bound alone
        layer = LipschitzRNN(2, 4, constraint=constraint, nonlinearity="identity", init_std=9.0)
        assert certify(layer, continuous=True).holds
