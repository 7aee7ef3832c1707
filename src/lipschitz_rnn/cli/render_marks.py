"""What stands between marks on a page that the tables of results know nothing of."""

from pathlib import Path

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
        ``speed: FILE``, what a benchmark wrote, ``features: FILE`` and ``overview: FILE``, what a
        figure is to show.
    """
    root = page.parent

    def speed(name: str) -> Block:
        return Block(as_markdown(read_results(root / name), targets=False).splitlines())

    def overview(name: str) -> Block:
        plan = read_plan(root / name)
        measured = read_results(root / plan.speed)
        return overview_block(plan, root, results, training_ratios(measured, plan.shape))

    return {
        "speed": speed,
        "features": lambda name: Block(features_lines(root / name)),
        "overview": overview,
    }
