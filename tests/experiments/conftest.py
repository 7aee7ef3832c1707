import pytest
from experiments.toy_runs import run

from lipschitz_rnn.training import EpochDone


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    curve = []
    run(results, hooks=[lambda event: curve.append(event) if isinstance(event, EpochDone) else 0])
    return results, curve
