"""matplotlib figures within the page: text as text, colours that follow light and dark."""

import io
import re
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from lipschitz_rnn.experiments.figures import style

_COLORS = {
    style.BLACK: "currentColor",
    style.SKY: "var(--sky)",
    style.GREEN: "var(--green)",
    style.BLUE: "var(--blue)",
    style.VERMILION: "var(--vermilion)",
    style.GREY: "var(--grey)",
    "#ECECEC": "var(--region)",
    "#CCCCCC": "var(--region)",  # frames of legends
    "#FFFFFF": "var(--page)",
}
_BY_CODE = {code.lower(): name for code, name in _COLORS.items()}


@dataclass(frozen=True)
class Panel:
    """A pair of axes with linear abscissae, in the units of the figure's view box.

    Attributes:
        left, top, right, bottom: Its frame.
        first, last: Abscissae at the left and at the right end.
    """

    left: float
    top: float
    right: float
    bottom: float
    first: float
    last: float


@dataclass(frozen=True)
class Drawing:
    """A figure in the page.

    Attributes:
        svg: An ``svg`` element with an alternative text.
        alt: That text.
        panels: Where its axes are.
    """

    svg: Markup
    alt: str
    panels: tuple[Panel, ...]


def draw(figure: Figure, key: str, alt: str) -> Drawing:
    """A figure as an element of a page.

    Args:
        figure: The figure.
        key: What its ids begin with; another one for every figure of a page.
        alt: What is to be seen, with numbers.

    Returns:
        The drawing. It has no background, takes the font of the page, and its black is the colour
        of the text around it.
    """
    stream = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style.house_style(), rc_context({"svg.fonttype": "none"}):
        figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    text = stream.getvalue()
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    width, height = (72 * size for size in figure.get_size_inches())
    svg = (
        f'<svg class="figure" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'style="--width: {width:g}" aria-label="{escape(alt)}">{_cleaned(body, key)}</svg>'
    )
    return Drawing(Markup(svg), alt, _panels(figure, width, height))


def _cleaned(body: str, key: str) -> str:
    """Without metadata and ids that nothing refers to; colours and fonts are the page's."""
    dropped = r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|<defs>\s*</defs>"
    body = re.sub(dropped, "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="|url\()#', rf"\1#{key}-", body)
    body = re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda m: _BY_CODE.get(m[0], m[0]), body)
    body = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", body)
    return re.sub(r"\s*\n\s*", "\n", body)


def _panels(figure: Figure, width: float, height: float) -> tuple[Panel, ...]:
    panels = []
    for axes in figure.axes:
        if axes.get_xscale() == "linear" and axes.lines:
            box = axes.get_position()  # fractions of the figure, from the bottom up
            corners = (box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height)
            panels.append(Panel(*(round(float(c), 2) for c in (*corners, *axes.get_xlim()))))
    return tuple(panels)
