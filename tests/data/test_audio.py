import io
import os
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data.made_speech import chunk, noise, sphere, wav, write
from hypothesis import given, settings
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import audio
from lipschitz_rnn.data.audio import parse_audio, read_bounded

SAMPLES = noise(700)
STEREO = noise(700)


def parse(content: bytes) -> tuple[np.ndarray, int]:
    return parse_audio(content, where="file")


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere_samples_come_back_exactly(order: str) -> None:
    samples, rate = parse(sphere(SAMPLES, order=order))
    assert (samples.dtype, rate) == (np.float32, 16_000)
    np.testing.assert_array_equal(samples * 32768, SAMPLES)


@pytest.mark.parametrize("size", [1, 255, 700])
def test_wav_samples_come_back_exactly(size: int) -> None:
    odd = chunk(b"LIST", b"odd")  # three bytes and one of padding
    samples, rate = parse(wav(SAMPLES[:size], 11_025, before=odd))
    assert (samples.dtype, rate) == (np.float32, 11_025)
    np.testing.assert_array_equal(samples * 32768, SAMPLES[:size])


@pytest.mark.parametrize("type", [np.uint8, np.int32, np.float32, np.float64])
def test_other_widths_of_wav_have_the_same_full_scale(type: type) -> None:
    unsigned = SAMPLES[:32] // 256 + 128
    stored = {
        np.uint8: unsigned,
        np.int32: SAMPLES[:32].astype(np.int64) * 65536,
        np.float32: SAMPLES[:32] / 32768,
        np.float64: SAMPLES[:32] / 32768,
    }[type].astype(type)
    expected = (unsigned - 128) / 128 if type is np.uint8 else SAMPLES[:32] / 32768
    np.testing.assert_array_equal(parse(wav(stored))[0], expected)


def test_a_file_without_samples_is_a_valid_file() -> None:
    assert parse(wav(SAMPLES[:0]))[0].shape == (0,)
    assert parse(sphere(SAMPLES[:0]))[0].shape == (0,)


def test_the_checksum_is_that_of_nist() -> None:
    # from the test program of NIST's SPHERE library: the samples 0, 17, 34, ...
    samples = np.arange(100, dtype=np.int16) * 17
    assert int(samples.sum()) % 65536 == 18_614
    assert len(parse(sphere(samples, sample_checksum=18_614))[0]) == 100
    negative = -samples
    assert len(parse(sphere(negative, sample_checksum=65536 - 18_614))[0]) == 100
    with pytest.raises(InputError, match="expected checksum 18613 of the samples, got 18614"):
        parse(sphere(samples, sample_checksum=18_613))


def test_every_changed_bit_of_samples_with_a_checksum_is_noticed() -> None:
    content = sphere(SAMPLES, sample_checksum=int(SAMPLES.sum()) % 65536)
    for bit in range(16):
        changed = bytearray(content)
        changed[1024 + 200 + bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError, match="expected checksum"):
            parse(bytes(changed))


RIFF = wav(SAMPLES)


def adpcm() -> bytes:
    content = io.BytesIO()
    soundfile.write(content, SAMPLES, 8000, format="WAV", subtype="IMA_ADPCM")
    return content.getvalue()


WRONG = {
    "empty": (b"", "a SPHERE or WAV file, got 0 bytes"),
    "flac": (b"fLaC" + bytes(50), "a SPHERE or WAV file, got 54 bytes that begin with b'fLaC"),
    "big-endian riff": (b"RIFX" + RIFF[4:], "a SPHERE or WAV file"),
    "shorten by name": (
        sphere(SAMPLES, sample_coding="pcm,embedded-shorten-v2.00"),
        "uncompressed samples, got Shorten's. Convert it with `sph2pipe -p -f wav IN OUT`",
    ),
    "shorten by content": (
        sphere(np.frombuffer(b"ajkg" + bytes(100), np.int16)),
        "uncompressed samples, got Shorten's",
    ),
    "sphere mu-law": (
        sphere(SAMPLES, sample_coding="ulaw", sample_n_bytes=1),
        "16-bit PCM samples, got 1 bytes of 'ulaw'",
    ),
    "sphere cut": (
        sphere(SAMPLES)[:-1],
        "700 samples = 1400 bytes after the header, got 1399. Copy the file again",
    ),
    "sphere too long": (sphere(SAMPLES) + b"\0", "1400 bytes after the header, got 1401"),
    "sphere header cut": (sphere(SAMPLES)[:1000], "its size within 1000 bytes, got a size of"),
    "sphere header only": (sphere(SAMPLES)[:1024], "1400 bytes after the header, got 0"),
    "sphere without end": (
        sphere(SAMPLES).replace(b"end_head", b"end_hood"),
        "that ends in end_head",
    ),
    "sphere without count": (sphere(SAMPLES, sample_count=None), "a count for sample_count in"),
    "sphere negative count": (sphere(SAMPLES, sample_count=-1), "for sample_count .*got '-1'"),
    "sphere without rate": (sphere(SAMPLES, sample_rate=None), "a count for sample_rate in"),
    "sphere stereo": (
        sphere(STEREO, channel_count=2, sample_count=350),
        "1 channel, got 2. Mix them down",
    ),
    "sphere billions": (
        sphere(SAMPLES, sample_count=9_999_999_999),
        "9999999999 samples = 19999999998 bytes after the header, got 1400",
    ),
    "wav cut": (RIFF[:-1], "1400 bytes in the chunk b'data', got 1399. Copy the file again"),
    "wav header only": (RIFF[:44], "1400 bytes in the chunk b'data', got 0"),
    "wav without data": (RIFF[:36], "a chunk 'data', got the end"),
    "wav streamed": (
        RIFF[:40] + b"\xff\xff\xff\xff" + RIFF[44:],
        "4294967295 bytes in the chunk b'data', got 1400",
    ),
    "wav without fmt": (RIFF.replace(b"fmt ", b"gmt "), "a chunk 'fmt ' before 'data'"),
    "wav stereo": (wav(STEREO, channels=2), "1 channel, got 2"),
    "wav half a sample": (
        RIFF[:40] + struct.pack("<I", 1399) + RIFF[44:-1],
        "whole frames of 2 bytes, got 1399 bytes",
    ),
    "slow": (wav(SAMPLES, 7_999), "8000 to 48000 samples a second, got 7999. Resample it"),
    "fast": (wav(SAMPLES, 48_001), "8000 to 48000 samples a second, got 48001"),
    "rate 0": (sphere(SAMPLES, rate=0), "8000 to 48000 samples a second, got 0"),
    "not a number": (wav(np.full(9, np.nan, np.float32)), r"samples within \[-1, 1\], got nan"),
    "infinite": (wav(np.full(9, -np.inf, np.float32)), r"samples within \[-1, 1\], got inf"),
    "not scaled": (wav(SAMPLES.astype(np.float32)), r"samples within \[-1, 1\], got 2"),
    "two rates": (
        sphere(SAMPLES).replace(b"sample_sig_bits -i 16", b"sample_rate -i 8000\n;"),
        "700 samples at 8000 a second in 1 channel, got 700 at 16000 in 1",
    ),
    "adpcm": (adpcm(), "plain PCM samples, got WAV IMA_ADPCM. Convert it to 16-bit WAV"),
}


@pytest.mark.parametrize(("content", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_line(content: bytes, text: str) -> None:
    with pytest.raises(InputError, match=f"^file: expected .*{text}") as caught:
        parse(content)
    assert "\n" not in str(caught.value)


def test_what_libsndfile_cannot_read_is_said_in_one_line() -> None:
    broken = RIFF[:20] + struct.pack("<HHIIHH", 0x9999, 1, 8000, 16000, 2, 16) + RIFF[36:]
    with pytest.raises(
        InputError, match=r"^file: expected .* libsndfile .* Malformed 'fmt '"
    ) as caught:
        parse(broken)
    assert "\n" not in str(caught.value)
    assert "0x7" not in str(caught.value)  # no address of an object


def test_ten_minutes_are_enough() -> None:
    whole = wav(np.zeros(600 * 8000, np.uint8))
    assert len(parse(whole)[0]) == 4_800_000
    with pytest.raises(InputError, match=r"at most 600 s, got 600 s. Cut it"):
        parse(wav(np.zeros(600 * 8000 + 1, np.uint8)))


@pytest.mark.parametrize("name", ["sphere billions", "wav streamed"])
def test_claimed_sizes_allocate_nothing(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            parse(WRONG[name][0])
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_no_more_is_read_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "LARGEST_FILE", len(RIFF))
    path = write(tmp_path / "a.wav", RIFF)
    assert read_bounded(path) == RIFF
    with path.open("ab") as stream:
        stream.truncate(1 << 40)  # a file of nothing, of a terabyte
    with pytest.raises(InputError, match=r"expected at most 1444 bytes, got 1099511627776. Cut it"):
        read_bounded(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", tmp_path):
        with pytest.raises(InputError, match=f"^{path}: expected a file, got something else"):
            read_bounded(path)
    with pytest.raises(InputError, match="can be read, got No such file or directory"):
        read_bounded(tmp_path / "absent.wav")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InputError, match=r"the package soundfile .* Run `pip install soundfile`"):
        parse(RIFF)


def read_or_refuse(content: bytes) -> np.ndarray | None:
    """None where the file is refused; anything but a one-line InputError is a failed test."""
    try:
        samples, rate = parse(content)
    except InputError as error:
        message = str(error)
    else:
        assert 8_000 <= rate <= 48_000
        assert samples.nbytes <= 4 * len(content)
        assert np.isfinite(samples).all()
        return samples
    assert "\n" not in message
    return None


FILES = {
    "sphere": sphere(SAMPLES),
    "wav": wav(SAMPLES, before=chunk(b"LIST", b"INFOISFT" + bytes(9))),
    "float": wav((SAMPLES / 32768).astype(np.float32)),
}


@given(st.binary(max_size=100), st.sampled_from([b"", b"NIST_1A\n   1024\n", RIFF[:36]]))
def test_any_bytes_are_read_or_refused(content: bytes, start: bytes) -> None:
    read_or_refuse(start + content)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@given(share=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_refused(content: bytes, share: float) -> None:
    assert read_or_refuse(content) is not None
    assert read_or_refuse(content[: int(share * len(content))]) is None


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_flipped_bytes_of_the_header_are_read_or_refused(content: bytes, data: st.DataObject):
    length = 400 if content.startswith(b"NIST") else 80  # of TIMIT's header the rest is blank
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, length - 1))] ^= data.draw(st.integers(1, 255))
    read_or_refuse(bytes(changed))


@settings(deadline=None)
@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
)
def test_declared_sizes_are_never_believed(tag, channels, rate, block, bits, size) -> None:
    tag, channels = tag % 90, channels % 3  # all coding that anybody uses
    form = struct.pack("<HHIIHH", tag, channels, rate % 50_000, 0, block % 300, bits % 65)
    read_or_refuse(RIFF[:20] + form + RIFF[36:])
    read_or_refuse(RIFF[:40] + struct.pack("<I", size) + RIFF[44:])
