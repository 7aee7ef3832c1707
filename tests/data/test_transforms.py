import math

import numpy as np
import pytest
import torch

from lipschitz_rnn.data.noise import NoisePadding
from lipschitz_rnn.data.sequence import SequenceDataset
from lipschitz_rnn.data.transforms import ChannelPlanes, Compose, CropFlip, Normalize

IDS = torch.arange(12)


def pixels(count: int = 12) -> torch.Tensor:
    return torch.rand(count, 1024, 3) + 0.5  # no zeros, which the border is made of


# Noise.


def noise(kind: str = "fresh", count: int = 64, seed: int = 0) -> torch.Tensor:
    padding = NoisePadding(1000, seed, kind)
    return padding(torch.zeros(count, 32, 96), torch.arange(count), 1)[:, 32:]


def test_noise_is_standard_normal() -> None:
    drawn = noise().double()
    n = drawn.numel()  # 5.9 million; bounds are five standard errors of each moment
    assert abs(drawn.mean()) < 5 * math.sqrt(1 / n)
    assert abs(drawn.pow(2).mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs(drawn.pow(3).mean()) < 5 * math.sqrt(15 / n)
    assert abs(drawn.pow(4).mean() - 3) < 5 * math.sqrt(96 / n)
    for bound in (0.5, 1.0, 2.0, 3.0):
        share = math.erfc(bound / math.sqrt(2))
        error = math.sqrt(share * (1 - share) / n)
        assert abs((drawn.abs() > bound).double().mean() - share) < 5 * error


def test_samples_steps_and_features_are_independent() -> None:
    drawn = noise(count=100).double()
    for first, second in (  # samples next to each other, steps, features
        (drawn[1:], drawn[:-1]),
        (drawn[:, 1:], drawn[:, :-1]),
        (drawn[..., 1:], drawn[..., :-1]),
        (drawn[1:, 1:], drawn[:-1, :-1]),
        (drawn[1:].square() - 1, drawn[:-1].square() - 1),
    ):
        product = first * second
        assert abs(product.mean()) < 5 * product.std() / math.sqrt(product.numel())
    rows = drawn.flatten(1)
    correlation = rows @ rows.T / rows.shape[1]
    largest = (correlation - correlation.diag().diag()).abs().max()
    # the largest of 4,950 normal numbers is above 5 once in 350 times
    assert 3 < largest * math.sqrt(rows.shape[1]) < 5


def test_fresh_noise_is_a_function_of_seed_and_sample() -> None:
    padding = NoisePadding(40, seed=7)
    values = torch.rand(12, 32, 96)
    whole = padding(values, IDS, 1)
    assert torch.equal(whole[:, :32], values)
    mixed = torch.tensor([5, 0, 11, 5])
    assert torch.equal(padding(values[mixed], mixed, 9), whole[mixed])
    assert torch.equal(padding(values[3:4], IDS[3:4], 0), whole[3:4])
    assert len(torch.unique(whole[:, 32, 0])) == 12
    other = NoisePadding(40, seed=8)(values, IDS, 1)
    assert not torch.isin(other[:, 32, 0], whole[:, 32, 0]).any()
    large = torch.tensor([2**31, 2**32 - 2])
    assert len(torch.unique(padding(values[:2], large, 1)[:, 32, 0])) == 2


def test_noise_is_numpys_stream_of_seed_and_sample() -> None:
    block = NoisePadding(40, seed=7)(torch.zeros(1, 32, 96), torch.tensor([5]), 1)[0, 32:]
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence((7, 5))))
    assert np.array_equal(block.numpy(), stream.standard_normal((8, 96), dtype=np.float32))


def test_fixed_noise_is_one_block() -> None:
    drawn = noise("fixed", count=3)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], noise("fixed", count=1, seed=1)[0])
    n = drawn[0].numel()
    assert abs(drawn[0].mean()) < 5 * math.sqrt(1 / n)
    assert abs(drawn[0].square().mean() - 1) < 5 * math.sqrt(2 / n)


def test_noise_does_not_touch_the_global_generator() -> None:
    values = pixels()
    state = torch.get_rng_state()
    noise(count=2)
    noise("fixed", count=2)
    CropFlip(0)(values, IDS, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_padding_to_the_length_that_is_there_changes_nothing() -> None:
    values = torch.rand(12, 32, 96)
    for kind in ("fresh", "fixed"):
        assert torch.equal(NoisePadding(32, 0, kind)(values, IDS, 1), values)


def test_wrong_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most total = 31 steps, got 32"):
        NoisePadding(31, 0)(torch.rand(12, 32, 96), IDS, 1)
    with pytest.raises(ValueError, match="`kind` to be one of fresh, fixed, got 'fixd'"):
        NoisePadding(31, 0, "fixd")


# Crops and flips.


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_crops_equal_a_plain_loop(padding: int) -> None:
    values = pixels()
    crop = CropFlip(seed=2, padding=padding)
    for epoch in (1, 2):
        got = crop(values, IDS, epoch)
        top, left, flip = crop.offsets(IDS, epoch)
        for i in range(12):
            picture = np.pad(
                values[i].reshape(32, 32, 3).numpy(), ((padding,) * 2, (padding,) * 2, (0, 0))
            )
            expected = picture[top[i] : top[i] + 32, left[i] : left[i] + 32]
            expected = expected[:, ::-1] if flip[i] else expected
            np.testing.assert_array_equal(got[i].reshape(32, 32, 3).numpy(), expected)
        rows = crop(values.reshape(12, 32, 96), IDS, epoch)
        assert torch.equal(rows.reshape(12, 1024, 3), got)


def test_evaluation_sees_the_images_as_they_are() -> None:
    values = pixels()
    assert torch.equal(CropFlip(0)(values, IDS, 0), values)
    assert not torch.equal(CropFlip(0, evaluation=True)(values, IDS, 0), values)


def test_crops_are_a_function_of_seed_sample_and_epoch() -> None:
    values, crop = pixels(), CropFlip(5)
    whole = crop(values, IDS, 3)
    mixed = torch.tensor([5, 0, 11, 5])
    assert torch.equal(crop(values[mixed], mixed, 3), whole[mixed])
    assert not torch.equal(crop(values, IDS, 4), whole)
    assert not torch.equal(CropFlip(6)(values, IDS, 3), whole)


def test_all_places_are_equally_likely() -> None:
    count = 40_000
    top, left, flip = CropFlip(0).offsets(torch.arange(count), 1)
    error = math.sqrt(count / 81 * (1 - 1 / 81))
    places = torch.bincount(9 * top + left, minlength=81)
    assert places.shape == (81,)
    assert (places - count / 81).abs().max() < 5 * error
    assert abs(flip.sum() - count / 2) < 5 * math.sqrt(count / 4)
    of_flipped = torch.bincount(top[flip], minlength=9)
    assert (of_flipped - flip.sum() / 9).abs().max() < 5 * math.sqrt(count / 18 * 8 / 9)
    again = CropFlip(0).offsets(torch.arange(count), 2)[0]
    assert abs((again == top).sum() - count / 9) < 5 * math.sqrt(count * 8 / 81)


@pytest.mark.parametrize("shape", [(1024, 1), (1023, 3), (32, 3), (5, 7)])
def test_what_is_no_square_image_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"expected T \* P = 3 \* side \* side numbers, got T"):
        CropFlip(0).shape(*shape)


# The rest.


def test_channels_are_normalised_each_by_its_own() -> None:
    normalize = Normalize((0.5, 1.0, 2.0), (1.0, 2.0, 4.0))
    values = torch.tensor([[[1.5, 3.0, 10.0], [0.5, 1.0, 2.0]]])
    expected = torch.tensor([[[1.0, 1.0, 2.0], [0.0, 0.0, 0.0]]])
    assert torch.equal(normalize(values, IDS[:1], 0), expected)
    rows = values.reshape(1, 1, 6)
    assert torch.equal(normalize(rows, IDS[:1], 0), expected.reshape(1, 1, 6))
    with pytest.raises(ValueError, match="P to be a multiple of 3 channels, got 4"):
        normalize.shape(1, 4)
    with pytest.raises(ValueError, match="one `std` for each of 3 means, got 2"):
        Normalize((0.5, 1.0, 2.0), (1.0, 2.0))


def test_planes_are_the_image_reshaped_without_moving_its_channels() -> None:
    planes = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    got = ChannelPlanes()(planes.permute(0, 2, 3, 1).reshape(2, 1024, 3), IDS[:2], 0)
    assert torch.equal(got, planes.reshape(2, 1024, 3))
    assert got[0, 341].tolist() == [1023, 1024, 1025]  # this step straddles red and green


def test_changes_are_made_in_their_order() -> None:
    values = pixels()
    crop, normalize = CropFlip(1), Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    both = Compose((crop, normalize))
    expected = normalize(crop(values, IDS, 4), IDS, 4)
    assert torch.equal(both(values, IDS, 4), expected)
    assert not torch.equal(Compose((normalize, crop))(values, IDS, 4), expected)  # the border
    assert Compose(()).shape(5, 7) == (5, 7)
    assert Compose((CropFlip(0), NoisePadding(1000, 0))).shape(32, 96) == (1000, 96)


def test_a_data_set_hands_them_its_own_numbers() -> None:
    values = torch.zeros(12, 32, 96)
    dataset = SequenceDataset(
        values, torch.zeros(12, dtype=torch.int64), transform=NoisePadding(40, 0)
    )
    assert (dataset.steps, dataset.input_size) == (40, 96)
    whole = dataset.batch(slice(0, 12)).input
    part = dataset.subset(torch.tensor([8, 2, 5]))
    assert torch.equal(part.batch(torch.tensor([2, 0])).input, whole[[5, 8]])
