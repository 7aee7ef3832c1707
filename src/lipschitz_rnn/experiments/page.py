"""Pages whose tables of results come from cards: what stands between two marks is written anew."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.figures.save import save_figure
from lipschitz_rnn.experiments.page_blocks import (
    Block,
    MakeFigure,
    block_of_rows,
    block_of_table,
)

Maker = Callable[[str], Block]
"""From what a mark names to what stands between it and its end."""

_BEGIN = re.compile(r"<!-- (?P<kind>\w+): (?P<what>.+?) -->")
_END = re.compile(r"<!-- end of (?P<kind>\w+) -->")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<rest>.*)")


@dataclass(frozen=True)
class _Part:
    """Lines of a page: those between two marks, or, without a kind, those outside."""

    kind: str
    what: str
    lines: tuple[str, ...]


def _outside_fences(lines: Sequence[str]) -> Iterator[bool]:
    """Of each line, whether it is outside of every fence, as CommonMark has it."""
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        yield not fence and found is None
        if found is None:
            continue
        if not fence:
            fence = found["fence"]
        elif found["fence"].startswith(fence) and not found["rest"].strip():
            fence = ""


def _parts(text: str, kinds: Collection[str]) -> list[_Part]:
    """The page in its order; marks are lines of their own, and nothing in a fence is one."""
    parts, own = [], []
    kind = what = ""
    lines = text.split("\n")
    for line, outside in zip(lines, _outside_fences(lines), strict=True):
        begin, end = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if not outside or (end is None and (begin is None or begin["kind"] not in kinds)):
            own.append(line)
            continue
        if bool(begin) == bool(kind) or (end is not None and end["kind"] != kind):
            behind = f" behind '<!-- {kind}: {what} -->'" if kind else ""
            raise InputError(
                f"page: expected marks of the kind {', '.join(kinds)}, '<!-- KIND: NAME -->' and "
                f"'<!-- end of KIND -->' in turn, got {line!r}{behind}."
            )
        parts.append(_Part(kind, what, tuple(own)))
        kind, what = (begin["kind"], begin["what"]) if begin is not None else ("", "")
        own = []
    if kind:
        raise InputError(f"page: expected an end of '<!-- {kind}: {what} -->', got none.")
    return [*parts, _Part("", "", tuple(own))]


def fill_page(
    text: str, results: Path, makers: Mapping[str, Maker] | None = None
) -> tuple[str, dict[str, MakeFigure]]:
    """Write what a page has from results anew.

    Args:
        text: The page. Between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` stands a
            whole table, between ``<!-- rows: TABLE/ROW TABLE/ROW -->`` and ``<!-- end of rows -->``
            some rows of several ones.
        results: The results folder.
        makers: What stands between marks of other kinds, by kind.

    Returns:
        The page, all outside of the marks as it was, and what makes its figures, each by the name
        that the page links to.

    Raises:
        InputError: If there is no table or row of such a name, the page has no mark, or marks do
            not come in pairs.
    """
    known: dict[str, Maker] = {
        "table": lambda name: block_of_table(name, results),
        "rows": lambda names: block_of_rows(names.split(), results),
        **(makers or {}),
    }
    parts = _parts(text, known)
    if not any(part.kind for part in parts):
        raise InputError(
            "page: expected a place for a table, '<!-- table: NAME -->' and in a later line "
            "'<!-- end of table -->', got none."
        )
    lines: list[str] = []
    figures: dict[str, MakeFigure] = {}
    for part in parts:
        if not part.kind:
            lines += part.lines
            continue
        block = known[part.kind](part.what)
        begin, end = f"<!-- {part.kind}: {part.what} -->", f"<!-- end of {part.kind} -->"
        lines += [begin, "", *"\n".join(block.lines).strip("\n").split("\n"), "", end]
        figures |= block.figures
    return "\n".join(lines), figures


def write_page(page: Path, results: Path, makers: Mapping[str, Maker] | None = None) -> list[Path]:
    """Write a page's tables and figures anew, each file whole or not at all.

    Args:
        page: The file; figures go to where it links to them, mostly the folder ``images``.
        results: The results folder.
        makers: As :func:`fill_page` takes them.

    Returns:
        What was written.

    Raises:
        InputError: As :func:`fill_page` does, or if there is no such page.
    """
    if not page.is_file():
        raise InputError(f"{page}: expected a page in Markdown, got no file.")
    text = page.read_bytes().decode()
    ends = "\r\n" if "\r\n" in text else "\n"
    filled, figures = fill_page(text.replace("\r\n", "\n"), results, makers)
    written = [page]
    for name, make in figures.items():
        written.append(page.parent / name)
        written[-1].parent.mkdir(exist_ok=True)
        save_figure(make(), written[-1])
    write_atomically(page, filled.replace("\n", ends).encode())
    return written
