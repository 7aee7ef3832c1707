"""Docstrings use torch's reStructuredText for mathematics and links; the site is Markdown."""

import re

import griffe
from latex2mathml.converter import convert

BLOCK = re.compile(r"^( *)\.\. math::(?:[ \t]*(.+))?\n((?:\n|\1 {4}.*\n?)*)", re.MULTILINE)


def _block(match):
    indent, first, rest = match.groups()
    tex = " ".join(f"{first or ''} {rest}".split())
    return f"{indent}<p>{convert(tex, display='block')}</p>\n\n"


def to_markdown(text):
    """Turn math into MathML, which browsers draw by themselves, and roles into code."""
    text = BLOCK.sub(_block, text + "\n")
    text = re.sub(r":math:`([^`]+)`", lambda m: convert(" ".join(m[1].split())), text)
    return re.sub(r":(?:class|func|meth|data):`~?([^`]+)`", r"`\1`", text)


class RestToMarkdown(griffe.Extension):
    """Rewrite every docstring of the package before it is parsed."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
