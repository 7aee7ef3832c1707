"""Moved images: against plain loops over pixels, in any order of them."""

import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import load_split
from lipschitz_rnn.data.permutations import named_permutation
from lipschitz_rnn.data.sequence import to_sequences
from lipschitz_rnn.data.shift import Shift

IMAGES = torch.rand(6, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
"""Without zeros, which are what is new at an edge."""
IDS = torch.arange(6)


def by_loop(image, down, right):
    moved = torch.zeros_like(image)
    for row in range(8):
        for column in range(8):
            if 0 <= row + down < 8 and 0 <= column + right < 8:
                moved[row + down, column + right] = image[row, column]
    return moved


@pytest.mark.parametrize("name", [None, "seed-3"])
@pytest.mark.parametrize("steps", [8, 64])
def test_pixels_are_moved_whatever_their_order(name, steps):
    order = None if name is None else named_permutation(name, 64)
    shift = Shift(2, seed=5, order=order)
    values = to_sequences(IMAGES, steps, name)
    down, right = shift.distances(IDS, epoch=3)
    expected = torch.stack(
        [by_loop(*one) for one in zip(IMAGES, down.tolist(), right.tolist(), strict=True)]
    )
    assert torch.equal(shift(values, IDS, epoch=3), to_sequences(expected, steps, name))


def test_every_distance_is_as_likely():
    down, right = Shift(2, seed=0).distances(torch.arange(10_000), epoch=1)
    pairs = np.zeros((5, 5))
    np.add.at(pairs, ((down + 2).numpy(), (right + 2).numpy()), 1)
    # chi-squared of 24 degrees of freedom: mean 24, deviation sqrt(48); five of them
    assert ((pairs - 400) ** 2 / 400).sum() < 24 + 5 * np.sqrt(48)


def test_distances_are_of_seed_sample_and_epoch():
    """By the stream that committed runs were trained with."""
    shift = Shift(2, seed=1)
    drawn = [np.random.default_rng((1, 4, sample)).integers(5, size=2) - 2 for sample in range(50)]
    assert torch.stack(shift.distances(torch.arange(50), 4), 1).tolist() == np.array(drawn).tolist()
    whole = shift.distances(torch.arange(50), 4)
    part = shift.distances(torch.arange(20, 30), 4)
    assert all(torch.equal(a[20:30], b) for a, b in zip(whole, part, strict=True))
    others = (shift.distances(torch.arange(50), 5), Shift(2, seed=2).distances(torch.arange(50), 4))
    assert not any(torch.equal(whole[0], other[0]) for other in others)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shift": 1}, "shifts of up to 1 px"),
        ({"shift": 1, "warp": 0.2}, "shifts of up to 1 px, linear maps of up to 0.2"),
    ],
)
@pytest.mark.parametrize("permutation", [None, "seed-1"])
def test_training_alone_is_changed_and_every_epoch_anew(permutation, options, told):
    plain, split = (
        load_split("digits", steps=8, validation_size=137, permutation=permutation, **changes)
        for changes in ({}, options)
    )
    index = torch.arange(100)
    for part in ("train", "validation", "test"):  # epoch 0 is evaluation
        got, expected = getattr(split, part).batch(index), getattr(plain, part).batch(index)
        assert torch.equal(got.input, expected.input)
    first, again, second = (split.train.batch(index, epoch=e).input for e in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    # the digits have borders: hardly a pixel with anything on it is pushed out
    still = float(plain.train.batch(index).input.sum())
    assert float(first.sum()) == pytest.approx(still, rel=0.15)
    assert split.notes["augmentation"] == told
    assert "augmentation" not in plain.notes


@pytest.mark.parametrize("shift", [-1, 4])
def test_too_far_is_refused(shift):
    with pytest.raises(InputError, match=f"0 <= `shift` < 4, got {shift}"):
        load_split("digits", steps=8, shift=shift)


def test_what_cannot_be_moved_is_refused():
    with pytest.raises(ValueError, match="expected `pixels` of at least 0, got -1"):
        Shift(-1, seed=0)
    with pytest.raises(ValueError, match=r"side \* side pixels, got 15"):
        Shift(1, seed=0)(torch.zeros(1, 5, 3), torch.tensor([0]), epoch=1)
