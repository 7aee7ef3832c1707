"""A figure to a file, whole or not at all, with a digest of what it shows."""

import hashlib
import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.figures.style import house_style

_UNDATED: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


def digest_of(figure: Figure) -> str:
    """What a figure shows, in a few letters: equal for equal figures, whatever draws them.

    Args:
        figure: The figure.

    Returns:
        A digest of its texts, and of its lines, bars and areas to six digits, in their order and
        with their colours. An SVG file that :func:`save_figure` wrote has it as its description.
    """
    shown = [text.get_text() for text in figure.findobj(Text)]
    for axes in figure.axes:
        for line in axes.lines:
            shown += [f"{line.get_label()} {line.get_color()}", _numbers(line.get_xydata())]
        for bar in axes.patches:
            corners = bar.get_patch_transform().transform(bar.get_path().vertices)
            shown += [f"{bar.get_facecolor()}", _numbers(corners)]
        for area in axes.collections:
            shown += [_numbers(path.vertices) for path in area.get_paths()]
    return hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16]


def _numbers(values: ArrayLike) -> str:
    return " ".join(f"{value:.6g}" for value in np.ravel(values))


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
    described = {"Description": digest_of(figure)} if kind == ".svg" else {}
    stream = io.BytesIO()
    with house_style():
        figure.savefig(stream, format=kind[1:], metadata=_UNDATED[kind] | described)
    write_atomically(path, stream.getvalue())
