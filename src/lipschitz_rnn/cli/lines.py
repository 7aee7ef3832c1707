"""Lines of a byte stream, as soon as they are at hand and never more than fit in memory."""

from typing import BinaryIO

READ_BYTES = 65_536
LINE_BYTES = 1_048_576
"""The longest line that is kept."""


class LineReader:
    """Whatever lines a source has, without waiting for more.

    Args:
        source: A buffered byte stream; a pipe or terminal gives what is there.

    Attributes:
        count: Lines so far.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._rest = b""
        self._too_long = False
        self._ended = False
        self.count = 0

    def read(self) -> list[tuple[int, bytes | None]]:
        """Wait until there is something, and return the lines that are complete.

        Returns:
            Number, counted from 1, and content of each, None for one that is too long; perhaps
            none. See :attr:`ended`.
        """
        data = self._source.read1(READ_BYTES)  # type: ignore[attr-defined]
        self._ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._ended and (self._rest or self._too_long):
            lines, self._rest = [self._rest], b""
        found = [self._number(line) for line in lines]
        if len(self._rest) > LINE_BYTES:
            self._rest, self._too_long = b"", True
        return found

    @property
    def ended(self) -> bool:
        """Whether there will be no more."""
        return self._ended

    def _number(self, line: bytes) -> tuple[int, bytes | None]:
        too_long = self._too_long or len(line) > LINE_BYTES
        self._too_long = False
        self.count += 1
        return self.count, None if too_long else line
