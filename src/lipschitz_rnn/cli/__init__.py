"""The command line, ``lipschitz-rnn``: one file a verb."""

from lipschitz_rnn.cli import (
    bench,
    bench_certificates,
    certified_accuracy,
    certify,
    data,
    demo,
    evaluate,
    fixed_points,
    info,
    lyapunov,
    predict,
    reproduce,
    resume,
    stability,
    sweep,
    train,
    verify,
)
from lipschitz_rnn.cli.app import app as app
from lipschitz_rnn.cli.app import main as main

__all__ = [
    "app",
    "bench",
    "bench_certificates",
    "certified_accuracy",
    "certify",
    "data",
    "demo",
    "evaluate",
    "fixed_points",
    "info",
    "lyapunov",
    "main",
    "predict",
    "reproduce",
    "resume",
    "stability",
    "sweep",
    "train",
    "verify",
]
