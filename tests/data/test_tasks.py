import hashlib
import inspect
from functools import partial

import numpy as np
import pytest
import torch

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import image_tasks, load_digits, load_split
from lipschitz_rnn.data.split import split_order
from lipschitz_rnn.data.tasks import TASKS, has_times


def digits(**changes):
    return load_split("digits", **{"steps": 64, "validation_size": 137, **changes})


def test_the_split_is_numpys_permutation_with_the_end_for_validation() -> None:
    split, raw = digits(split_seed=5), load_digits()
    order = np.random.RandomState(5).permutation(1437)
    train, validation = order[: 1437 - 137], order[1437 - 137 :]
    flat = raw.train_images.reshape(1437, 64, 1)
    np.testing.assert_array_equal(split.train.values, flat[train])
    np.testing.assert_array_equal(split.validation.values, flat[validation])
    np.testing.assert_array_equal(split.train.target, raw.train_target[train])
    np.testing.assert_array_equal(split.validation.target, raw.train_target[validation])
    np.testing.assert_array_equal(split.test.values, raw.test_images.reshape(360, 64, 1))


def test_split_order_is_the_authors_rule() -> None:
    train, validation = split_order(60_000, 2_000, 1234)
    order = np.random.RandomState(1234).permutation(60_000).tolist()
    assert train.tolist() + validation.tolist() == order
    assert len(validation) == 2_000
    assert set(train.tolist()).isdisjoint(validation.tolist())


def test_no_validation_is_allowed_and_the_default_seed_is_1234() -> None:
    split = digits(validation_size=0)
    assert (len(split.train), len(split.validation), len(split.test)) == (1437, 0, 360)
    assert split.validation.values.shape == (0, 64, 1)
    assert torch.equal(split.train.values, digits(validation_size=0, split_seed=1234).train.values)


def test_the_test_part_does_not_depend_on_the_split_seed() -> None:
    one, two = digits(split_seed=1), digits(split_seed=2)
    assert torch.equal(one.test.values, two.test.values)
    assert not torch.equal(one.train.values, two.train.values)


def test_digits_are_all_of_scikit_learns_scaled_to_one() -> None:
    from sklearn.datasets import load_digits as theirs

    bunch, split = theirs(), digits(steps=8)
    parts = (split.train, split.validation, split.test)
    ours = torch.cat([part.batch(slice(None)).input for part in parts])
    assert ours.shape == (1797, 8, 8)
    target = torch.cat([part.target for part in parts])
    mine = sorted((x.tolist(), int(y)) for x, y in zip(ours, target, strict=True))
    # 1/16 is a power of two, so scaling is exact.
    theirs_sorted = sorted(
        (x.tolist(), int(y)) for x, y in zip(bunch.images / 16, bunch.target, strict=True)
    )
    assert mine == theirs_sorted
    assert np.bincount(split.test.target).min() >= 25  # every class is tested


def test_the_digest_names_the_data_and_not_the_way_it_is_read() -> None:
    assert digits().digest == digits(steps=8, permutation="seed-1", split_seed=9).digest
    from sklearn.datasets import load_digits as theirs

    bunch = theirs()
    lines = "".join(
        f"{hashlib.sha256(array.astype(np.uint8).tobytes()).hexdigest()}  {name}\n"
        for name, array in (("images", bunch.images), ("target", bunch.target))
    )
    assert digits().digest == hashlib.sha256(lines.encode()).hexdigest()


def test_loading_leaves_the_global_generators_alone() -> None:
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    digits(permutation="seed-1")
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"steps": 10}, "`steps` to divide 64 pixels, got 10"),
        ({"permutation": "authors"}, "784 pixels for 'authors', got 64"),
        ({"permutation": "random"}, "'authors' or 'seed-<n>'"),
        ({"validation_size": 1437}, "0 <= `validation_size` < 1437, got 1437"),
        ({"validation_size": -1}, "0 <= `validation_size` < 1437, got -1"),
        ({"split_seed": -1}, "`split_seed`"),
        ({"split_seed": 2**32}, "`split_seed`"),
        ({"pipeline": "auhtors"}, "Did you mean 'authors'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_loading(changes, text, monkeypatch) -> None:
    monkeypatch.setattr(image_tasks.digits, "load_digits", lambda: pytest.fail("loaded"))
    with pytest.raises(InputError, match=text):
        digits(**changes)


def test_an_unknown_task_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"one of adding, .*, got 'digit'\. Did you mean 'digits'"):
        load_split("digit", steps=8, validation_size=0)


SMALL = {
    "adding": {"sample_count": 20, "validation_size": 5},
    "copying": {"sample_count": 20, "validation_size": 5},
    "digits": {"steps": 8, "validation_size": 137},
    "pendulum": {"sample_count": 20, "validation_size": 5},
    "shakespeare": {"steps": 10},
}
"""What can be loaded wherever the package is, and how much of it is enough here."""


@pytest.mark.parametrize("name", SMALL)
def test_data_with_times_are_declared_so(name) -> None:
    split = load_split(name, **SMALL[name])
    for part in (split.train, split.validation, split.test):
        assert (getattr(part, "dt", None) is not None) == has_times(name)


@pytest.mark.parametrize("name", TASKS)
def test_loaders_of_data_without_times_make_none(name) -> None:
    """Of those too whose files are not here: where no ``dt=`` is written, none is handed on."""
    load = TASKS[name].load
    module = inspect.getmodule(load.func if isinstance(load, partial) else load)
    assert ("dt=" in inspect.getsource(module)) == has_times(name)
