import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import named_permutation, permutations, to_sequences


def test_authors_is_a_bijection_but_not_the_identity() -> None:
    permutation = named_permutation("authors", 784)
    assert permutation.dtype == torch.int64
    assert sorted(permutation.tolist()) == list(range(784))
    assert (permutation != torch.arange(784)).sum() > 700  # about one fixed point is expected


def test_authors_is_what_their_seed_gives_globally() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12008)
        expected = torch.randperm(784)
    assert torch.equal(named_permutation("authors", 784), expected)


def test_authors_begins_as_recorded() -> None:
    assert named_permutation("authors", 784)[:8].tolist() == [91, 97, 471, 426, 157, 451, 312, 198]


def test_naming_a_permutation_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    named_permutation("authors", 784)
    named_permutation("seed-3", 64)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_that_draws_other_numbers_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(length: int, **_: object) -> torch.Tensor:
        return torch.arange(length)

    monkeypatch.setattr(torch, "randperm", other)
    with pytest.raises(RuntimeError, match=f"SHA-256 {permutations.AUTHORS_SHA256}, got [0-9a-f]+"):
        named_permutation("authors", 784)


def test_the_sequence_shows_the_named_pixel_at_each_position() -> None:
    image = np.arange(784, dtype=np.int64).reshape(1, 28, 28)  # every pixel holds its own number
    got = to_sequences(image, 784, "authors")[0, :, 0]
    assert torch.equal(got, named_permutation("authors", 784))


@pytest.mark.parametrize("length", [1, 64, 784])
def test_seeds_name_permutations_of_any_length(length: int) -> None:
    expected = torch.randperm(length, generator=torch.Generator().manual_seed(7))
    assert torch.equal(named_permutation("seed-7", length), expected)


def test_seeds_differ_and_authors_is_one_of_them() -> None:
    assert not torch.equal(named_permutation("seed-1", 64), named_permutation("seed-2", 64))
    assert torch.equal(named_permutation("seed-12008", 784), named_permutation("authors", 784))


@pytest.mark.parametrize(
    "name", ["", "seed", "seed-", "seed--1", "seed-01", "seed-1.0", "seed-²", f"seed-{10**18}", 3]
)
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(InputError, match="'authors' or 'seed-<n>'"):
        named_permutation(name, 784)


def test_a_misspelled_name_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"got 'author'\. Did you mean 'authors'\?"):
        named_permutation("author", 784)


def test_authors_has_784_pixels() -> None:
    with pytest.raises(InputError, match="784 pixels for 'authors', got 64"):
        named_permutation("authors", 64)


def test_numpy_permutations_are_numpys_legacy_stream() -> None:
    permutation = named_permutation("numpy-42", 784)
    assert permutation.dtype == torch.int64
    assert permutation.tolist() == np.random.RandomState(42).permutation(784).tolist()
    with pytest.raises(InputError, match="'numpy-<n>'"):
        named_permutation(f"numpy-{2**32}", 784)
    with pytest.raises(InputError, match="'numpy-<n>'"):
        named_permutation("numpy-01", 784)
