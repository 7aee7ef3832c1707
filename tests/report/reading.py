"""A page as a test reads it: headings, ids, pictures, tables, addresses."""

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        elements: Tag and attributes of every element, in order.
        headings: Level and text of every heading.
        tables: Cells of every table as text, row by row, by its caption.
    """

    def __init__(self, source):
        super().__init__()
        self.source = source
        self.elements, self.headings, self.tables = [], [], {}
        self._open, self._text = [], []
        self.feed(source)
        self.close()
        assert not self._open, f"left open: {self._open}"

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), f"{tag}: an attribute twice"
        self.elements.append((tag, dict(attributes)))
        if tag in VOID:
            return
        self._open.append(tag)
        if tag in {"th", "td", "caption"} or re.fullmatch("h[1-6]", tag):
            self._text = []
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> ends nothing"
        assert self._open.pop() == tag, f"</{tag}> ends another element"
        text = " ".join("".join(self._text).split())
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), text))
        if tag in {"th", "td"}:
            self._rows[-1].append(text)
        if tag == "caption":
            self._caption = text
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        self._text.append(data)

    def all(self, tag, **wanted):
        """Attributes of the elements of a tag, those that have what is wanted."""
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and all(wanted[key] == attributes.get(key) for key in wanted)
        ]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    @property
    def text(self):
        """Without styles, scripts and tags, and with single spaces."""
        body = re.sub(r"(?s)<(style|script).*?</\1>", "", self.source)
        return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def read_page(path):
    return Page(Path(path).read_text("utf-8"))


def check_page(page):
    """What holds of every report."""
    check_addresses(page)
    assert len(set(page.ids)) == len(page.ids)
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), page.headings
    for attributes in page.all("img"):
        assert attributes["alt"]
    for attributes in page.all("svg"):
        assert (attributes["role"], bool(attributes["aria-label"])) == ("img", True)
    for attributes in page.all("th"):
        assert attributes["scope"] in {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    (html,) = page.all("html")
    assert html["lang"] == "en"
    assert len(page.all("main")) == len(page.all("nav")) == 1
    for _, attributes in page.elements:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in page.ids


def check_addresses(page):
    """Nothing is loaded from elsewhere, and every link within the page leads somewhere."""
    assert not re.search(r"(?i)https?:|//cdn|@import|@font-face|fetch\(|XMLHttp", page.source)
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        address = attributes.get("href", "data:")
        assert address.startswith("data:") or address.removeprefix("#") in page.ids, address
    for address in re.findall(r"url\(([^)]*)\)", page.source):
        assert address.removeprefix("#") in page.ids
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
