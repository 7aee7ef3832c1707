import gzip
import hashlib
import io
import random
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.tar import read_tar

CONTENTS = {"folder/one": b"one" * 700, "folder/two": b"two" * 512}
SIZES = {name: len(content) for name, content in CONTENTS.items()}
LIMIT = 1 << 18


def member(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def pack(
    contents: dict[str, bytes],
    *extra: tuple[tarfile.TarInfo, bytes],
    form: int = tarfile.GNU_FORMAT,
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        tar.addfile(member("folder", kind=tarfile.DIRTYPE))
        tar.addfile(member("folder/readme.html", 5), io.BytesIO(b"hello"))
        for info, data in extra:
            tar.addfile(info, io.BytesIO(data))
        for name, data in contents.items():
            tar.addfile(member(name, len(data)), io.BytesIO(data))
    return out.getvalue()


def read(path: Path, packed: bytes) -> dict[str, bytes]:
    """Read an archive that has the size and MD5 it must have, whatever is in it."""
    path.write_bytes(packed)
    md5 = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    return read_tar(path, SIZES, size=len(packed), md5=md5, limit=LIMIT)


def refused(path: Path, packed: bytes) -> str | None:
    """The message, None if it was read; anything but a one-line InputError fails the test."""
    try:
        read(path, packed)
    except InputError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.tar.gz"


@pytest.fixture(scope="module")
def shared_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archive") / "archive.tar.gz"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_read_and_nothing_is_written(form: int, path: Path) -> None:
    extra = [
        (member("../escaped", 3), b"out"),
        (member("/tmp/absolute", 3), b"out"),
        (member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"), b""),
        (member("same", kind=tarfile.LNKTYPE, link="folder/one"), b""),
    ]
    if form != tarfile.USTAR_FORMAT:  # takes an extended header of its own
        extra.append((member("long/" * 50 + "\xe9", 700), b"x" * 700))
    assert read(path, gzip.compress(pack(CONTENTS, *extra, form=form))) == CONTENTS
    assert list(path.parent.iterdir()) == [path]
    assert not (path.parent.parent / "escaped").exists()


def test_another_size_or_md5_is_refused_before_anything_is_unpacked(path: Path) -> None:
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match=r"archive.tar.gz: expected 15 bytes, got 14\. Get the"):
        read_tar(path, SIZES, size=15, md5="", limit=LIMIT)
    with pytest.raises(InputError, match=f"expected MD5 {'0' * 32}, got [0-9a-f]{{32}}. Get the"):
        read_tar(path, SIZES, size=14, md5="0" * 32, limit=LIMIT)


NAME = "folder/one"
ONE = {"folder/two": CONTENTS["folder/two"]}
DAMAGED = "expected a whole gzipped tar archive, got damaged data"
WRONG = {
    "absent": (pack(ONE), "expected a member folder/one, got none"),
    "elsewhere": (
        pack(ONE, (member("one", 2100), bytes(2100))),
        "expected a member folder/one, got none",
    ),
    "twice": (
        pack(CONTENTS, (member(NAME, 2100), bytes(2100))),
        "one regular member folder/one of 2100 bytes, got another one",
    ),
    "short": (pack(ONE, (member(NAME, 2099), bytes(2099))), "of 2100 bytes, got 2099 bytes"),
    "long": (pack(ONE, (member(NAME, 2101), bytes(2101))), "of 2100 bytes, got 2101 bytes"),
    "symlink": (
        pack(ONE, (member(NAME, kind=tarfile.SYMTYPE, link="/etc/passwd"), b"")),
        "got another kind",
    ),
    "hard link": (
        pack(ONE, (member(NAME, kind=tarfile.LNKTYPE, link="folder/two"), b"")),
        "got another kind",
    ),
    "device": (pack(ONE, (member(NAME, kind=tarfile.CHRTYPE), b"")), "got another kind"),
    "sparse": (
        pack(ONE, (member(NAME, 2100, tarfile.GNUTYPE_SPARSE), bytes(2100))),
        "got another kind",
    ),
    "not tar": (b"x" * 20_000, f"{DAMAGED} (a header has no number where one should be)"),
    "checksum": (b"folder/1" + pack(CONTENTS)[8:], f"{DAMAGED} (a header has a wrong checksum)"),
    "nothing": (b"", f"{DAMAGED} (it ends too early)"),
    "in a header": (pack(CONTENTS)[:700], f"{DAMAGED} (it ends too early)"),
    "in a member": (pack(CONTENTS)[:3000], f"{DAMAGED} (it ends too early)"),
    "no end": (pack(CONTENTS).rstrip(b"\0"), f"{DAMAGED} (it ends too early)"),
}


@pytest.mark.parametrize(("tar", "text"), WRONG.values(), ids=WRONG)
def test_other_archives_are_refused(tar: bytes, text: str, path: Path) -> None:
    message = refused(path, gzip.compress(tar))
    assert message.startswith(f"{path}: expected ")
    assert text in message


def test_an_archive_that_is_not_gzipped_is_refused(path: Path) -> None:
    assert DAMAGED in refused(path, pack(CONTENTS))


def announced(kind: bytes, size: int) -> bytes:
    """A header that announces more than there is."""
    return member("any", size, kind).tobuf(format=tarfile.GNU_FORMAT)


HUGE = 0o77777777777  # 8 GiB less a byte, the most that a header can announce in octal
BOMBS = {
    "member": pack({"big": bytes(1 << 25)}),
    "huge member": announced(tarfile.REGTYPE, HUGE) + bytes(1 << 25),
    "huge name": announced(tarfile.GNUTYPE_LONGNAME, HUGE) + bytes(1 << 25),
    "huge header": announced(tarfile.XHDTYPE, HUGE) + bytes(1 << 25),
    "many members": announced(tarfile.REGTYPE, 0) * (1 << 16),
}


@pytest.mark.parametrize("tar", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_not_unpacked(tar: bytes, path: Path) -> None:
    packed = gzip.compress(tar)
    tracemalloc.start()
    try:
        message = refused(path, packed)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()
    assert f"expected at most {LIMIT} bytes when unpacked, got more" in message


@pytest.mark.parametrize("size", [HUGE, 1 << 60])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE])
def test_announced_sizes_are_not_believed(kind: bytes, size: int, path: Path) -> None:
    assert refused(path, gzip.compress(announced(kind, size))) is not None  # and at once


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE])
def test_members_without_content_may_announce_a_size(kind: bytes, path: Path) -> None:
    assert read(path, gzip.compress(announced(kind, 700) + pack(CONTENTS))) == CONTENTS


def test_nothing_is_read_after_the_end(path: Path) -> None:
    assert read(path, gzip.compress(pack(CONTENTS) + bytes(1 << 25))) == CONTENTS


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_archives_are_refused(data: st.DataObject, shared_path: Path) -> None:
    whole = gzip.compress(pack(CONTENTS), mtime=0)
    packed = bytearray(whole)
    if data.draw(st.booleans(), "truncate"):
        del packed[data.draw(st.integers(0, len(packed) - 1), "length") :]
    else:
        place = data.draw(st.integers(0, len(packed) - 1), "place")
        packed[place] ^= data.draw(st.integers(1, 255), "flip")
    refused(shared_path, bytes(packed))
    md5 = hashlib.md5(whole, usedforsecurity=False).hexdigest()
    with pytest.raises(InputError, match=r"expected MD5|expected [0-9]+ bytes"):
        read_tar(shared_path, SIZES, size=len(whole), md5=md5, limit=LIMIT)


LONG = (member("long/" * 40, 9), b"x" * 9)
STARTS = [pack(CONTENTS, LONG, form=form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), start=st.sampled_from(STARTS))
def test_hostile_headers_never_crash_or_hang(seed: int, start: bytes, shared_path: Path) -> None:
    draw = random.Random(seed)
    plain = bytearray(start)
    for _ in range(draw.randint(1, 6)):
        plain[draw.randrange(4096)] = draw.choice([*b"\0 017=xLSg5", 128, 255, draw.randrange(256)])
    for header in range(0, 4096, 512):
        if draw.random() < 0.7:  # mend the checksum, or the rest would never be looked at
            plain[header + 148 : header + 156] = b" " * 8
            total = sum(plain[header : header + 512])
            plain[header + 148 : header + 156] = b"%06o\0 " % total
    refused(shared_path, gzip.compress(bytes(plain), 1))
