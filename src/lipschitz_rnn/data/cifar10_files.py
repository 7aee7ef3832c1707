"""CIFAR-10's binary files, official and as a JPEG copy: their digests, and where they are found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import (
    DataFile,
    FoundFile,
    check_content,
    find_in,
    read_plain,
    sha256,
)
from lipschitz_rnn.data.sources import FolderSource, SourceFailedError
from lipschitz_rnn.data.tar import read_tar

BATCHES = "cifar-10-batches-bin"
BATCH_BYTES = 30_730_000
SLACK = 1 << 20  # bytes of headers and of the two small text files in the archive


@dataclass(frozen=True)
class Archive:
    """An archive that holds all files of a data set.

    Attributes:
        name: Its path in a data folder.
        size: Its length in bytes.
        md5: The MD5 that its publisher prints.
    """

    name: str
    size: int
    md5: str


@dataclass(frozen=True)
class Cifar10:
    """One edition of the data set.

    Attributes:
        name: What presets call it.
        title: What people call it.
        files: Five files of training images and one of test images, in this order.
        archive: What the files are published in; None if they are not.
    """

    name: str
    title: str
    files: tuple[DataFile, ...]
    archive: Archive | None = None


def _files(name: str, digests: Sequence[str]) -> tuple[DataFile, ...]:
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return tuple(
        DataFile(f"{name}/{BATCHES}", file, BATCH_BYTES, digest)
        for file, digest in zip(names, digests, strict=True)
    )


# The archive's MD5 is printed on the data set's page. The SHA-256 of the files in it were found in
# public loaders that check them; the archive itself was not to be had where this was written. The
# JPEG copy's were taken from its files.
EDITIONS = {
    "cifar10": Cifar10(
        "cifar10",
        "CIFAR-10",
        _files(
            "cifar10",
            (
                "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
            ),
        ),
        Archive("cifar10/cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"),
    ),
    "cifar10-jpeg": Cifar10(
        "cifar10-jpeg",
        "CIFAR-10 (JPEG)",
        _files(
            "cifar10-jpeg",
            (
                "95bc40a96c189b4ae973b8e377256610c0b0865f59a76bf2e7b5f5d3b6a9cd51",
                "5bb5b7448ab13050c953f52e49624887d937f2dbc737ba8308b771b88b6f5ced",
                "ecc5c793ff8d4a06b657d4f9dfc1eb1e29f15f7e75fed9b9c34eb4df9459108d",
                "9e28b99d5925a27d404ec940d84ec491ea1cd48e3ceb0e9db193afd19c93e65b",
                "887c29d30b4a78aa9e3c200efd2298570173503aa557ab013e8e62afb37a242a",
                "18fde75bb6b08389d237f73ff3863b75b88eb8920dadf3900bc92e4e644e6545",
            ),
        ),
    ),
}
"""The official files, and a copy that went through JPEG."""


@dataclass(frozen=True)
class BatchesSource(FolderSource):
    """A data folder that holds an edition, unpacked or in its archive.

    Attributes:
        edition: Which edition.
    """

    edition: Cifar10

    def locate(self, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        """The unpacked files if all are there, else those in the archive.

        Args:
            files: What to look for.

        Yields:
            Every file.

        Raises:
            SourceFailedError: If there is neither.
        """
        archive = self.edition.archive
        absent = [file for file in files if find_in(self.root, file) is None]
        if not absent:
            for file in files:
                path = find_in(self.root, file)
                if path is not None:  # nobody has removed it meanwhile
                    yield FoundFile(file, path, self._read(path, file), self.name)
        elif archive is not None and (self.root / archive.name).is_file():
            yield from self._unpack(archive, files)
        else:
            instead = "" if archive is None else f"no {archive.name} and "
            raise SourceFailedError(f"{instead}no {absent[0].folder}/{absent[0].name}")

    def _unpack(self, archive: Archive, files: Sequence[DataFile]) -> Iterator[FoundFile]:
        path = self.root / archive.name
        contents = read_tar(
            path,
            {f"{BATCHES}/{file.name}": file.size for file in files},
            size=archive.size,
            md5=archive.md5,
            limit=sum(file.size for file in self.edition.files) + SLACK,
        )
        for file in files:
            content = contents.pop(f"{BATCHES}/{file.name}")  # handed over, not held twice
            self._check(content, file, path / file.name)
            yield FoundFile(file, path / file.name, content, self.name)

    def _read(self, path: Path, file: DataFile) -> bytes:
        content = read_plain(path, file)
        self._check(content, file, path)
        return content

    def _check(self, content: bytes, file: DataFile, path: Path) -> None:
        digest = sha256(content)
        for other in EDITIONS.values():
            if other != self.edition and digest in {known.sha256 for known in other.files}:
                raise InputError(
                    f"{path}: expected a file of {self.edition.title}, got one of {other.title}. "
                    f"Use data.name={other.name} and the folder {other.name}/{BATCHES}/."
                )
        check_content(content, file, where=str(path))
