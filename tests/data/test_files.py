import gzip
import subprocess
import threading
from pathlib import Path

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.files import find_in, manifest_digest, read_checked, sha256, write_atomic


@pytest.mark.parametrize("compress", [False, True])
def test_plain_and_gzipped_files_are_found_and_read(compress, samples, tmp_path: Path) -> None:
    samples.write(tmp_path, compress=compress)
    for file in samples.files:
        path = find_in(tmp_path, file)
        assert path.name == file.name + (".gz" if compress else "")
        assert read_checked(path, file) == samples.content[file.name]


def test_absent_files_and_folders_of_that_name_are_not_found(samples, tmp_path: Path) -> None:
    file = samples.files[0]
    assert find_in(tmp_path, file) is None
    (tmp_path / "mnist" / file.name).mkdir(parents=True)
    assert find_in(tmp_path, file) is None


def test_a_wrong_digest_names_file_expected_and_got(samples, tmp_path: Path) -> None:
    file = samples.files[0]
    wrong = bytearray(samples.content[file.name])
    wrong[100] ^= 1
    path = tmp_path / "wrong"
    path.write_bytes(wrong)
    with pytest.raises(InputError) as caught:
        read_checked(path, file)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected SHA-256 {file.sha256}")
    assert f"got {sha256(bytes(wrong))}" in message
    assert "\n" not in message


def test_a_huge_file_is_not_read_whole(samples, tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # a sparse tebibyte: reading it would never end
    with pytest.raises(InputError, match="at most 10240 bytes"):
        read_checked(path, samples.files[0])


def test_a_huge_gzip_file_is_not_unpacked(samples, tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1 << 23)))
    with pytest.raises(InputError, match="at most 10240 bytes"):
        read_checked(path, samples.files[0])


def test_manifest_is_what_sha256sum_prints(samples, tmp_path: Path) -> None:
    folder = samples.write(tmp_path) / "mnist"
    listing = subprocess.run(
        ["sha256sum", *sorted(samples.content)], cwd=folder, capture_output=True, check=True
    ).stdout
    assert manifest_digest({f.name: f.sha256 for f in samples.files[::-1]}) == sha256(listing)


def test_write_atomic_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_write_atomic_cleans_up_when_it_cannot_rename(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_atomic(path, b"content")
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    versions = {letter * (1 << 20) for letter in (b"a", b"b")}
    write_atomic(path, min(versions))
    done = threading.Event()

    def write() -> None:
        for _ in range(20):
            for version in versions:
                write_atomic(path, version)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [path.read_bytes()]
    while not done.is_set():
        seen.append(path.read_bytes())
    writer.join()
    assert set(seen) <= versions
