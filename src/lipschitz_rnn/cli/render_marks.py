"""What stands between marks on a page that the tables of results know nothing of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.benchmarks.certificates import certificate_tables
from lipschitz_rnn.benchmarks.long_sequences import long_table
from lipschitz_rnn.benchmarks.pages import conditions_text, spread_table, training_table
from lipschitz_rnn.benchmarks.report import as_markdown, read_results, training_ratios
from lipschitz_rnn.experiments.features import features_lines
from lipschitz_rnn.experiments.overview import overview_block, read_plan
from lipschitz_rnn.experiments.page import Maker
from lipschitz_rnn.experiments.page_blocks import Block


def makers_of(page: Path, results: Path) -> dict[str, Maker]:
    """Makers of marks by their kind; files are named as the page links to them.

    Args:
        page: The page.
        results: The results folder.

    Returns:
        Of what a benchmark wrote: ``speed: FILE`` and ``spread: FILE`` of the recurrence,
        ``certificates: FILE``, ``long: FILE``, ``training: FILE FILE`` of runs, and the
        ``conditions: FILE`` of any. ``features: FILE`` is a list of features, ``overview: FILE``
        what the figure of all that is to show.
    """
    root = page.parent

    def measured(make: Callable[[dict[str, Any]], str]) -> Maker:
        return lambda name: Block(_made(make, root / name).splitlines())

    def speed(name: str) -> Block:
        return Block(as_markdown(read_results(root / name), targets=False).splitlines())

    def training(names: str) -> Block:
        return Block(training_table([root / name for name in names.split()]).splitlines())

    def overview(name: str) -> Block:
        plan = read_plan(root / name)
        found = read_results(root / plan.speed)
        return overview_block(plan, root, results, training_ratios(found, plan.shape))

    return {
        "speed": speed,
        "spread": measured(spread_table),
        "certificates": measured(certificate_tables),
        "long": measured(long_table),
        "conditions": measured(conditions_text),
        "training": training,
        "features": lambda name: Block(features_lines(root / name, root)),
        "overview": overview,
    }


def _made(make: Callable[[dict[str, Any]], str], path: Path) -> str:
    try:
        return make(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: expected what a benchmark wrote, got {error!r}.") from None
