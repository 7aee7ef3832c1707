import math

import numpy as np
import pytest
import torch
from data.made_speech import noise, sphere, wav, write
from scipy.signal import get_window

from lipschitz_rnn.data.files import sha256
from lipschitz_rnn.data.spectra import (
    BINS,
    FLOOR,
    frame_dataset,
    log_magnitudes,
    read_spectra,
    resample,
    trivial_losses,
)

EPS = np.finfo(np.float32).eps


def slow_log_magnitudes(samples: np.ndarray) -> np.ndarray:
    """By the definition, one frame and one bin after the other."""
    hann = get_window("hann", 256)
    rows = []
    for start in range(0, len(samples) - 255, 128):
        windowed = samples[start : start + 256] * hann
        waves = np.exp(-2j * np.pi * np.outer(np.arange(129), np.arange(256)) / 256)
        rows.append(np.log(np.abs(waves @ windowed) + 1e-3))
    return np.array(rows).reshape(-1, 129)


@pytest.mark.parametrize("size", [256, 383, 384, 1000, 4321])
def test_frames_are_those_of_the_definition(size: int) -> None:
    samples = noise(size) / 32768
    got, expected = log_magnitudes(samples), slow_log_magnitudes(samples)
    assert got.shape == expected.shape == (1 + (size - 256) // 128, 129)
    assert got.dtype == np.float32
    # rounded once to float32 from values below 8 in size
    np.testing.assert_allclose(got, expected, rtol=0, atol=8 * EPS)


@pytest.mark.parametrize(("size", "count"), [(0, 0), (255, 0), (256, 1), (383, 1), (384, 2)])
def test_nothing_is_padded(size: int, count: int) -> None:
    assert log_magnitudes(np.zeros(size, np.float32)).shape == (count, BINS)


@pytest.mark.parametrize("k", [2, 40, 126])
def test_a_cosine_at_a_bin_is_seen_there_and_beside(k: int) -> None:
    samples = 0.5 * np.cos(2 * np.pi * k / 256 * np.arange(1024) + 0.3)
    magnitudes = np.exp(log_magnitudes(samples).astype(np.float64)) - FLOOR
    expected = np.zeros(129)
    expected[k] = 0.5 * 256 / 4  # half the cosine's energy by the window's mean, one half
    expected[[k - 1, k + 1]] = expected[k] / 2  # the periodic window has three bins, no more
    np.testing.assert_allclose(magnitudes, np.tile(expected, (7, 1)), atol=1e-4)


def test_silence_is_the_floor() -> None:
    assert np.unique(log_magnitudes(np.zeros(600))) == np.float32(math.log(1e-3))


def test_single_precision_is_not_lost() -> None:
    samples = (noise(1000) / 32768).astype(np.float32)
    np.testing.assert_array_equal(log_magnitudes(samples), log_magnitudes(samples.astype(float)))


def test_a_low_tone_survives_resampling_and_a_high_one_does_not() -> None:
    time = np.arange(16_000) / 16_000
    at_8k = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)
    low = resample(np.sin(2 * np.pi * 500 * time), 16_000)
    high = resample(np.sin(2 * np.pi * 5000 * time), 16_000)  # would fold down to 3 kHz
    inside = slice(100, -100)  # the filter rings at the ends
    assert low.shape == (8000,)
    assert np.abs(low - at_8k)[inside].max() < 2e-3
    assert np.abs(high)[inside].max() < 2e-3


@pytest.mark.parametrize(("rate", "count"), [(8000, 1001), (16_000, 501), (44_100, 182)])
def test_resampling_keeps_the_duration(rate: int, count: int) -> None:
    assert resample(np.ones(1001, np.float32), rate).shape == (count,)
    assert resample(np.ones(0, np.float32), rate).shape == (0,)


def test_the_front_end_is_its_parts(tmp_path) -> None:
    samples = noise(4000)
    for content in (sphere(samples), wav(samples, 16_000)):
        path = write(tmp_path / "file", content)
        frames, digest = read_spectra(path)
        assert digest == sha256(content)
        np.testing.assert_array_equal(frames, log_magnitudes(resample(samples / 32768, 16_000)))


def test_sequences_keep_their_order_and_length() -> None:
    sequences = [np.full((n, 2), n, np.float32) for n in (3, 2, 5)]
    data = frame_dataset(sequences)
    assert data.counts.tolist() == [3, 2, 5]
    assert data.starts.tolist() == [0, 3, 5]
    batch = data.batch(torch.tensor([2, 0]))
    assert batch.input[0].unique() == 5
    assert batch.input[1, :2].unique() == 3


def test_trivial_losses_are_the_masked_means_of_a_whole_batch() -> None:
    random = np.random.RandomState(1)
    train = frame_dataset([random.randn(n, 3).astype(np.float32) for n in (4, 9, 2)])
    test = frame_dataset([random.randn(n, 3).astype(np.float32) for n in (7, 2, 12)])
    losses = trivial_losses(train, test)

    def valid(dataset, name):
        batch = dataset.batch(slice(None))
        mask = torch.arange(batch.input.shape[1]) < batch.lengths[:, None]
        return getattr(batch, name)[mask].double()  # (predicted frames, P)

    target = valid(test, "target")
    mean = valid(train, "target").mean(0)
    assert losses["persistence"] == pytest.approx(
        float((target - valid(test, "input")).square().mean()), rel=1e-12
    )
    assert losses["mean"] == pytest.approx(float((target - mean).square().mean()), rel=1e-12)
