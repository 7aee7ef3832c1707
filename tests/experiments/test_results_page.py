"""The page of results is what the cards give."""

from pathlib import Path

import pytest

from lipschitz_rnn.cli.render_marks import makers_of
from lipschitz_rnn.experiments.page import figure_file, fill_page, make_figure, page_tables
from lipschitz_rnn.experiments.results import agrees, gather
from lipschitz_rnn.experiments.tables import load_table, table_names

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/results.md"
TABLES = page_tables(PAGE.read_text())


def test_the_page_is_written_from_the_cards():
    """`lipschitz-rnn render docs/results.md` mends it."""
    text = PAGE.read_text()
    assert fill_page(text, ROOT / "results") == text


def test_the_readme_is_written_from_results():
    """`lipschitz-rnn render README.md` mends it."""
    page = ROOT / "README.md"
    text = page.read_text()
    assert fill_page(text, ROOT / "results", makers=makers_of(page)) == text


@pytest.mark.parametrize("name", TABLES)
def test_the_figure_of_a_table_that_was_run_is_there(name):
    table = load_table(name)
    figure = make_figure(table, gather(table, ROOT / "results"))
    assert (figure is not None) == (ROOT / "docs/images" / figure_file(table)).exists()


@pytest.mark.parametrize("name", table_names())
def test_what_is_not_as_in_print_says_why(name):
    table = load_table(name)
    for result in gather(table, ROOT / "results"):
        if agrees(table, result) is False:
            assert result.row.remark, result.row.name
