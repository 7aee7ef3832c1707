from pathlib import Path

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.sources import (
    CacheSource,
    DataUnavailableError,
    FolderSource,
    SourceFailedError,
    obtain,
)


class Forbidden:
    name = "forbidden"
    optional = False

    def locate(self, files):
        raise AssertionError("asked although nothing was missing")
        yield


def test_the_first_source_that_has_a_file_wins(samples, tmp_path: Path) -> None:
    first = FolderSource(samples.write(tmp_path / "first", compress=True))
    lines: list[str] = []
    found = obtain(samples.files, [first, Forbidden()], lines.append)
    assert [item.file for item in found] == list(samples.files)
    assert {item.source for item in found} == {f"folder {tmp_path / 'first'}"}
    assert lines == []


def test_files_may_come_from_several_folders(samples, tmp_path: Path) -> None:
    half, whole = (samples.write(tmp_path / name) for name in ("half", "whole"))
    (half / "mnist" / "train-a-ubyte").unlink()
    lines: list[str] = []
    found = obtain(samples.files, [FolderSource(half), FolderSource(whole)], lines.append)
    assert [item.path.parts[-3] for item in found] == ["whole", "half"]
    assert lines == [f"mnist: folder {half}: no mnist/train-a-ubyte[.gz]."]


def test_a_wrong_file_in_the_users_folder_ends_the_search(samples, tmp_path: Path) -> None:
    bad, good = (samples.write(tmp_path / name) for name in ("bad", "good"))
    path = bad / "mnist" / "train-b-ubyte"
    path.write_bytes(b"not it")
    with pytest.raises(InputError, match=f"^{path}: expected SHA-256"):
        obtain(samples.files, [FolderSource(bad), FolderSource(good)])
    assert path.read_bytes() == b"not it"  # the user's files are the user's


def test_an_empty_cache_is_not_worth_a_line(samples, tmp_path: Path) -> None:
    lines: list[str] = []
    whole = FolderSource(samples.write(tmp_path / "whole"))
    obtain(samples.files, [CacheSource(tmp_path / "cache", lines.append), whole], lines.append)
    assert lines == []
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_damaged_cached_file_is_dropped_reported_and_asked_for(suffix, samples, tmp_path) -> None:
    cache, whole = tmp_path / "cache", samples.write(tmp_path / "whole")
    samples.write(cache, compress=bool(suffix))
    damaged = cache / "mnist" / f"train-a-ubyte{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    lines: list[str] = []
    sources = [CacheSource(cache, lines.append), FolderSource(whole)]
    found = obtain(samples.files, sources, lines.append)
    assert not damaged.exists()
    assert [item.source.split()[0] for item in found] == ["folder", "cache"]
    assert lines == [f"cache {cache}: removed damaged mnist/train-a-ubyte."]


def test_all_reasons_and_the_remedy_stand_in_one_line(samples, tmp_path: Path) -> None:
    class Broken:
        name = "mirror example"
        optional = False

        def locate(self, files):
            raise SourceFailedError("HTTP status 418")
            yield

    lines: list[str] = []
    sources = [FolderSource(tmp_path / "none"), CacheSource(tmp_path / "cache"), Broken()]
    with pytest.raises(DataUnavailableError) as caught:
        obtain(samples.files, sources, lines.append)
    assert str(caught.value) == (
        "mnist: expected 2 files from 3 sources, got no train-a-ubyte, train-b-ubyte: "
        f"folder {tmp_path}/none (no mnist/train-a-ubyte[.gz] and 1 more); "
        f"cache {tmp_path}/cache (lacks 2 of 2 files); mirror example (HTTP status 418). "
        "Put the files into DIR/mnist/ and pass --data-dir DIR, or set LIPSCHITZ_RNN_DATA=DIR."
    )
    assert isinstance(caught.value, InputError)
    assert len(lines) == 2


def test_other_exceptions_are_not_taken_for_a_failed_source(samples) -> None:
    with pytest.raises(AssertionError, match="nothing was missing"):
        obtain(samples.files, [Forbidden()])
