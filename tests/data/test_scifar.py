"""CIFAR-10 as sequences: pixels in the authors' split and pipeline, rows before noise."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from data.made_cifar10 import EACH, make_cifar10, refused

from lipschitz_rnn.data.cifar10 import load_cifar10
from lipschitz_rnn.data.scifar import load_scifar

TRAIN = 5 * EACH


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_cifar10(tmp_path, monkeypatch)


def load(made: Path, **options):
    return load_scifar("cifar10", data_dir=made, validation_size=20, **options)


def order() -> np.ndarray:
    return np.random.RandomState(1234).permutation(TRAIN)


def test_pixels_are_true_colours_in_the_authors_split(made: Path) -> None:
    split = load(made)
    images = load_cifar10(data_dir=made)
    assert (len(split.train), len(split.validation), len(split.test)) == (80, 20, 20)
    assert (split.train.steps, split.train.input_size) == (1024, 3)
    assert (split.kind, split.output_size, split.trivial) == (
        "classes",
        10,
        {"uniform": math.log(10)},
    )
    assert split.notes["data set"] == "CIFAR-10"
    assert split.digest == images.digest
    for part, row, image in (("train", 0, order()[0]), ("validation", -1, order()[-1])):
        dataset = getattr(split, part)
        taken = dataset.batch(torch.tensor([row % len(dataset)]))
        expected = torch.from_numpy(images.train_images[image].reshape(1024, 3)).float() / 255
        torch.testing.assert_close(taken.input[0], expected)
        assert taken.target[0] == images.train_target[image]
        plain = dataset.batch(torch.tensor([row % len(dataset)]), epoch=3)
        assert torch.equal(plain.input, taken.input)
    torch.testing.assert_close(
        split.test.batch(slice(0, 5)).input[:, 33],
        torch.from_numpy(images.test_images[:5, 1, 1]).float() / 255,
    )


def test_augmentation_changes_training_alone_and_every_epoch_anew(made: Path) -> None:
    plain, split = load(made), load(made, augment=True)
    index = torch.arange(20)
    for part in ("train", "validation", "test"):  # epoch 0 is evaluation
        got, expected = getattr(split, part).batch(index), getattr(plain, part).batch(index)
        assert torch.equal(got.input, expected.input)
    first, again, second = (split.train.batch(index, epoch=e).input for e in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, plain.train.batch(index).input)
    assert split.notes["augmentation"] == "random crop and flip"
    assert plain.notes["augmentation"] == "none"


def test_the_authors_pixels_equal_a_plain_loop(made: Path) -> None:
    split = load(made, pipeline="authors")
    images = load_cifar10(data_dir=made)
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    crop = split.train.transform.transforms[0]

    def expected(image: np.ndarray, sample: int | None, epoch: int) -> torch.Tensor:
        planes = image.transpose(2, 0, 1)  # (C, H, W)
        if sample is not None:
            top, left, flip = (int(x) for x in crop.offsets(torch.tensor([sample]), epoch))
            framed = np.pad(planes, ((0, 0), (4, 4), (4, 4)))
            planes = framed[:, top : top + 32, left : left + 32]
            planes = planes[:, :, ::-1] if flip else planes
        scaled = (planes / 255 - mean[:, None, None]) / std[:, None, None]
        return torch.from_numpy(scaled.reshape(1024, 3)).float()  # channels are not moved last

    train, held_out = order()[:80], order()[80:]
    for epoch in (1, 2):
        got = split.train.batch(torch.arange(10), epoch).input
        for row in range(10):
            wanted = expected(images.train_images[train[row]], train[row], epoch)
            torch.testing.assert_close(got[row], wanted)
    got = split.validation.batch(torch.arange(10)).input  # augmented, too
    for row in range(10):
        wanted = expected(images.train_images[held_out[row]], held_out[row], 0)
        torch.testing.assert_close(got[row], wanted)
    got = split.test.batch(torch.arange(10)).input
    for row in range(10):
        torch.testing.assert_close(got[row], expected(images.test_images[row], None, 0))


@pytest.mark.parametrize(
    ("pipeline", "noise"), [("task", "fresh"), ("task", "fixed"), ("authors", "fixed")]
)
def test_rows_come_before_the_noise(made: Path, pipeline: str, noise: str) -> None:
    split = load(made, task="noise", pipeline=pipeline, noise=noise)
    images = load_cifar10(data_dir=made)
    assert (split.train.steps, split.train.input_size) == (1000, 96)
    train = split.train.batch(torch.arange(3)).input
    test = split.test.batch(torch.arange(3)).input
    for row in range(3):
        image = images.train_images[order()[row]]
        lines = image if pipeline == "task" else image.transpose(0, 2, 1)  # R32 | G32 | B32
        expected = torch.from_numpy(np.ascontiguousarray(lines).reshape(32, 96)).float() / 255
        torch.testing.assert_close(train[row, :32], expected)
    shared = [torch.equal(train[0, 32:], other[32:]) for other in (*train[1:], *test)]
    assert all(shared) if noise == "fixed" else not any(shared)
    later = split.train.batch(torch.arange(3), epoch=5).input
    assert torch.equal(later, train)  # the same in every epoch
    other = load(made, task="noise", pipeline=pipeline, noise=noise, transform_seed=1)
    assert not torch.equal(other.train.batch(torch.arange(1)).input[0, 32:], train[0, 32:])


def test_no_two_samples_of_any_part_share_their_noise(made: Path) -> None:
    split = load(made, task="noise")
    parts = (split.train, split.validation, split.test)
    noise = torch.cat([part.batch(slice(0, len(part))).input[:, 32:] for part in parts])
    assert len(torch.unique(noise[:, 0, 0])) == len(noise) == 120


def test_the_pipeline_decides_what_noise_it_has(made: Path) -> None:
    assert load(made, task="noise").notes["noise"] == "each sample's own"
    authors = load(made, task="noise", pipeline="authors")
    assert authors.notes["noise"] == "one block for all samples"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"task": "pixel"},
            "`task` to be one of pixels, noise, got 'pixel'. Did you mean 'pixels'?",
        ),
        ({"pipeline": "author"}, "got 'author'. Did you mean 'authors'?"),
        ({"noise": "fresh"}, "expected no `noise` with task='pixels', got 'fresh'"),
        ({"task": "noise", "noise": "fres"}, "one of fresh, fixed, got 'fres'"),
        (
            {"task": "noise", "pipeline": "authors", "noise": "fresh"},
            "expected noise='fixed' with pipeline='authors', got 'fresh'",
        ),
        ({"pipeline": "authors", "augment": True}, "'authors', which augments by itself"),
        (
            {"task": "noise", "pipeline": "authors", "augment": True},
            "'authors', which does not augment by itself",
        ),
        ({"validation_size": 50_000}, "0 <= `validation_size` < 50000, got 50000"),
        ({"split_seed": -1}, "0 <= `split_seed` < 4294967296, got -1"),
        ({"transform_seed": 2**63}, "0 <= `transform_seed` < 9223372036854775808"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused_before_any_file_is_read(options, text) -> None:
    message = refused(load_scifar, "cifar10", data_dir=Path("/nonexistent"), **options)
    assert message.startswith("cifar10: expected ")
    assert text in message
