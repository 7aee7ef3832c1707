"""Styles that can be computed: contrast in both schemes, and what is there without a script."""

import itertools
import re
from importlib import resources

import pytest

TEMPLATES = resources.files("lipschitz_rnn.report") / "templates"
CSS = (TEMPLATES / "report.css").read_text("utf-8")
TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
INKS = ("ink", "soft", "accent")
LINES = ("blue", "vermilion", "green", "sky", "grey")


def properties(scheme):
    """Custom properties of the light or the dark scheme; what dark does not set is light's."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    assert len(blocks) == 2
    found = {}
    for block in blocks[: 1 + (scheme == "dark")]:
        found |= dict(re.findall(r"--([a-z]+): ([^;]+);", block))
    return found


def color(text):
    """Channels in [0, 1] of ``#rrggbb`` or of three numbers up to 255."""
    if text.startswith("#"):
        return [int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [int(part) / 255 for part in text.split()]


def luminance(channels):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(top, share, below):
    """A colour of some opacity on another one."""
    return [share * t + (1 - share) * b for t, b in zip(top, below, strict=True)]


def test_contrast_of_known_pairs():
    assert contrast([0, 0, 0], [1, 1, 1]) == pytest.approx(21)
    assert contrast(color("#777777"), [1, 1, 1]) == pytest.approx(4.478, abs=1e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme):
    own = properties(scheme)
    for ink, ground in itertools.product(INKS, ("page", "panel")):
        assert contrast(color(own[ink]), color(own[ground])) >= TEXT, (ink, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_shades_can_be_read(scheme):
    """Cells of the matrix and symbols of a text at their darkest."""
    own = properties(scheme)
    (right,) = re.findall(r"--right\) / calc\(([.\d]+) \* var\(--s\)", CSS)
    (least, more) = re.findall(r"--wrong\) / calc\(([.\d]+) \+ ([.\d]+) \* var\(--s\)", CSS)[0]
    levels = [float(share) for share in re.findall(r"\.l\d \{[^}]*--wrong\) / ([.\d]+)\)", CSS)]
    assert len(levels) == 4
    shades = [("right", float(right)), ("wrong", float(least) + float(more))]
    shades += [("wrong", level) for level in levels]
    for (name, share), ground in itertools.product(shades, ("page", "panel")):
        below = over(color(own[name]), share, color(own[ground]))
        assert contrast(color(own["ink"]), below) >= TEXT, (name, share)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_can_be_seen(scheme):
    own = properties(scheme)
    for line in LINES:
        assert contrast(color(own[line]), color(own["page"])) >= GRAPHICS, line


def test_every_property_is_defined_and_used():
    used = set(re.findall(r"var\(--([a-z]+)\)", CSS))
    assert used - {"s", "width"} <= set(properties("light"))
    assert set(properties("dark")) == set(properties("light"))


def test_dark_is_for_screens_and_print_unfolds():
    assert "@media screen and (prefers-color-scheme: dark)" in CSS
    (print_,) = re.findall(r"@media print \{(.*)\}", CSS, re.DOTALL)
    assert "details::details-content { content-visibility: visible" in print_
    assert re.search(r"nav, [^{]*\{ display: none", print_)


def test_nothing_is_hidden_without_a_script(digits_page):
    """A script folds examples away; without one all are shown, and nothing asks for a click."""
    page, (run,) = digits_page
    body = re.sub(r"(?s)<(style|script).*?</\1>", "", page.source)
    assert not any("hidden" in attributes for _, attributes in page.elements)
    assert "<button" not in body
    assert body.count("<li data-true") == len(run.confusion.examples)
    assert 'class="script"' in body
    assert re.search(r"\.script \{ display: none", CSS)
