import gzip
import math
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.idx import decompress, is_gzip, parse_idx

LIMIT = 4096


def idx(shape: tuple[int, ...], values: bytes | None = None, code: int = 8) -> bytes:
    values = bytes(math.prod(shape)) if values is None else values
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + values


def test_values_come_back_in_c_order_and_writable() -> None:
    got = parse_idx(idx((2, 3, 4), bytes(range(24))), where="file", ndim=3)
    np.testing.assert_array_equal(got, np.arange(24).reshape(2, 3, 4))
    assert got.dtype == np.uint8
    assert got.flags.writeable


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0, 2)])
def test_empty_dimensions_are_a_valid_file(shape: tuple[int, ...]) -> None:
    assert parse_idx(idx(shape), where="file", ndim=len(shape)).shape == shape


CORRUPTED = {
    "empty": (b"", "header of 12 bytes, got a file of 0"),
    "short header": (idx((2, 3))[:11], "header of 12 bytes, got a file of 11"),
    "first magic byte": (b"\1" + idx((2, 3))[1:], "magic 0000, got 0100"),
    "second magic byte": (b"\0\2" + idx((2, 3))[2:], "magic 0000, got 0002"),
    "type code": (idx((2, 3), code=0x0D), "type code 0x08 .unsigned byte., got 0x0d"),
    "dimensions": (idx((2, 3, 1)), "2 dimensions, got 3"),
    "too short": (idx((2, 3), bytes(5)), "2 x 3 = 6 bytes of values, got 5"),
    "too long": (idx((2, 3), bytes(7)), "2 x 3 = 6 bytes of values, got 7"),
    "absurd size": (
        idx((0xFFFFFFFF, 0xFFFFFFFF), b""),
        "4294967295 x 4294967295 = 18446744065119617025 bytes of values, got 0",
    ),
    "overflowing to the right size": (idx((0x80000000, 0x80000000), b""), "bytes of values, got 0"),
}


@pytest.mark.parametrize(("content", "text"), CORRUPTED.values(), ids=CORRUPTED)
def test_every_corrupted_field_is_named(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^some file: expected .*{text}") as caught:
        parse_idx(content, where="some file", ndim=2)
    assert "\n" not in str(caught.value)


def test_absurd_sizes_allocate_nothing() -> None:
    content = idx((60000, 0xFFFFFFFF, 0xFFFFFFFF), b"")
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            parse_idx(content, where="file", ndim=3)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def parse_like_a_loader(content: bytes) -> np.ndarray | None:
    """None where the file is refused; anything but a one-line InputError is a failed test."""
    try:
        plain = decompress(content, where="file", limit=LIMIT)
        return parse_idx(plain, where="file", ndim=2)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    parse_like_a_loader(content)


@given(cut=st.integers(0, 100), compressed=st.booleans())
def test_every_truncation_is_refused(cut: int, compressed: bool) -> None:
    whole = idx((9, 9), bytes(range(81)))
    content = gzip.compress(whole) if compressed else whole
    assert parse_like_a_loader(content) is not None
    assert parse_like_a_loader(content[: min(cut, len(content) - 1)]) is None


@settings(max_examples=300)
@given(position=st.integers(0, 11), flip=st.integers(1, 255))
def test_every_change_of_the_header_is_refused(position: int, flip: int) -> None:
    content = bytearray(idx((9, 9)))
    content[position] ^= flip
    assert parse_like_a_loader(bytes(content)) is None


@settings(max_examples=300)
@given(data=st.data(), flip=st.integers(1, 255))
def test_a_changed_gzip_file_never_yields_other_values(data: st.DataObject, flip: int) -> None:
    values = bytes(range(81))
    content = bytearray(gzip.compress(idx((9, 9), values)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= flip
    got = parse_like_a_loader(bytes(content))  # name and time in the header may change freely
    assert got is None or got.tobytes() == values


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=2, max_size=2), st.binary(max_size=64))
def test_declared_sizes_are_never_believed(shape: list[int], values: bytes) -> None:
    got = parse_like_a_loader(idx(tuple(shape), values))
    assert (got is not None) == (shape[0] * shape[1] == len(values))


def test_decompress_gives_plain_and_gzipped_content_alike() -> None:
    content = bytes(range(256))
    assert decompress(content, where="file", limit=256) == content
    assert decompress(gzip.compress(content), where="file", limit=256) == content
    halves = gzip.compress(content[:100]) + gzip.compress(content[100:])  # members may follow
    assert decompress(halves, where="file", limit=256) == content
    assert is_gzip(halves)
    assert not is_gzip(content)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_one_byte_over_the_limit_is_refused(pack: type) -> None:
    with pytest.raises(InputError, match="file: expected at most 255 bytes of content, got more"):
        decompress(pack(bytes(256)), where="file", limit=255)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(1 << 26))  # 64 MiB in 64 KiB
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="at most 4096 bytes"):
            decompress(bomb, where="file", limit=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "damage",
    [
        lambda c: c[:-1],
        lambda c: c[:12],
        lambda c: c[:-8] + bytes(4) + c[-4:],
        lambda c: c[:-1] + b"\1",
        lambda c: c + b"rubbish",
        lambda c: b"\x1f\x8b\x07" + c[3:],
        lambda c: c[:10] + b"\xff" * (len(c) - 10),
    ],
    ids=["last byte", "header only", "crc", "length", "trailing", "method", "stream"],
)
def test_damaged_gzip_is_refused_in_one_line(damage) -> None:
    with pytest.raises(InputError, match=r"^file: expected a whole gzip file") as caught:
        decompress(damage(gzip.compress(bytes(500))), where="file", limit=LIMIT)
    assert "\n" not in str(caught.value)
