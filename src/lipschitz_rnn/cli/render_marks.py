"""What stands between marks on a page that the tables of results know nothing of."""

from pathlib import Path

from lipschitz_rnn.benchmarks.report import as_markdown, read_results
from lipschitz_rnn.experiments.features import features_lines
from lipschitz_rnn.experiments.page import Maker


def makers_of(page: Path) -> dict[str, Maker]:
    """Makers of marks by their kind; files are named as the page links to them.

    Args:
        page: The page.

    Returns:
        ``speed: FILE``, what a benchmark wrote, and ``features: FILE``.
    """
    root = page.parent

    return {
        "speed": lambda name: as_markdown(read_results(root / name)).splitlines(),
        "features": lambda name: features_lines(root / name),
    }
