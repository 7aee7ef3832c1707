"""What SPHERE and WAV files claim about themselves, read from untrusted bytes.

libsndfile decodes the samples, but takes a file that ends early for a shorter one. So the counts
that a file gives are read here first and compared with the bytes that are there.
"""

import re
import struct
from dataclasses import dataclass

from lipschitz_rnn._base.errors import InputError

SPHERE_MAGIC = b"NIST_1A\n"
SHORTEN_MAGIC = b"ajkg"
_FIELD = re.compile(r"(\w+) -(?:i|s\d+) (\S+)")
_LONGEST_HEADER = 1 << 16
_TO_WAV = "Convert it with `sph2pipe -p -f wav IN OUT`."


@dataclass(frozen=True)
class AudioHeader:
    """Claims of a file, of which its length is known to be true.

    Attributes:
        rate: Samples a second.
        channels: Number of channels.
        frames: Samples of each channel.
        checksum: Sum of the 16-bit samples modulo 65536, which SPHERE files may give; else None.
    """

    rate: int
    channels: int
    frames: int
    checksum: int | None = None


def read_header(content: bytes, *, where: str) -> AudioHeader:
    r"""Read the header of a SPHERE or WAV file.

    Args:
        content: The whole file.
        where: What to call it in errors.

    Returns:
        What it claims.

    Raises:
        InputError: If it is no such file, is compressed, or ends before the samples it claims.

    Examples:
        >>> text = "NIST_1A\n   1024\nsample_rate -i 8000\nsample_count -i 3\nend_head\n"
        >>> read_header(text.ljust(1024).encode() + bytes(6), where="file").frames
        3
    """
    if content.startswith(SPHERE_MAGIC):
        return _read_sphere(content, where)
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return _read_wav(content, where)
    raise InputError(
        f"{where}: expected a SPHERE or WAV file, got {len(content)} bytes that begin with "
        f"{content[:12]!r}."
    )


def _read_sphere(content: bytes, where: str) -> AudioHeader:
    fields, start = _sphere_fields(content, where)
    coding = fields.get("sample_coding", "pcm")
    if "shorten" in coding or content[start : start + 4] == SHORTEN_MAGIC:
        raise InputError(f"{where}: expected uncompressed samples, got Shorten's. {_TO_WAV}")
    width = _sphere_integer(fields, "sample_n_bytes", where, default=2)
    if coding != "pcm" or width != 2:
        raise InputError(
            f"{where}: expected 16-bit PCM samples, got {width} bytes of {coding!r}. {_TO_WAV}"
        )
    channels = _sphere_integer(fields, "channel_count", where, default=1)
    frames = _sphere_integer(fields, "sample_count", where)
    rate = _sphere_integer(fields, "sample_rate", where)
    claimed, there = frames * channels * width, len(content) - start
    if claimed != there:
        raise InputError(
            f"{where}: expected {frames} samples = {claimed} bytes after the header, got {there}. "
            "Copy the file again."
        )
    checksum = None
    if "sample_checksum" in fields:
        checksum = _sphere_integer(fields, "sample_checksum", where)
    return AudioHeader(rate, channels, frames, checksum)


def _sphere_fields(content: bytes, where: str) -> tuple[dict[str, str], int]:
    """Fields by name, as text, and where the samples start."""
    size = content[8:16].strip()
    if not (size.isdigit() and 16 < int(size) <= min(len(content), _LONGEST_HEADER)):
        raise InputError(
            f"{where}: expected a SPHERE header and its size within {len(content)} bytes, "
            f"got a size of {size!r}."
        )
    text = content[16 : int(size)].decode("latin-1")
    lines, end, _ = text.partition("end_head")
    if not end:
        raise InputError(f"{where}: expected a SPHERE header that ends in end_head, got none.")
    found = (_FIELD.fullmatch(line.strip()) for line in lines.split("\n"))
    return {match[1]: match[2] for match in found if match}, int(size)


def _sphere_integer(
    fields: dict[str, str], name: str, where: str, default: int | None = None
) -> int:
    value = fields.get(name, None if default is None else str(default))
    if value is None or not re.fullmatch(r"[0-9]{1,10}", value):
        raise InputError(
            f"{where}: expected a count for {name} in the SPHERE header, got {value!r}."
        )
    return int(value)


def _read_wav(content: bytes, where: str) -> AudioHeader:
    format: bytes | None = None
    position = 12
    while position + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, position)
        position += 8
        there = len(content) - position
        if size > there:
            raise InputError(
                f"{where}: expected {size} bytes in the chunk {name!r}, got {there}. "
                "Copy the file again."
            )
        if name == b"fmt " and size >= 16:
            format = content[position : position + 16]
        elif name == b"data":
            return _wav_header(format, size, where)
        position += size + size % 2  # chunks start at even positions
    raise InputError(f"{where}: expected a chunk 'data', got the end of the WAV file.")


def _wav_header(format: bytes | None, size: int, where: str) -> AudioHeader:
    if format is None:
        raise InputError(f"{where}: expected a chunk 'fmt ' before 'data', got none.")
    _, channels, rate, _, block, _ = struct.unpack("<HHIIHH", format)
    if block == 0 or size % block:
        raise InputError(
            f"{where}: expected whole frames of {block} bytes, got {size} bytes of samples."
        )
    return AudioHeader(rate, channels, size // block)
