"""Tables on pages: written from cards, between marks, and nothing else is touched."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from experiments.toy_runs import ROW, TABLE

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.benchmarks.report import as_markdown, read_results
from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments.figures.curves import curves_figure
from lipschitz_rnn.experiments.figures.sweep import sweep_figure
from lipschitz_rnn.experiments.page import fill_page, write_page
from lipschitz_rnn.experiments.page_blocks import Block, table_block
from lipschitz_rnn.experiments.results import RowResult, agrees, gather
from lipschitz_rnn.experiments.results_text import range_text, table_cells, table_lines
from lipschitz_rnn.experiments.tables import Row, Table, load_table, table_names

PAGE = "# A\n\n<!-- table: short -->\nold\n<!-- end of table -->\nkept | <!-- x: y --> z\n"


def with_accuracy(value, count=10_000, **changes):
    """A card as far as tables read it."""
    curve = [
        {"epoch": epoch, "lr": 0.1, "train": 0.5, "validation": value - 0.1 / epoch, "test": None}
        for epoch in (1, 2)
    ]
    return {
        "metric": "accuracy",
        "parameters": 1234,
        "test_accuracy_last": value,
        "test_accuracy_best_validation": value,
        "test_accuracy_best_test": None,
        "test_last": {"accuracy": value, "count": count},
        "epochs": {"last": 2},
        "data": {"name": "digits"},
        "time": {"wall_seconds": 90.0},
        "curve": curve,
    } | changes


def result_of(*values, printed=None, row=ROW, **changes):
    cards = {seed: with_accuracy(value, **changes) for seed, value in enumerate(values)}
    return RowResult(dataclasses.replace(row, printed=printed), cards)


def test_the_text_outside_the_marks_stays(tmp_path):
    filled, figures = fill_page(PAGE, tmp_path)
    assert figures == {}
    before, after = filled.split("<!-- table: short -->")[0], filled.split("end of table -->")[1]
    assert (before, after) == ("# A\n\n", "\nkept | <!-- x: y --> z\n")
    assert "old" not in filled
    assert "rows not run</summary>\nmnist-8px, 3 epochs;" in filled
    assert fill_page(filled, tmp_path) == (filled, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("# A\n", "expected a place for a table"), (PAGE.replace("short", "shrt"), "'short'?")],
)
def test_a_page_without_tables_is_refused(tmp_path, text, expected):
    with pytest.raises(InputError, match=expected):
        fill_page(text, tmp_path)


def test_the_verb_writes_page_and_figure(tmp_path, finished, capsys, monkeypatch):
    results, _ = finished
    monkeypatch.setattr("lipschitz_rnn.experiments.page_blocks.load_table", lambda _: TABLE)
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("short", "toy"))
    assert main(["render", str(page), "--results", str(results)]) == 0
    assert capsys.readouterr().out.split() == [
        str(page),
        str(tmp_path / "images/results-toy.svg"),
    ]
    text = page.read_text()
    row = next(line for line in table_lines(TABLE, gather(TABLE, results)) if "Small" in line)
    assert row.split("|")[2].partition(" (n=")[0] + " |" in text
    assert "](images/results-toy.svg)" in text
    first = (tmp_path / "images/results-toy.svg").read_bytes()
    write_page(page, results)
    assert (page.read_text(), (tmp_path / "images/results-toy.svg").read_bytes()) == (text, first)


def test_a_missing_page_is_an_error(tmp_path, capsys):
    assert main(["render", str(tmp_path / "x.md")]) == 2
    assert "expected a page in Markdown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "printed", "expected"),
    [
        ((0.95,), 95.4, True),  # two deviations of 10,000 samples: 0.436
        ((0.95,), 95.5, False),
        ((0.94, 0.96), 97.8, True),  # sd 1.414 over seeds as well: 2.86
        ((0.94, 0.96), 97.9, False),
        ((0.949, 0.951), 95.6, False),  # sqrt(0.1414² + 0.218²) twice: 0.52
        ((0.95,), None, None),
        ((), 95.0, None),
    ],
)
def test_agreement_is_two_deviations(values, printed, expected):
    assert agrees(TABLE, result_of(*values, printed=printed)) is expected


def test_one_run_of_unknown_spread_neither_agrees_nor_not():
    table = dataclasses.replace(TABLE, metric="mse", scale=1.0)
    card = {**with_accuracy(0.5), "metric": "mse", "test_mse_last": 0.5}
    row = dataclasses.replace(ROW, printed=0.6)
    assert agrees(table, RowResult(row, {1: card})) is None
    other = card | {"test_mse_last": 0.6}
    assert agrees(table, RowResult(row, {1: card, 2: other})) is True  # 0.05 off, sd 0.07


def test_a_recipe_of_ours_does_not_agree():
    row = dataclasses.replace(ROW, ours=True)
    assert agrees(TABLE, result_of(0.95, printed=95.0, row=row)) is None


def test_agreement_by_hand():
    """The bound itself, from both sides."""
    values = (0.97, 0.98, 0.99)
    deviation = math.sqrt(1.0**2 + 100**2 * 0.98 * 0.02 / 10_000)
    for sign in (-1, 1):
        for factor, expected in ((1.999, True), (2.001, False)):
            printed = 98 + sign * factor * deviation
            assert agrees(TABLE, result_of(*values, printed=printed)) is expected


def test_columns_without_a_figure_are_left_out():
    heads, rows = table_cells(TABLE, [result_of(0.9)])
    assert heads == [
        "model", "last epoch", "best validation", "parameters", "epochs", "data", "time",
    ]  # fmt: skip
    assert rows == [["Small", "90.00 (n=1)", "90.00 (n=1)", "1,234", "2", "digits", "1.5 min"]]
    heads, _ = table_cells(TABLE, [result_of(0.9), result_of(0.9, printed=0.0)])
    assert "in print" in heads


def test_recipes_are_compared_by_validation_samples():
    table = dataclasses.replace(TABLE, samples="validation")
    heads, rows = table_cells(table, [result_of(0.9)])
    assert (heads[1], rows[0][1]) == ("validation, last epoch", "85.00 (n=1)")
    assert not any("test" in head for head in heads)


def test_many_seeds_have_a_range():
    assert range_text(TABLE, result_of(*[0.9] * 5)) == ""
    found = range_text(TABLE, result_of(0.9, 0.91, 0.92, 0.93, 0.94, 0.98))
    assert found == "Small: of 6 seeds the lowest 90.00, the mean 93.00, the highest 98.00."


def test_a_block_has_remarks_of_what_was_run_and_names_the_rest():
    row = dataclasses.replace(ROW, remark="Slow.")
    absent = dataclasses.replace(ROW, label="Absent", remark="Never.", printed=7.0)
    lines = table_block(TABLE, [result_of(0.9, row=row), RowResult(absent, {})]).lines
    assert "- Small: Slow." in lines
    assert "Absent (in print 7.0)." in lines
    assert not any("Never" in line for line in lines)


def test_curves_are_the_errors_on_record():
    figure = curves_figure(TABLE, [result_of(0.9, 0.95, printed=99.0), result_of(0.8)])
    first, second = figure.axes
    blue = [line for line in first.lines if line.get_zorder() == 3]
    assert len(blue) == 2
    drawn = np.sort([line.get_ydata()[-1] for line in blue])
    assert drawn == pytest.approx([10.0, 15.0])
    assert sorted(line.get_ydata()[0] for line in first.lines if line.get_marker() == "o") == (
        pytest.approx([5.0, 10.0])
    )
    dashed = next(line for line in first.lines if line.get_linestyle() == "--")
    assert dashed.get_ydata() == pytest.approx([1.0, 1.0])
    assert not [line for line in second.lines if line.get_linestyle() == "--"]


def test_a_sweep_is_drawn_over_its_axis():
    def row(beta, method):
        label = f"method {method}, beta {beta}"
        return Row(f"b{beta}{method}", label, "digits", (f"model.beta={beta}", f"m={method}"))

    table = Table("toy", "Toy", "accuracy", 100.0, 2, (1,), (), axis="model.beta")
    results = [
        result_of(0.5, row=row(1.0, "euler")),
        result_of(0.6, 0.8, row=row(0.5, "euler")),
        result_of(0.9, row=row(0.5, "midpoint")),
    ]
    (axes,) = sweep_figure(table, results).axes
    lines = {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}
    assert set(lines) == {"method euler", "method midpoint"}
    assert lines["method euler"].get_xydata().tolist() == [[0.5, pytest.approx(70)], [1.0, 50.0]]
    marks = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert sorted(y for line in marks for y in line.get_ydata()) == pytest.approx([50, 60, 80, 90])


def test_rows_of_several_tables_stand_under_one_head(tmp_path):
    text = "<!-- rows: pixel-mnist/euler-128 units/lstm -->\n<!-- end of rows -->\n"
    filled = fill_page(text, tmp_path)[0].splitlines()
    assert filled[2] == "| task | model | last epoch | best validation | in print |"
    assert filled[4].startswith("| MNIST, one pixel a step | Lipschitz, Euler, N=128")
    assert filled[4].endswith("| not run | not run | 99.4 (text) |")
    assert filled[5].endswith("| LSTM | not run | not run |  |")
    for row, expected in (
        ("units/lstn", "expected rows among"),
        ("units", "expected rows as TABLE/ROW, got 'units'"),
        ("shakespeare/lstm", "expected rows of one metric, got shakespeare/lstm beside others"),
        ("recipe-smnist/recipe-published", "expected rows of one metric"),
    ):
        with pytest.raises(InputError, match=expected):
            fill_page(text.replace("units/lstm", row), tmp_path)


def test_other_marks_are_filled_by_who_knows_them(tmp_path):
    text = "<!-- speed: a.json -->\nold\n<!-- end of speed -->\n"
    filled = fill_page(text, tmp_path, makers={"speed": lambda name: Block([f"of {name}"])})
    assert filled[0] == text.replace("old", "\nof a.json\n")
    with pytest.raises(InputError, match=r"kind table, rows, .*got '<!-- end of speed"):
        fill_page(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- table: seeds -->\nprose\n<!-- table: units -->\n<!-- end of table -->", "in turn"),
        ("<!-- table: seeds -->\nprose\n", "an end of '<!-- table: seeds -->'"),
        ("prose\n<!-- end of table -->\n", "in turn"),
        ("<!-- table: seeds -->\n<!-- end of rows -->\n", "in turn"),
    ],
)
def test_marks_that_are_no_pair_are_refused(tmp_path, text, expected):
    """Or prose between them would be gone."""
    with pytest.raises(InputError, match=expected):
        fill_page(text, tmp_path)


MARK = "<!-- table: seeds -->\n"


@pytest.mark.parametrize(
    "text",
    [
        f"```markdown\n{MARK}```\n",
        f"~~~\n{MARK}```\n{MARK}~~~\n",
        f"````\n```\n{MARK}```\n{MARK}````\n",
        f"  ```\n{MARK}  ```\n",
        f"```\n``` not an end\n{MARK}```\n",
        "<!-- note: of another kind -->\n",
        f"  {MARK}",
    ],
)
def test_what_is_no_mark_is_text(tmp_path, text):
    assert fill_page(text + PAGE, tmp_path)[0].startswith(text)


def test_line_ends_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_bytes(PAGE.replace("\n", "\r\n").encode())
    write_page(page, tmp_path)
    found = page.read_bytes().decode()
    assert found == fill_page(PAGE, tmp_path)[0].replace("\n", "\r\n")


@pytest.mark.parametrize("name", table_names())
def test_every_table_can_stand_on_a_page(name):
    table = load_table(name)
    gathered = gather(table, Path(__file__).parents[2] / "results")
    lines = table_block(table, gathered).lines
    assert lines[-1] == f"`lipschitz-rnn reproduce {name}`"
    text = "\n".join(lines)
    for one in gathered:
        assert one.row.label in text
        for value in one.values(table, "validation" if table.samples != "test" else "last"):
            assert len(one.cards) > 1 or f"| {value:.{table.digits}f} |" in text


def test_the_verb_writes_the_table_of_a_benchmark(tmp_path, finished):
    results, _ = finished
    page = tmp_path / "page.md"
    written = Path(__file__).parents[2] / "benchmarks/results/recurrence.json"
    (tmp_path / "b.json").write_bytes(written.read_bytes())
    page.write_text("<!-- speed: b.json -->\n<!-- end of speed -->\n")
    assert main(["render", str(page), "--results", str(results)]) == 0
    assert as_markdown(read_results(written), targets=False) in page.read_text()
