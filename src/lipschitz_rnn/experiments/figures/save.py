"""A figure to a file, whole or not at all."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.figures.style import house_style

_UNDATED: dict[str, dict[str, None]] = {
    ".svg": {"Date": None},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; equal figures give equal files.

    Args:
        figure: The figure.
        path: Where to: ``.svg``, ``.png`` (200 dots an inch) or ``.pdf``. Its folder must exist.

    Raises:
        InputError: If the name ends otherwise.
        OSError: If it cannot be written; what the file held before is kept.
    """
    kind = path.suffix.lower()
    if kind not in _UNDATED:
        raise InputError(f"{path}: expected a name in .svg, .png or .pdf, got {path.suffix!r}.")
    stream = io.BytesIO()
    with house_style():
        figure.savefig(stream, format=kind[1:], metadata=_UNDATED[kind])
    write_atomically(path, stream.getvalue())
