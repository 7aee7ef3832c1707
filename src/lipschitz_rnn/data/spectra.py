"""From samples to frames of log-magnitudes, and what predictors that know nothing score on them."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from lipschitz_rnn.data.audio import parse_audio, read_bounded
from lipschitz_rnn.data.files import sha256
from lipschitz_rnn.data.ragged import FrameDataset

RATE = 8_000  # Hz
WINDOW = 256  # samples, 32 ms
HOP = 128
BINS = WINDOW // 2 + 1
FLOOR = 1e-3
UNITS = f"natural logarithm of |X| + {FLOOR:g}, samples in [-1, 1]; not normalized"


def resample(samples: np.ndarray, rate: int) -> np.ndarray:
    """Change the sampling rate to :data:`RATE`, by scipy's polyphase filter.

    Args:
        samples: Shape ``(n,)``.
        rate: How many there are a second.

    Returns:
        Shape ``(ceil(n * RATE / rate),)``; float64, or the same array if nothing changes.

    Examples:
        >>> resample(np.ones(1000), 16_000).shape
        (500,)
    """
    if rate == RATE or not len(samples):
        return samples
    from scipy.signal import resample_poly  # slow to import, and not needed at 8 kHz

    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    return np.asarray(resample_poly(samples.astype(np.float64), up, down))


def log_magnitudes(samples: np.ndarray) -> np.ndarray:
    r"""Natural logarithms of the magnitudes of a short-time Fourier transform.

    .. math:: Y_{fk} = \ln\Big(\Big|\sum_{m=0}^{255} x_{128 f + m} \sin^2\!\big(\tfrac{\pi
        m}{256}\big) \, e^{-2 \pi i k m / 256}\Big| + 10^{-3}\Big)

    The window is the periodic Hann window. Nothing is padded: samples after the last whole window
    are dropped.

    Args:
        samples: Shape ``(n,)``, in [-1, 1].

    Returns:
        Shape ``(F, 129)``, float32, where ``F = 1 + (n - 256) // 128``, or 0 if ``n < 256``.

    Examples:
        >>> log_magnitudes(np.zeros(8000)).shape
        (61, 129)
        >>> round(float(log_magnitudes(np.ones(256))[0, 0]), 3)  # ln(256 / 2)
        4.852
    """
    if len(samples) < WINDOW:
        return np.empty((0, BINS), np.float32)
    hann = np.sin(np.pi / WINDOW * np.arange(WINDOW)) ** 2
    windows = sliding_window_view(samples, WINDOW)[::HOP]  # (F, 256), no copy
    return np.log(np.abs(np.fft.rfft(windows * hann)) + FLOOR).astype(np.float32)


def read_spectra(path: Path) -> tuple[np.ndarray, str]:
    """The whole front end for one file.

    Args:
        path: A mono SPHERE or WAV file.

    Returns:
        Frames at 8 kHz, shape ``(F, 129)``, and the SHA-256 of the file.

    Raises:
        InputError: If the file is wrong.
    """
    content = read_bounded(path)
    samples, rate = parse_audio(content, where=str(path))
    return log_magnitudes(resample(samples, rate)), sha256(content)


def frame_dataset(sequences: Sequence[np.ndarray]) -> FrameDataset:
    """Sequences of frames as a data set.

    Args:
        sequences: Each of shape ``(F, 129)``, F at least 2.

    Returns:
        All of them, in this order.
    """
    counts = torch.tensor([len(frames) for frames in sequences], dtype=torch.int64)
    frames = torch.from_numpy(np.concatenate(sequences))
    return FrameDataset(frames, counts.cumsum(0) - counts, counts)


def trivial_losses(train: FrameDataset, test: FrameDataset) -> dict[str, float]:
    """Mean squared error on the test part of two predictors that have nothing to learn.

    The mean is over all numbers of all frames that are predicted: every frame but the first of
    each sequence, a long sequence counting for more than a short one.

    Args:
        train: Sequences that give the mean frame.
        test: Sequences to predict.

    Returns:
        ``"persistence"``, the last frame once more, and ``"mean"``, the mean of the frames to be
        predicted in training.

    Examples:
        >>> two = frame_dataset([np.array([[0.0], [2.0]]), np.array([[1.0], [1.0], [4.0]])])
        >>> trivial_losses(two, two)  # of (4 + 0 + 9) / 3 and of 2, 1 and 4 about their mean
        {'persistence': 4.333333333333333, 'mean': 1.5555555555555556}
    """
    count = int((train.counts - 1).sum())
    total = sum(frames[1:].sum(0, dtype=torch.float64) for frames in _sequences(train))
    mean = total / count
    persistence = constant = 0.0
    for frames in _sequences(test):
        wide = frames.double()
        persistence += float((wide[1:] - wide[:-1]).square().sum())
        constant += float((wide[1:] - mean).square().sum())
    numbers = int((test.counts - 1).sum()) * test.input_size
    return {"persistence": persistence / numbers, "mean": constant / numbers}


def _sequences(dataset: FrameDataset) -> Iterator[Tensor]:
    """Each sequence, shape ``(F, P)``, without a copy."""
    for start, count in zip(dataset.starts.tolist(), dataset.counts.tolist(), strict=True):
        yield dataset.frames[start : start + count]
