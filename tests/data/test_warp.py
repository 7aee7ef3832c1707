"""Images under random linear maps: against plain loops, and against maps that are known."""

import math

import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import load_split
from lipschitz_rnn.data.permutations import named_permutation
from lipschitz_rnn.data.sequence import to_sequences
from lipschitz_rnn.data.shift import Shift
from lipschitz_rnn.data.warp import Warp, random_moves

SIDE = 8
IMAGES = torch.rand(6, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) + 0.5
"""Without zeros, which are what is new at an edge."""
IDS = torch.arange(6)
FLOAT32 = 1e-5
"""Positions of up to 8 pixels and values of up to 1.5 in float32: each to some 1e-6."""


def by_loop(image, matrix, distance):
    """y(p) = x(M (p - c - d) + c), bilinear, in float64."""
    centre = (SIDE - 1) / 2
    result = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    for row in range(SIDE):
        for column in range(SIDE):
            away = np.array([row, column]) - centre - distance
            place = matrix @ away + centre
            low = np.floor(place).astype(int)
            for down in (0, 1):
                for right in (0, 1):
                    at = low + np.array([down, right])
                    if (at >= 0).all() and (at < SIDE).all():
                        weight = np.prod(1 - abs(place - at))
                        result[row, column] += weight * float(image[tuple(at)])
    return result


@pytest.mark.parametrize("name", [None, "seed-3"])
@pytest.mark.parametrize("steps", [8, 64])
def test_images_are_warped_whatever_the_order_of_their_pixels(name, steps):
    order = None if name is None else named_permutation(name, SIDE * SIDE)
    warp = Warp(1, seed=5, order=order, strength=0.4)
    maps = warp.maps(IDS, epoch=3)
    expected = torch.stack(
        [by_loop(*one) for one in zip(IMAGES, *(m.double().numpy() for m in maps), strict=True)]
    )
    found = warp(to_sequences(IMAGES, steps, name), IDS, epoch=3)
    wanted = to_sequences(expected.float(), steps, name)
    assert torch.allclose(found, wanted, rtol=0, atol=FLOAT32)


def test_a_quarter_turn_and_no_map_at_all():
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).expand(6, 2, 2)
    sequences = to_sequences(IMAGES, 64, None)
    warp, still = Warp(0, seed=0, strength=0.5), torch.zeros(6, 2)
    turned = warp.warped(sequences, turn, still).view(6, SIDE, SIDE)
    assert torch.allclose(turned, torch.rot90(IMAGES, 1, (1, 2)), rtol=0, atol=FLOAT32)
    down, right = Shift(2, seed=1).distances(IDS, 1)
    same = warp.warped(
        sequences, torch.eye(2).expand(6, 2, 2), torch.stack([down, right], 1).float()
    )
    moved = Shift(2, seed=1).moved(sequences, down, right)
    assert torch.allclose(same, moved, rtol=0, atol=FLOAT32)


def test_maps_are_uniform_and_of_seed_sample_and_epoch():
    warp = Warp(3, seed=1, strength=0.2)
    matrix, distance = warp.maps(torch.arange(5_000), 4)
    entries = ((matrix - torch.eye(2)) / 0.2).flatten(1).double()
    assert float(entries.abs().max()) <= 1 + 1e-6  # float32 of what is at most 1.2
    # uniform on [-1, 1]: mean 0 and variance 1/3, of variance 4/45; five deviations of 5,000
    assert float(entries.mean(0).abs().max()) < 5 * math.sqrt(1 / 3 / 5_000)
    assert float((entries.square().mean(0) - 1 / 3).abs().max()) < 5 * math.sqrt(4 / 45 / 5_000)
    assert float(torch.corrcoef(entries.T).fill_diagonal_(0).abs().max()) < 5 / math.sqrt(5_000)
    assert sorted(set(distance.flatten().tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    part = warp.maps(torch.arange(20, 30), 4)
    assert torch.equal(part[0], matrix[20:30])
    for other in (
        warp.maps(torch.arange(9), 5),
        Warp(3, seed=2, strength=0.2).maps(torch.arange(9), 4),
    ):
        assert not torch.equal(other[0], matrix[:9])


def test_what_is_asked_for_is_what_is_made():
    assert random_moves(0.0, 0, 0, None) is None
    assert isinstance(random_moves(0.0, 1, 0, None), Shift)
    assert isinstance(random_moves(0.1, 0, 0, None), Warp)


@pytest.mark.parametrize("warp", [-0.1, 1.0])
def test_too_much_is_refused(warp):
    with pytest.raises(InputError, match=f"0 <= `warp` < 1, got {warp}"):
        load_split("digits", steps=8, warp=warp)
    with pytest.raises(ValueError, match="expected `strength` from 0 to below 1"):
        Warp(0, seed=0, strength=warp)


def test_what_cannot_be_warped_is_refused():
    with pytest.raises(ValueError, match="expected `pixels` of at least 0, got -1"):
        Warp(-1, seed=0, strength=0.1)
    with pytest.raises(ValueError, match=r"side \* side pixels, got 15"):
        Warp(1, seed=0, strength=0.1)(torch.zeros(1, 5, 3), torch.tensor([0]), epoch=1)
