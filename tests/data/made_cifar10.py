"""A small CIFAR-10 in both editions, in the official layout."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.cifar10 import RECORD
from lipschitz_rnn.data.cifar10_files import EDITIONS, Archive, Cifar10
from lipschitz_rnn.data.files import DataFile, sha256

FOLDER = "cifar-10-batches-bin"
NAMES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
EACH = 20  # records in a made file, two of each class


def batch(seed: int, count: int = EACH) -> bytes:
    records = np.random.default_rng(seed).integers(0, 256, (count, RECORD), dtype=np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records.tobytes()


def refused(call, *args, **kwargs) -> str | None:
    """The message, None if nothing is wrong; anything but a one-line InputError fails the test."""
    try:
        call(*args, **kwargs)
    except InputError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


def pack(contents: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        folder = tarfile.TarInfo(FOLDER)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, data in contents.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small files of both editions; the official ones in their archive."""
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    for number, (name, title) in enumerate((("cifar10", "CIFAR-10"), ("cifar10-jpeg", "JPEG"))):
        contents = {file: batch(10 * number + i) for i, file in enumerate(NAMES)}
        files = tuple(
            DataFile(f"{name}/{FOLDER}", file, len(data), sha256(data))
            for file, data in contents.items()
        )
        archive = None
        if name == "cifar10":
            packed = pack({"readme.html": b"hello", **contents})
            md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
            archive = Archive("cifar10/cifar-10-binary.tar.gz", len(packed), md5)
            (tmp_path / "cifar10").mkdir()
            (tmp_path / archive.name).write_bytes(packed)
        else:
            (tmp_path / name / FOLDER).mkdir(parents=True)
            for file, data in contents.items():
                (tmp_path / name / FOLDER / file).write_bytes(data)
        monkeypatch.setitem(EDITIONS, name, Cifar10(name, title, files, archive))
    return tmp_path


def unpack(made: Path) -> Path:
    """The official files beside their archive, which is removed."""
    folder = made / "cifar10" / FOLDER
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(batch(number))
    (made / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    return folder
