"""SPHERE and WAV files of speech, decoded by libsndfile from untrusted bytes, memory bounded."""

import stat
from pathlib import Path

import numpy as np

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.audio_headers import AudioHeader, read_header

LARGEST_FILE = 1 << 26
LONGEST = 600
"""Seconds; what is longer is no utterance."""
RATES = (8_000, 48_000)
LOUDEST = 16.0
"""Times full scale: floating-point files may go beyond 1, integers stored as such go far beyond."""
_CODINGS = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_FORMATS = ("NIST", "WAV", "WAVEX")


def read_bounded(path: Path) -> bytes:
    """The content of a file that is not too long to be speech.

    Args:
        path: The file.

    Returns:
        At most :data:`LARGEST_FILE` bytes.

    Raises:
        InputError: If it cannot be read, is no ordinary file or is longer.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise InputError(f"{path}: expected a file, got something else. Remove it.")
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(
            f"{path}: expected a file that can be read, got {error.strerror or error}."
        ) from None
    if len(content) > LARGEST_FILE:
        raise InputError(
            f"{path}: expected at most {LARGEST_FILE} bytes, got {status.st_size}. "
            "Cut it into utterances."
        )
    return content


def parse_audio(content: bytes, *, where: str) -> tuple[np.ndarray, int]:
    """Decode a mono SPHERE or WAV file.

    Args:
        content: The whole file.
        where: What to call it in errors.

    Returns:
        Samples of shape ``(n,)``, float32, where 1 is full scale; and how many there are a second.

    Raises:
        InputError: If it is damaged, ends early, is compressed or too long, or is not mono.

    Examples:
        >>> import struct
        >>> head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 40, b"WAVEfmt ", 16, 1, 1, 8000, 16000,
        ...     2, 16, b"data", 4)
        >>> parse_audio(head + struct.pack("<2h", 16384, -32768), where="file")
        (array([ 0.5, -1. ], dtype=float32), 8000)
    """
    header = read_header(content, where=where)
    low, high = RATES
    if not low <= header.rate <= high:
        raise InputError(
            f"{where}: expected {low} to {high} samples a second, got {header.rate}. Resample it."
        )
    if header.channels != 1:
        raise InputError(
            f"{where}: expected 1 channel, got {header.channels}. Mix them down or pick one."
        )
    if header.frames > LONGEST * header.rate:
        raise InputError(
            f"{where}: expected at most {LONGEST} s, got {header.frames / header.rate:.0f} s. "
            "Cut it into utterances."
        )
    samples = _decode(content, header, where) if header.frames else np.empty(0, np.float32)
    loudest = float(np.abs(samples).max(initial=0))
    if not loudest <= LOUDEST:  # NaN is not
        raise InputError(
            f"{where}: expected samples within [-1, 1], got {loudest:g}. Scale them to that."
        )
    return samples, header.rate


class _Content:
    """Bytes as a file for libsndfile, which may seek anywhere: nothing here ever raises."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, len(self._content))[whence]
        self._position = min(max(base + offset, 0), len(self._content))
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        stop = len(self._content) if count < 0 else self._position + count
        piece = self._content[self._position : stop]
        self._position += len(piece)
        return piece


def _decode(content: bytes, header: AudioHeader, where: str) -> np.ndarray:
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package is there, libsndfile is not
        raise InputError(
            f"{where}: expected the package soundfile with libsndfile to decode it, "
            f"got {error}. Run `pip install soundfile`."
        ) from None
    try:
        with soundfile.SoundFile(_Content(content)) as sound:
            if sound.format not in _FORMATS or sound.subtype not in _CODINGS:
                raise InputError(
                    f"{where}: expected plain PCM samples, got {sound.format} {sound.subtype}. "
                    "Convert it to 16-bit WAV."
                )
            claimed = (header.rate, 1, header.frames)
            found = (sound.samplerate, sound.channels, sound.frames)
            # a file whose two readers disagree is damaged; its length is bounded by ours
            samples = sound.read(dtype="float32") if found == claimed else np.empty(0, np.float32)
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        raise InputError(
            f"{where}: expected samples that libsndfile can decode, got: {reason}."
        ) from None
    if samples.shape != (header.frames,):
        raise InputError(
            f"{where}: expected {claimed[2]} samples at {claimed[0]} a second in 1 channel, "
            f"got {found[2]} at {found[0]} in {found[1]}. Copy the file again."
        )
    if header.checksum is not None:
        total = int(np.rint(samples * 32768.0).astype(np.int64).sum()) % 65536
        if total != header.checksum:
            raise InputError(
                f"{where}: expected checksum {header.checksum} of the samples, got {total}. "
                "Copy the file again."
            )
    return samples
