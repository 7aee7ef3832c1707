"""What an estimator computes, computed again from the equations, one series at a time."""

import math

import numpy as np
import torch


def standardised(estimator, series):
    """One series (T, P) as the model is to read it: standardised, then the last value held."""
    values = np.array(series, dtype=np.float64).reshape(len(series), -1)
    values = (values - estimator.scaling_.mean) / estimator.scaling_.scale
    for column in values.T:
        last = 0.0
        for t, value in enumerate(column):
            last = last if math.isnan(value) else value
            column[t] = last
    return torch.tensor(values, dtype=torch.float32)


def holds(estimator, stamps):
    """For how long each observation is held, in usual steps, 8 at most; the last one for 1."""
    gaps = np.diff(stamps) / estimator.scaling_.time_unit
    return torch.tensor(np.append(np.minimum(gaps, 8.0), 1.0)).float()


def patched(x, patch, window, dt=None):
    """(S, w·P): every k-th window, counted from the end; and the mean dt of each patch, (S,)."""
    steps = math.ceil(len(x) / patch)
    rows, times = [], []
    for s in range(steps):
        end = len(x) - 1 - (steps - 1 - s) * patch
        rows.append(torch.cat([x[max(0, end - j)] for j in reversed(range(window))]))
        if dt is not None:
            held = [dt[end - j].item() if end >= j else 1.0 for j in range(patch)]
            times.append(sum(held) / patch)
    return torch.stack(rows), None if dt is None else torch.tensor(times)


def answer(estimator, series, stamps=None):
    """Answers (Q,) of a classifier or regressor with ``pooling="statistics"`` and one layer."""
    made = estimator.architecture_
    dt = None if stamps is None else holds(estimator, stamps)
    x, dt = patched(standardised(estimator, series), made.patch, made.window, dt)
    reader = getattr(estimator.model_, "reader", estimator.model_)
    with torch.no_grad():
        states = reader.rnn(x, dt=dt)[0] if dt is not None else reader.rnn(x)[0]  # (S, D*H)
        width = made.hidden_size
        last = [states[-1, :width]] + ([states[0, width:]] if made.bidirectional else [])
        deviation = (states.var(0, correction=0) + 1e-6).sqrt()
        pooled = torch.cat([*last, states.mean(0), states.max(0).values, deviation])
        return reader.head.weight @ pooled + reader.head.bias
