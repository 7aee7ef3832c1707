"""Small trained runs to stream, and the verb called with rows on standard input."""

import contextlib
import csv
import io
import sys

import numpy as np
import torch

from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments import load_trained

SMALL = ["training.epochs=1", "training.threads=1", "model.hidden_size=8"]
RUNS = {
    "digits": ("digits", []),
    "pendulum": ("pendulum", ["data.steps=6", "data.sample_count=20", "data.validation_size=8"]),
    "adding": ("adding", ["data.steps=6", "data.sample_count=20", "data.validation_size=8"]),
    "lstm": ("digits", ["model.unit=lstm"]),
    "bidirectional": ("digits", ["model.bidirectional=true"]),
    "contractive": ("digits", ["model.constraint=contractive"]),
}


def train(name, folder):
    """A run of one epoch, of a few units."""
    preset, settings = RUNS[name]
    options = [word for setting in [*SMALL, *settings] for word in ("--set", setting)]
    with contextlib.redirect_stdout(io.StringIO()):  # it may be within a test that reads its own
        assert main(["train", preset, *options, "--quiet", "--out", str(folder)]) == 0
    return folder


def offline(run, input, **options):
    """What the run's model says after each step of one sequence (T, P)."""
    model = load_trained(run).model
    with torch.no_grad():
        states, _ = model.rnn(torch.tensor(input).unsqueeze(0), **options)
        return model.head(states)[0]


class Source(io.RawIOBase):
    """Bytes that come in given pieces, as they do through a pipe."""

    def __init__(self, pieces):
        self._pieces = list(pieces)

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._pieces.pop(0) if self._pieces else b""
        assert len(piece) <= len(buffer)
        buffer[: len(piece)] = piece
        return len(piece)


def run_stream(monkeypatch, *arguments, rows=b""):
    """Exit code of the verb; ``rows`` are bytes, text, or pieces of bytes."""
    rows = rows.encode() if isinstance(rows, str) else rows
    pieces = (
        [rows[i : i + 4096] for i in range(0, len(rows), 4096)] if isinstance(rows, bytes) else rows
    )
    source = io.BufferedReader(Source(pieces), 65_536)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
    return main(["stream", *map(str, arguments)])


def as_csv(array):
    text = io.StringIO()
    np.savetxt(text, array, fmt="%.9g", delimiter=",")
    return text.getvalue()


def read_csv(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, [[row[0], *map(float, row[1:])] for row in rows]


def close(found, expected):
    """Six digits are written, and float32 rounds."""
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
