"""CIFAR-10 as a folder, an archive, or something else under its name."""

import dataclasses
import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
from data.made_cifar10 import EACH, NAMES, batch, make_cifar10, pack, refused, unpack

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cifar10 import load_cifar10, parse_batch
from lipschitz_rnn.data.cifar10_files import EDITIONS, Archive
from lipschitz_rnn.data.sources import DataUnavailableError


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return make_cifar10(tmp_path, monkeypatch)


def test_archive_and_unpacked_folder_give_the_same(made: Path) -> None:
    packed = load_cifar10(data_dir=made)
    folder = unpack(made)
    (folder / "data_batch_2.bin.gz").write_bytes(gzip.compress(batch(1)))
    (folder / "data_batch_2.bin").unlink()
    images = load_cifar10(data_dir=made)
    assert images.source == packed.source == f"folder {made}"
    assert images.digest == packed.digest
    assert images.digest != load_cifar10("cifar10-jpeg", data_dir=made).digest
    for field in ("train_images", "train_target", "test_images", "test_target"):
        np.testing.assert_array_equal(getattr(images, field), getattr(packed, field))
    expected = [parse_batch(batch(number), where="", count=EACH) for number in range(6)]
    np.testing.assert_array_equal(images.train_images, np.concatenate([e[0] for e in expected[:5]]))
    np.testing.assert_array_equal(images.train_target, np.concatenate([e[1] for e in expected[:5]]))
    np.testing.assert_array_equal(images.test_images, expected[5][0])


def test_each_edition_is_refused_under_the_name_of_the_other(made: Path) -> None:
    unpack(made)
    (made / "cifar10").rename(made / "spare")
    (made / "cifar10-jpeg").rename(made / "cifar10")
    (made / "spare").rename(made / "cifar10-jpeg")
    with pytest.raises(InputError, match=r"got one of JPEG\. Use data.name=cifar10-jpeg and"):
        load_cifar10("cifar10", data_dir=made)
    with pytest.raises(InputError, match=r"got one of CIFAR-10\. Use data.name=cifar10 and"):
        load_cifar10("cifar10-jpeg", data_dir=made)


def test_a_changed_file_is_refused(made: Path) -> None:
    path = unpack(made) / "data_batch_4.bin"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_4.bin: expected SHA-256 .*, got "):
        load_cifar10(data_dir=made)


def test_an_archive_with_other_files_in_it_is_refused(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack({name: batch(50 + number) for number, name in enumerate(NAMES)})
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    edition = EDITIONS["cifar10"]
    (made / edition.archive.name).write_bytes(packed)
    archive = Archive(edition.archive.name, len(packed), md5)
    monkeypatch.setitem(EDITIONS, "cifar10", dataclasses.replace(edition, archive=archive))
    with pytest.raises(InputError, match=r"tar.gz/data_batch_1.bin: expected SHA-256 .*, got "):
        load_cifar10(data_dir=made)


def test_missing_files_and_folders_are_told_in_one_line(made: Path) -> None:
    (unpack(made) / "test_batch.bin").unlink()
    lines: list[str] = []
    with pytest.raises(DataUnavailableError, match=r"no cifar10/.*/test_batch.bin\)"):
        load_cifar10(data_dir=made, report=lines.append)
    assert len(lines) == 1
    with pytest.raises(
        DataUnavailableError, match=r"expected a data folder .* --data-dir"
    ) as caught:
        load_cifar10()
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_told_in_one_line(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, *_args: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", fail)
    message = refused(load_cifar10, data_dir=made)
    assert message.endswith("tar.gz: expected a file that can be read, got: Permission denied.")
