"""The figure of the README draws, and says, what it is given."""

import dataclasses
import json
from pathlib import Path

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.benchmarks.report import read_results, training_ratios
from lipschitz_rnn.experiments.figures.overview import Overview, overview_figure
from lipschitz_rnn.experiments.figures.save import digest_of
from lipschitz_rnn.experiments.overview import (
    overview_block,
    overview_caption,
    overview_text,
    read_plan,
)

ROOT = Path(__file__).parents[2]
PLAN = ROOT / "docs/overview.toml"


def card(accuracy):
    return {
        "curve": [{"epoch": 1, "validation": 0.5}, {"epoch": 2, "validation": 0.9}],
        "test_accuracy_last": accuracy,
    }


OVERVIEW = Overview(
    titles=("F", "A", "C"),
    speed={"loop": 3.0},
    curves={"theirs": card(0.7), "ours": card(0.8)},
    printed=75.0,
    proved={
        "radii": [0, 0.1, 0.2],
        "certified": [0.9, 0.8, 0.1],
        "certified_as_run": [0.9, 0.1, 0.0],
        "empirical": [0.9, 0.85, 0.6],
        "samples": 1234,
    },
    unproved={"radii": [0, 0.1, 0.2], "certified": None, "empirical": [1.0, 0.5, 0.0]},
)


def test_every_number_is_drawn():
    bars, curves, certified = overview_figure(OVERVIEW).axes
    assert [axes.get_title() or axes.get_title("left") for axes in (bars, curves, certified)] == [
        "F", "A", "C",
    ]  # fmt: skip
    assert sorted(patch.get_width() for patch in bars.patches) == [1.0, 3.0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["this kernel", "loop"]
    line, mark, printed = curves.lines[-3:]
    assert printed.get_ydata() == pytest.approx([25, 25])
    assert line.get_xydata().ravel() == pytest.approx([1, 50, 2, 10])
    assert mark.get_xydata().ravel() == pytest.approx([2, 20])
    attacked, proved, free = (line.get_xydata()[1] for line in certified.lines)
    assert attacked == pytest.approx([0.1, 85])
    assert proved == pytest.approx([0.1, 80])
    assert free == pytest.approx([0.1, 50])


def test_the_text_says_the_numbers():
    """The radius named is the largest at which 80 per cent of right answers are proved."""
    assert overview_text(OVERVIEW) == (
        "F; time of a training pass, this kernel 1: loop 3.0. A; test error in per cent: 30.00 "
        "(theirs), 20.00 (ours), 25.0 (in print). C; certified: 90.0 % of images are right, 80.0 % "
        "provably stay right where inputs move by 0.1, 85.0 % withstand an attack; free: 100.0 % "
        "are right, none provably."
    )
    caption = overview_caption(OVERVIEW)
    assert "the first 1,234 test images" in caption
    assert (
        "10.0 % are proved to stay right at a distance of 0.1, and fewer farther away.*" in caption
    )


def test_where_little_is_proved_the_text_says_so():
    little = OVERVIEW.proved | {"certified": [0.5, 0.1, 0.0]}
    assert "50.0 % provably stay right where inputs move by 0," in overview_text(
        dataclasses.replace(OVERVIEW, proved=little)
    )


def test_a_digest_sees_what_is_exchanged():
    """The same numbers under other names are another figure."""
    ours, theirs = OVERVIEW.curves["ours"], OVERVIEW.curves["theirs"]
    speed = {"loop": 3.0, "rnn": 2.0}
    one = dataclasses.replace(OVERVIEW, speed=speed)
    others = (
        dataclasses.replace(one, curves={"theirs": ours, "ours": theirs}),
        dataclasses.replace(one, speed={"loop": 2.0, "rnn": 3.0}),
        dataclasses.replace(one, proved=one.proved | {"certified": [0.9, 0.8, 0.2]}),
        dataclasses.replace(one, titles=("A", "F", "C")),
    )
    digests = {digest_of(overview_figure(overview)) for overview in (one, *others)}
    assert len(digests) == 5
    assert digest_of(overview_figure(one)) in digests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("titles = [", "what an overview shows, got Invalid value"),
        (PLAN.read_text().replace('labels = ["published recipe", ', "labels = ["), "2 labels"),
        (PLAN.read_text().replace("pixel-mnist/euler-128", "units/lstm"), "a number in print"),
        (
            PLAN.read_text().replace("smnist/euler-128-seed1", "adding/short-adding-seed1"),
            "a run that classifies, got one of mse",
        ),
        (PLAN.read_text().replace("shape =", "shap ="), "Did you mean 'shape'"),
    ],
)
def test_another_plan_is_refused(tmp_path, text, expected):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        overview_block(read_plan(path), ROOT, ROOT / "results", {})


CURVE = {"radii": [0, 1], "certified": [1, 0], "certified_as_run": [1, 0], "empirical": [1, 1]}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "[]",
        {},
        {"certified": None},
        {"certified": [1]},
        {"radii": [1, 2]},
        {"samples": 0},
        {"run": "another"},
    ],
)
def test_no_certified_accuracy_is_an_error(tmp_path, content):
    plan = read_plan(PLAN)
    if content is not None:
        (tmp_path / "results").mkdir()
        text = content
        if isinstance(content, dict):
            curve = {"samples": 5, **CURVE, **content} if content else {}
            text = json.dumps({"curves": [{"run": plan.proved, **curve}]})
        (tmp_path / plan.certified).write_text(text)
    with pytest.raises(InputError, match="expected the certified accuracy of"):
        overview_block(plan, tmp_path, ROOT / "results", {})


def test_ratios_are_those_of_a_training_pass():
    path = ROOT / "benchmarks/results/recurrence.json"
    results = read_results(path)
    raw = json.loads(path.read_text())["shapes"][0]["candidates"]["rnn"]["training"]["ratio"]
    assert training_ratios(results, "128x784x128x1")["nn.RNN"] == raw
    with pytest.raises(InputError, match="Did you mean '128x784x128x1'"):
        training_ratios(results, "128x784x128x2")
    forward = next(
        shape["name"] for shape in results["shapes"] if "training" not in shape["operations"]
    )
    with pytest.raises(InputError, match="expected a training pass of others"):
        training_ratios(results, forward)
