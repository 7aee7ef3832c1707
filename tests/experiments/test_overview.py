"""The figure of the README draws what it is given."""

import pytest

from lipschitz_rnn.experiments.figures.overview import Overview, overview_figure

CARD = {
    "curve": [{"epoch": 1, "validation": 0.5}, {"epoch": 2, "validation": 0.9}],
    "test_accuracy_last": 0.8,
}


def test_every_number_is_drawn():
    noise = {"lipschitz": [([0.0, 0.1], [1.0, 0.5]), ([0.0, 0.1], [0.8, 0.7])]}
    others = dict.fromkeys(("a", "b"), noise["lipschitz"])
    cards = {"theirs": CARD, "ours": CARD}
    figure = overview_figure(Overview({"loop": 3.0}, "B=1", cards, noise | others))
    bars, curves, robustness = figure.axes
    assert sorted(patch.get_width() for patch in bars.patches) == [1.0, 3.0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["this kernel", "loop"]
    line, mark = curves.lines[-2:]
    assert line.get_xydata().ravel() == pytest.approx([1, 50, 2, 10])
    assert mark.get_xydata().ravel() == pytest.approx([2, 20])
    assert robustness.lines[0].get_xydata().ravel() == pytest.approx([0, 90, 0.1, 60])
