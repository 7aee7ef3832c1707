"""The typer application and its entry point: every verb reports, every error has an exit code."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from lipschitz_rnn import __version__
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli.examples import epilog

app = typer.Typer(
    name="lipschitz-rnn",
    help="Train and use Lipschitz recurrent neural networks.",
    epilog=epilog(
        "train digits --out runs/first",
        "evaluate runs/first",
        "certify --help",
        "--install-completion   # names of verbs, options and presets at the Tab key",
        note="Exit codes: 0 done; 1 the answer is no, such as a certificate that does not hold; "
        "2 bad input, told in one line on standard error; 130 interrupted. Progress goes away "
        "with --quiet, and colours with NO_COLOR or where the output is no terminal.",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class RunInterruptedError(Exception):
    """Ctrl-C during training; the message says how to go on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; taken from the command line by default.

    Returns:
        The exit code: 0; 2 for bad input, files that cannot be read or written, and training that
        diverged, each told in one line on stderr; 130 after Ctrl-C. Nothing is said if the reader
        of the output is gone.
    """
    with _both_streams():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is spelled out
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name="lipschitz-rnn")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        code = _tell(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


@contextlib.contextmanager
def _both_streams() -> Iterator[None]:
    """Let what is said to a stream go nowhere if it was closed before the start, as by ``>&-``."""
    with contextlib.ExitStack() as stack:
        for stream, redirect in (
            (sys.stdout, contextlib.redirect_stdout),
            (sys.stderr, contextlib.redirect_stderr),
        ):
            if stream is None:
                stack.enter_context(redirect(stack.enter_context(open(os.devnull, "w"))))
        yield


def _tell(error: BaseException) -> int:
    """Put an error that is not a fault of ours into one line; raise one that is."""
    if isinstance(error, BrokenPipeError):
        return 1
    if isinstance(error, (InputError, OSError, FloatingPointError)):
        return _fail(f"error: {error}", 2)
    if isinstance(error, RunInterruptedError):
        return _fail(str(error), 130)
    if isinstance(error, KeyboardInterrupt):
        return _fail("interrupted", 130)
    # torch has no class of its own for memory it cannot get
    is_torchs = isinstance(error, RuntimeError) and "allocate" in str(error)
    if isinstance(error, MemoryError) or is_torchs:
        return _fail("error: not enough memory. Use a smaller model or smaller batches.", 2)
    raise error


def _fail(message: str, code: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return code


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lipschitz-rnn {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Train and use Lipschitz recurrent neural networks."""
