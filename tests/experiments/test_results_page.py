"""The pages of results are what cards and measurements give."""

from pathlib import Path

import pytest

from lipschitz_rnn.cli.render_marks import makers_of
from lipschitz_rnn.experiments.figures.save import digest_of
from lipschitz_rnn.experiments.page import fill_page
from lipschitz_rnn.experiments.results import agrees, gather
from lipschitz_rnn.experiments.runs import load_trained
from lipschitz_rnn.experiments.tables import load_table, table_names

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["docs/results.md", "docs/benchmarks.md", "README.md"])
def test_a_page_is_written_from_results(name):
    """`lipschitz-rnn render` with the page mends it."""
    page, results = ROOT / name, ROOT / "results"
    text = page.read_text()
    filled, figures = fill_page(text, results, makers_of(page, results))
    assert filled == text
    for link, make in figures.items():
        assert f"<dc:description>{digest_of(make())}</dc:description>" in (
            (page.parent / link).read_text()
        ), link


def test_every_figure_of_results_is_on_the_page():
    page, results = ROOT / "docs/results.md", ROOT / "results"
    _, figures = fill_page(page.read_text(), results, makers_of(page, results))
    kept = (ROOT / "docs/images").glob("results-*.svg")
    assert {f"images/{path.name}" for path in kept} == set(figures)


@pytest.mark.parametrize("name", table_names())
def test_what_is_not_as_in_print_says_why(name):
    table = load_table(name)
    for result in gather(table, ROOT / "results"):
        if agrees(table, result) is False:
            assert result.row.remark, result.row.name


def test_a_learned_step_size_falls_as_its_note_says():
    run = load_trained(ROOT / "results/smnist/recipe-cycle20-learned-seed1", "last")
    before, after = run.config.model.step_size, run.model.rnn.step_size_l0.item()
    assert any("less than a fifth" in note for note in load_table("recipe-smnist").notes)
    assert after < before / 5
    table = load_table("recipe-smnist")
    known = {one.row.name: one.values(table, "last") for one in gather(table, ROOT / "results")}
    assert max(known["recipe-cycle20-learned"]) < min(known["recipe-cycle20-clip"])
