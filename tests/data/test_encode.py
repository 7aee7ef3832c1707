import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import (
    SequenceDataset,
    encode_samples,
    load_digits,
    load_split,
    to_sequences,
)

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
TRAINED = [(784, None), (784, "authors"), (98, "authors"), (28, None), (28, "seed-1"), (1, None)]


def as_in_training(pictures: np.ndarray, steps: int, permutation: str | None) -> torch.Tensor:
    values = to_sequences(pictures, steps, permutation)
    target = torch.zeros(len(values), dtype=torch.int64)
    return SequenceDataset(values, target, 1 / 255).batch(slice(None)).input


@pytest.mark.parametrize(("steps", "permutation"), TRAINED)
@pytest.mark.parametrize("dtype", ["u1", "i2", "<i4", ">i4", "i8", "u8", ">u2"])
def test_integers_of_any_width_become_what_training_saw(steps, permutation, dtype) -> None:
    expected = as_in_training(PICTURES, steps, permutation)
    shapes = [(5, 28, 28), (5, 784), (5, steps, 784 // steps)]
    for shape in shapes:
        array = PICTURES.astype(dtype).reshape(shape)
        got = encode_samples(array, name="mnist", steps=steps, permutation=permutation)
        assert got.dtype == torch.float32
        assert torch.equal(got, expected)
        one = encode_samples(array[3], name="mnist", steps=steps, permutation=permutation)
        assert torch.equal(one, expected[3:4])


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "g"])
def test_floats_are_taken_as_they_are(dtype: str) -> None:
    array = np.linspace(0, 1, 784).astype(dtype)
    got = encode_samples(array, name="mnist", steps=784)
    np.testing.assert_array_equal(got.numpy().reshape(-1), array.astype(np.float32))


def test_the_permutation_applies_to_floats_too() -> None:
    expected = as_in_training(PICTURES, 98, "authors")
    floats = PICTURES.astype(np.float32) * np.float32(1 / 255)
    got = encode_samples(floats, name="mnist", steps=98, permutation="authors")
    assert torch.equal(got, expected)


def test_digits_are_whole_numbers_to_sixteen() -> None:
    raw, split = (
        load_digits(),
        load_split("digits", steps=8, permutation="seed-2", validation_size=0),
    )
    expected = split.test.batch(slice(None)).input
    got = encode_samples(raw.test_images, name="digits", steps=8, permutation="seed-2")
    assert torch.equal(got, expected)
    with pytest.raises(InputError, match="values from 0 to 16, got 17 in row 1"):
        encode_samples(np.stack([np.full(64, 16), np.full(64, 17)]), name="digits", steps=8)


def test_the_array_given_is_left_alone_and_may_be_read_only() -> None:
    array = PICTURES.copy()
    array.flags.writeable = False
    encode_samples(array, name="mnist", steps=784)
    assert encode_samples(array[:, ::-1], name="mnist", steps=28).shape == (5, 28, 28)
    np.testing.assert_array_equal(array, PICTURES)


def changed(value: float, dtype: type) -> np.ndarray:
    array = np.zeros((4, 784), dtype)
    array[2, 17] = value
    return array


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (changed(256, np.int64), "values from 0 to 255, got 256 in row 2. Integers are pixels"),
        (changed(-1, np.int16), "values from 0 to 255, got -1 in row 2"),
        (changed(2**64 - 1, np.uint64), "got 18446744073709551615 in row 2"),
        (
            changed(255.0, np.float64),
            r"values from 0 to 1, got 255.0 in row 2. .* divide pixels by 255",
        ),
        (changed(-0.1, np.float64), "values from 0 to 1, got -0.1 in row 2"),
        (changed(np.nan, np.float32), "finite values, got nan in row 2"),
        (changed(np.inf, np.float32), "finite values, got inf in row 2"),
        (np.zeros((4, 784), bool), "integers or floats, got bool"),
        (np.zeros((4, 784), complex), "integers or floats, got complex128"),
        (np.full((4, 784), "7"), "integers or floats, got <U1"),
        (np.full((4, 784), None), "integers or floats, got object"),
        (np.zeros((4, 783)), r"\(n, 28, 28\), \(n, 784\), \(n, 784, 1\), .* got \(4, 783\)"),
        (np.zeros(()), r"got \(\)"),
        (np.zeros((1, 1, 28, 28)), r"got \(1, 1, 28, 28\)"),
        (np.zeros((0, 28, 28)), "at least one sample"),
        (np.zeros(0), r"got \(0,\)"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(array: np.ndarray, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        encode_samples(array, name="mnist", steps=784)
    assert "\n" not in str(caught.value)


def test_names_and_steps_are_checked() -> None:
    with pytest.raises(InputError, match="Did you mean 'mnist'"):
        encode_samples(PICTURES, name="mnis", steps=784)
    with pytest.raises(InputError, match="divide 784 pixels"):
        encode_samples(PICTURES, name="mnist", steps=100)
    with pytest.raises(InputError, match="'authors' or"):
        encode_samples(PICTURES, name="mnist", steps=98, permutation="theirs")
