"""The queue of runs, on disk: what is wanted, in which order, and how far it has come."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.files import write_atomically
from lipschitz_rnn.experiments.card import CARD, read_card
from lipschitz_rnn.experiments.results import is_card_of, run_name
from lipschitz_rnn.experiments.tables import Row
from lipschitz_rnn.training import RunFolder
from lipschitz_rnn.training.schema import check_fields, from_table, number, to_table

QUEUE = "queue.toml"
DIVERGED = "diverged.txt"
"""In the folder of a run that cannot go on: why."""


@dataclass(frozen=True)
class Entry:
    """A run that is wanted.

    Attributes:
        preset: Where its configuration begins.
        row: Name of its row; with the seed it names the run.
        seed: Of weights, order and dropout.
        set: Settings that replace the preset's.
    """

    preset: str
    row: str
    seed: int = number(low=0)
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value, those of its row included."""
        check_fields("entry", self)
        self.as_row  # noqa: B018 - to check it

    @classmethod
    def of(cls, row: Row, seed: int) -> "Entry":
        """The entry of a row and a seed."""
        return cls(row.preset, row.name, seed, row.set)

    @property
    def as_row(self) -> Row:
        """A row that has this run."""
        return Row(self.row, self.row, self.preset, self.set)

    @property
    def run(self) -> str:
        """Name of the run."""
        return run_name(self.as_row, self.seed)

    def folder(self, results: Path) -> Path:
        """Where the run is kept, from its first update to its card."""
        return results / self.as_row.folder / self.run

    def status(self, results: Path) -> str:
        """What the folder of the run says.

        Args:
            results: The results folder.

        Returns:
            ``"done"``; ``"stale"``, if the card is of other settings; ``"diverged"``; ``"begun"``;
            or ``"waiting"``.
        """
        folder = self.folder(results)
        if (folder / CARD).exists():
            card = read_card(folder / CARD)
            return "done" if is_card_of(self.as_row, self.seed, card) else "stale"
        if (folder / DIVERGED).exists():
            return "diverged"
        return "begun" if RunFolder(folder).config.exists() else "waiting"


class Queue:
    """Runs in the order they are to be done, kept in ``queue.toml``.

    Args:
        results: The results folder.

    Raises:
        InputError: If the file is damaged.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self.path = results / QUEUE
        self.entries: list[Entry] = []
        if self.path.exists():
            try:
                table = tomllib.loads(self.path.read_text("utf-8"))
                runs = table.get("runs", [])
                kept = [{k: v for k, v in run.items() if k != "status"} for run in runs]
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                reason = " ".join(str(error).split())
                raise InputError(f"{self.path}: expected a queue, got: {reason}.") from None
            self.entries = [from_table(Entry, run, str(self.path)) for run in kept]

    def add(self, entries: list[Entry]) -> None:
        """Put runs at the end, unless they are in the queue already.

        Args:
            entries: The runs.
        """
        self.entries += [entry for entry in entries if entry not in self.entries]
        self.write()

    def pending(self, wanted: list[Entry] | None = None) -> list[Entry]:
        """Runs that are to be done: first those that were begun.

        Args:
            wanted: Look at these alone; at all of the queue if None.

        Returns:
            In the order they are to be done.
        """
        entries = self.entries if wanted is None else wanted
        waiting = [e for e in entries if e.status(self.results) == "waiting"]
        begun = [e for e in entries if e.status(self.results) == "begun"]
        return begun + waiting

    def write(self) -> None:
        """Write the file, with the status of each run for whoever reads it."""
        runs = [to_table(e) | {"status": e.status(self.results)} for e in self.entries]
        self.results.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, tomli_w.dumps({"runs": runs}).encode())
