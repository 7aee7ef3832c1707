"""Tables of the paper, and ours: which runs fill a row, and what is in print for it."""

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.packaged import TABLES, toml_names, toml_text
from lipschitz_rnn.experiments.registry import load_preset
from lipschitz_rnn.training import RunConfig
from lipschitz_rnn.training.overrides import setting_of
from lipschitz_rnn.training.schema import check_fields, from_table, number

SEEDED = ("seed.init", "seed.order", "seed.dropout")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True)
class Row:
    """A row of a table: one configuration, any number of seeds.

    Attributes:
        name: Of the row, unique in its table; part of the names of its runs.
        label: What the table prints.
        preset: Where the configuration begins.
        set: Settings that replace the preset's.
        printed: The figure in print, in the table's unit; None if there is none.
        evidence: How sure that figure is, in the words of the specification.
        remark: Why ours is another, and what was tried; a sentence that pages of results have.
        ours: Whether it is trained by a recipe of ours, so that it can surpass what is in print but
            not agree with it.
    """

    name: str
    label: str
    preset: str
    set: tuple[str, ...] = ()
    printed: float | None = number(None)
    evidence: str = ""
    remark: str = ""
    ours: bool = False

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            InputError: If one does not fit.
        """
        check_fields("row", self)
        for what, name in (("row", self.name), ("preset", self.folder)):
            if not _NAME.fullmatch(name):
                raise InputError(f"{what}: expected a name that a folder can have, got {name!r}.")
        for setting in self.set:
            if setting_of(setting).startswith("seed."):
                raise InputError(
                    f"row {self.name}: expected no seed among its settings, got {setting!r}. "
                    "Seeds are given apart, by --seeds."
                )

    @property
    def folder(self) -> str:
        """Where its runs are kept: the preset's name, without path and ending if it is a file."""
        return Path(self.preset).name.removesuffix(".toml")

    def config(self, seed: int) -> RunConfig:
        """The configuration of a run.

        Args:
            seed: Of weights, order and dropout alike.

        Returns:
            The preset with the row's settings, tested after every epoch.
        """
        seeds = [f"{key}={seed}" for key in SEEDED]
        return load_preset(self.preset, ["training.test_every_epoch=true", *self.set, *seeds])


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: What ``reproduce`` calls it.
        title: What it prints above itself.
        metric: The figure it compares, as in :class:`lipschitz_rnn.training.EvaluationResult`.
        scale: Printed figures are the metric times this: 100 for per cent.
        digits: Digits behind the point.
        seeds: Seeds of every row, unless others are asked for.
        rows: Its rows.
        notes: Sentences below it.
        axis: The setting that its figure is drawn over, such as ``"model.beta"``; learning curves
            are drawn if there is none.
        samples: Whether rows are compared by ``"test"`` or by ``"validation"`` samples, which is
            how a recipe is chosen.
        task: What it is measured on, in a few words, for its rows among those of other tables.
    """

    name: str
    title: str
    metric: str
    scale: float
    digits: int
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    axis: str = ""
    samples: str = "test"
    task: str = ""

    def choose(self, names: Sequence[str] | None) -> tuple[Row, ...]:
        """Rows by name.

        Args:
            names: Theirs; all of them if None.

        Returns:
            In the order of the table.

        Raises:
            InputError: If there is none of a name.
        """
        if names is None:
            return self.rows
        known = [row.name for row in self.rows]
        for name in names:
            if name not in known:
                raise InputError(
                    f"table {self.name}: expected rows among {', '.join(known)}, got {name!r}. "
                    f"{nearest(name, known)}".rstrip()
                )
        return tuple(row for row in self.rows if row.name in names)


def table_names() -> tuple[str, ...]:
    """Names of the tables that come with the package.

    Returns:
        In alphabetical order.
    """
    return toml_names(TABLES)


def load_table(name: str) -> Table:
    """Read a table.

    Args:
        name: One of :func:`table_names`.

    Returns:
        The table, its sweeps written out as rows.

    Raises:
        InputError: If there is none of that name.

    Examples:
        >>> load_table("pixel-mnist").rows[0].name
        'euler-128'
    """
    names = table_names()
    if name not in names:
        raise InputError(
            f"table: expected one of {', '.join(names)}, got {name!r}. "
            f"{nearest(name, names)}".rstrip()
        )
    raw = tomllib.loads(toml_text(TABLES, name))
    where = f"table {name}"
    rows = [from_table(Row, row, where) for row in raw.get("rows", [])]
    for sweep in raw.get("sweeps", []):
        rows += expand_sweep(sweep["preset"], sweep["axes"], sweep.get("set", ()))
    return Table(
        name=name,
        title=raw["title"],
        metric=raw["metric"],
        scale=float(raw.get("scale", 1)),
        digits=int(raw.get("digits", 2)),
        seeds=tuple(raw.get("seeds", (1,))),
        rows=tuple(rows),
        notes=tuple(raw.get("notes", ())),
        axis=raw.get("axis", ""),
        samples=raw.get("samples", "test"),
        task=raw.get("task", raw["title"].partition(":")[0]),
    )


def expand_sweep(
    preset: str,
    axes: Mapping[str, Sequence[object]],
    settings: Iterable[str] = (),
    *,
    tag: bool = False,
) -> list[Row]:
    """A row for every point of a grid.

    Args:
        preset: Where each configuration begins.
        axes: Values of each setting, ``{"model.beta": [0.5, 1.0], ..}``.
        settings: Settings that all points share.
        tag: Whether the names also tell shared settings from other ones, by a short digest.

    Returns:
        Rows named after their values, the last axis varying fastest.

    Examples:
        >>> expand_sweep("digits", {"model.beta": [0.5], "model.method": ["euler"]})[0].name
        'beta-0.5-method-euler'
    """
    rows, settings = [], tuple(settings)
    end = "-" + hashlib.sha256("\n".join(settings).encode()).hexdigest()[:6]
    end = end if tag and settings else ""
    short = {key: key.rpartition(".")[2] for key in axes}
    if len(set(short.values())) < len(short):  # model.alpha and training.alpha
        short = {key: key for key in axes}
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        parts = [f"{short[key]}-{value}" for key, value in point.items()]
        label = ", ".join(f"{short[key]} {value}" for key, value in point.items())
        chosen = tuple(f"{key}={_as_toml(value)}" for key, value in point.items())
        name = "-".join(parts).replace("_", "-") + end
        rows.append(Row(name, label, preset, (*settings, *chosen)))
    return rows


def _as_toml(value: object) -> str:
    return tomli_w.dumps({"v": value}).strip().removeprefix("v = ")
