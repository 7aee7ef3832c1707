"""SPHERE and WAV files made from nothing, and the trees they come in."""

import struct
from pathlib import Path

import numpy as np

RANDOM = np.random.RandomState(5)


def noise(count: int, scale: int = 3000) -> np.ndarray:
    """Samples as files hold them, 16-bit."""
    return RANDOM.randint(-scale, scale, count).astype(np.int16)


def sphere(samples: np.ndarray, rate: int = 16_000, order: str = "01", **changed: object) -> bytes:
    """A file with a header as TIMIT's have it; `changed` sets, adds or (None) removes fields."""
    fields = {
        "database_id": "TIMIT",
        "database_version": "1.0",
        "utterance_id": "cjf0_sa1",
        "channel_count": 1,
        "sample_count": len(samples),
        "sample_rate": rate,
        "sample_min": int(samples.min(initial=0)),
        "sample_max": int(samples.max(initial=0)),
        "sample_n_bytes": 2,
        "sample_byte_format": order,
        "sample_sig_bits": 16,
        **changed,
    }
    lines = [
        f"{name} -i {value}" if isinstance(value, int) else f"{name} -s{len(value)} {value}"
        for name, value in fields.items()
        if value is not None
    ]
    header = "\n".join(["NIST_1A", "   1024", *lines, "end_head", ""]).encode()
    data = samples.astype("<i2" if order == "01" else ">i2").tobytes()
    return header.ljust(1024) + data


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a WAV file."""
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def wav(samples: np.ndarray, rate: int = 8_000, channels: int = 1, before: bytes = b"") -> bytes:
    """A WAV file of integers or floating-point numbers; `before` stands before the samples."""
    width = samples.dtype.itemsize
    tag = 3 if samples.dtype.kind == "f" else 1
    block = width * channels
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, 8 * width)
    body = b"WAVE" + chunk(b"fmt ", form) + before + chunk(b"data", samples.tobytes())
    return chunk(b"RIFF", body)


def write(path: Path, content: bytes) -> Path:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
