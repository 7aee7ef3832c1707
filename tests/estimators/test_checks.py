"""scikit-learn's own battery; docs/how-to/estimators.md has the same list of what cannot apply."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from lipschitz_rnn.estimators import (
    LipschitzRNNClassifier,
    LipschitzRNNForecaster,
    LipschitzRNNRegressor,
)

SMALL = {"hidden_size": 16, "bidirectional": False, "batch_size": 32}
ESTIMATORS = [
    LipschitzRNNClassifier(max_epochs=25, **SMALL),
    LipschitzRNNRegressor(max_epochs=60, **SMALL),
    LipschitzRNNForecaster(hidden_size=8, max_epochs=2),
]
NOT_APPLICABLE = {
    "LipschitzRNNForecaster": {
        "check_fit1d": "a one-dimensional X is one series of one feature",
        "check_methods_sample_order_invariance": "the rows of a table are steps: order matters",
        "check_methods_subset_invariance": "the rows of a table are steps, not samples",
    }
}

pytestmark = pytest.mark.slow  # 160 checks, most of which train a model or several


def expected_to_fail(estimator):
    return NOT_APPLICABLE.get(type(estimator).__name__, {})


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail, xfail_strict=True)
def test_estimator_passes(estimator, check):
    check(estimator)
