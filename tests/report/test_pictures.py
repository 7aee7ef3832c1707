"""Pictures of what no sample should be, but some are."""

import numpy as np
import pytest

from lipschitz_rnn.report.confusion import _probability
from lipschitz_rnn.report.pictures import heat_picture


@pytest.mark.parametrize(
    "values", [np.zeros((0, 3)), np.full((4, 3), np.nan), np.array([[1.0, np.inf, np.nan]])]
)
def test_heat_maps_of_nothing_and_of_what_is_no_number(values):
    assert "data:image/png" in heat_picture(values, "x").markup


def test_one_infinite_number_does_not_hide_the_others():
    """The finite ones keep the whole scale."""
    plain = np.array([[0.0, 1.0, 1.0]])
    assert heat_picture(np.array([[0.0, 1.0, np.inf]]), "x") == heat_picture(plain, "x")


def test_what_is_no_probability_is_not_called_a_small_one():
    assert [_probability(share) for share in (0.5, 1e-4, float("nan"))] == [
        "50.0%",
        "<0.1%",
        "nan%",
    ]
