"""What stands between marks on a page that the tables of results know nothing of."""

from pathlib import Path

from lipschitz_rnn.benchmarks.candidates import LABELS, NATIVE
from lipschitz_rnn.benchmarks.report import as_markdown, read_results
from lipschitz_rnn.experiments.features import features_lines
from lipschitz_rnn.experiments.figures.overview import overview_figure
from lipschitz_rnn.experiments.figures.save import save_figure
from lipschitz_rnn.experiments.overview import gather_overview
from lipschitz_rnn.experiments.page import Maker


def makers_of(page: Path, results: Path) -> dict[str, Maker]:
    """Makers of marks by their kind; files are named as the page links to them.

    Args:
        page: The page.
        results: The results folder.

    Returns:
        ``speed: FILE``, ``features: FILE`` and ``overview: FIGURE FILE``, where FILE is what a
        benchmark wrote.
    """
    root = page.parent

    def overview(names: str) -> list[str]:
        picture, _, file = names.partition(" ")
        shape = read_results(root / file)["shapes"][0]
        ratios = {
            LABELS[name]: passes["training"]["ratio"]
            for name, passes in shape["candidates"].items()
            if name != NATIVE
        }
        words = f"batch {shape['batch']}, {shape['steps']} steps, {shape['hidden']} units"
        found = gather_overview(results, dict(sorted(ratios.items(), key=lambda x: x[1])), words)
        save_figure(overview_figure(found), root / picture)
        slowest = max(ratios, key=lambda name: ratios[name])
        said = (
            f"Three panels. Time of a training pass: {slowest} takes {ratios[slowest]:.1f} times as"
        )
        said += " long as this kernel. Error over the epochs: our recipe below the published one. "
        said += "Accuracy under white noise: the Lipschitz unit above two others."
        return [f"![{said}]({picture})"]

    return {
        "speed": lambda name: as_markdown(read_results(root / name)).splitlines(),
        "features": lambda name: features_lines(root / name),
        "overview": overview,
    }
