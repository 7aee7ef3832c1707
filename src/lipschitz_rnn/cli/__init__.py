"""The command line, ``lipschitz-rnn``: one file a verb."""

from lipschitz_rnn.cli import (
    bench,
    data,
    demo,
    evaluate,
    info,
    predict,
    reproduce,
    resume,
    sweep,
    train,
    verify,
)
from lipschitz_rnn.cli.app import app as app
from lipschitz_rnn.cli.app import main as main

__all__ = [
    "app",
    "bench",
    "data",
    "demo",
    "evaluate",
    "info",
    "main",
    "predict",
    "reproduce",
    "resume",
    "sweep",
    "train",
    "verify",
]
