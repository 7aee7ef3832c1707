"""The family is what it says, and the counts are those of certify."""

import numpy as np
import pytest

from lipschitz_rnn.analysis import certify
from lipschitz_rnn.benchmarks.certificates import (
    count_certified,
    random_system,
    time_strengths,
)


@pytest.mark.parametrize("seed", range(5))
def test_condition_a_fails_for_every_system(seed):
    system = random_system(8, seed, step_size=None, method="euler")
    top = np.linalg.eigvalsh((system.a + system.a.T) / 2)[-1]
    assert top < 1e-12  # damped, but
    assert top + np.linalg.norm(system.w, 2) > 0


def test_counts():
    rows = count_certified(((4, 6),))
    assert [row["question"] for row in rows] == ["flow", "euler"]
    for row, step_size in zip(rows, (None, 0.03), strict=True):
        systems = [random_system(4, seed, step_size=step_size, method="euler") for seed in range(6)]
        for strength in ("norm", "diagonal", "full"):
            held = [
                certify(s.a, s.w, step_size=step_size, strength=strength).holds for s in systems
            ]
            assert row["certified"][strength] == sum(held)


def test_times():
    rows = time_strengths({"norm": (4, 8), "full": (4,)})
    assert {row["size"] for row in rows} == {4, 8}
    assert all(row["seconds"] > 0 for row in rows)
