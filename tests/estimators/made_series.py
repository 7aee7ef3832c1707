"""Series with gaps, of unequal lengths, observed at irregular times."""

import numpy as np


def gappy_series(count=60, features=2, seed=0, gaps=0.2):
    """Oscillations of two kinds: series (T_i, P) with NaN, time stamps (T_i,), and the kinds."""
    rng = np.random.default_rng(seed)
    series, times, kinds = [], [], []
    for _ in range(count):
        length = rng.integers(9, 40)
        steps = rng.uniform(0.2, 1.8, length) * np.where(rng.random(length) < 0.03, 20, 1)
        stamps = 100 + steps.cumsum()
        fast = rng.integers(2)
        phase = rng.uniform(0, 2 * np.pi, features)
        wave = np.sin((0.9 if fast else 0.4) * stamps[:, None] + phase)
        wave = 50 + 10 * wave + rng.normal(size=wave.shape)
        wave[rng.random(wave.shape) < gaps] = np.nan
        series.append(wave)
        times.append(stamps)
        kinds.append("fast" if fast else "slow")
    return series, times, np.array(kinds)
