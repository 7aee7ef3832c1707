import dataclasses

import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import Batch, SequenceDataset, named_permutation, to_sequences


def images(n: int = 3, height: int = 4, width: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width), dtype=np.uint8)


@pytest.mark.parametrize("permutation", [None, "seed-5"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 8, 12, 24])
def test_sequences_equal_a_plain_loop(steps: int, permutation: str | None) -> None:
    pictures = images()
    n, height, width = pictures.shape
    order = list(range(24)) if permutation is None else named_permutation(permutation, 24).tolist()
    per_step = 24 // steps
    expected = np.empty((n, steps, per_step), dtype=np.uint8)
    for i in range(n):
        scanned = [pictures[i, row, column] for row in range(height) for column in range(width)]
        for t in range(steps):
            for k in range(per_step):
                expected[i, t, k] = scanned[order[t * per_step + k]]
    for given in (pictures, torch.from_numpy(pictures), pictures.reshape(n, -1)):
        got = to_sequences(given, steps, permutation)
        assert got.dtype == torch.uint8
        np.testing.assert_array_equal(got.numpy(), expected)


def test_rows_are_the_steps_of_28_by_28() -> None:
    pictures = images(2, 28, 28)
    np.testing.assert_array_equal(to_sequences(pictures, 28).numpy(), pictures)


def test_read_only_arrays_are_copied() -> None:
    pictures = images()
    pictures.flags.writeable = False
    got = to_sequences(pictures, 24)
    got += 1
    assert got[0, 0, 0] != pictures[0, 0, 0]


@pytest.mark.parametrize("steps", [0, -1, 5, 48, True, 2.0])
def test_steps_that_do_not_divide_are_refused_with_the_valid_ones(steps: object) -> None:
    with pytest.raises(InputError, match=r"divide 24 pixels.*: 1, 2, 3, 4, 6, 8, 12, 24\."):
        to_sequences(images(), steps)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, H, W\) or \(n, H \* W\), got \(2, 1, 4, 6\)"):
        to_sequences(np.zeros((2, 1, 4, 6)), 1)


def dataset() -> SequenceDataset:
    values = torch.arange(24, dtype=torch.uint8).reshape(4, 3, 2)
    return SequenceDataset(values, torch.tensor([3, 1, 2, 0]), 1 / 255)


@pytest.mark.parametrize("index", [slice(1, 3), torch.tensor([2, 0, 2])], ids=["slice", "tensor"])
def test_batch_is_scaled_and_in_the_order_asked_for(index: slice | torch.Tensor) -> None:
    data = dataset()
    rows = [1, 2] if isinstance(index, slice) else [2, 0, 2]
    batch = data.batch(index)
    assert isinstance(batch, Batch)
    assert len(batch) == len(rows)
    assert batch.input.dtype == torch.float32
    for got, target, row in zip(batch.input, batch.target, rows, strict=True):
        # One rounding of 1/255 and one of the product: at most one unit in the last place.
        torch.testing.assert_close(
            got.double(), data.values[row].double() / 255, rtol=2.4e-7, atol=0
        )
        assert target == [3, 1, 2, 0][row]


def test_white_is_exactly_one() -> None:
    white = SequenceDataset(
        torch.full((1, 1, 1), 255, dtype=torch.uint8), torch.tensor([0]), 1 / 255
    )
    assert white.batch(slice(None)).input.item() == 1.0


def test_floating_values_pass_through_and_doubles_become_single() -> None:
    values = torch.rand(2, 3, 1, dtype=torch.float64)
    batch = SequenceDataset(values, torch.tensor([0, 1])).batch(slice(None))
    torch.testing.assert_close(batch.input, values.float(), rtol=0, atol=0)


def test_batch_does_not_share_memory_with_the_dataset() -> None:
    data = SequenceDataset(torch.zeros(2, 1, 1), torch.tensor([0, 1]))
    data.batch(slice(None)).input.add_(1)
    assert data.values.sum() == 0


def test_sizes_and_subset() -> None:
    data = dataset()
    assert (len(data), data.steps, data.input_size) == (4, 3, 2)
    part = data.subset(torch.tensor([3, 0]))
    assert part.target.tolist() == [0, 3]
    assert part.scale == data.scale
    assert torch.equal(part.values, data.values[[3, 0]])
    assert len(data.subset(torch.tensor([], dtype=torch.int64))) == 0


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"values": torch.zeros(4, 3)}, ValueError, r"\(n, T, P\)"),
        ({"target": torch.zeros(3, dtype=torch.int64)}, ValueError, "with n = 4 and T = 3, got"),
        ({"target": torch.zeros(4)}, ValueError, r"\(n, Q\) or \(n, T, Q\)"),
        ({"target": torch.zeros(4, dtype=torch.int32)}, TypeError, "int64 or floating, got"),
        ({"dt": torch.ones(4)}, ValueError, r"`dt` of shape \(n, T\)"),
        ({"ids": torch.ones(3)}, ValueError, r"`ids` of shape \(n,\)"),
        ({"values": torch.zeros(4, 3, 2, dtype=torch.int32)}, TypeError, "uint8 or floating"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(change: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        dataclasses.replace(dataset(), **change)
