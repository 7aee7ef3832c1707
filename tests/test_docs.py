"""The Python examples of the README and the docs run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_examples_run(page, monkeypatch, tmp_path):
    from lipschitz_rnn.ops import backend

    (tmp_path / "results").symlink_to(ROOT / "results")  # which a page reads
    monkeypatch.chdir(tmp_path)  # as one writes a file
    monkeypatch.setattr(backend, "_registry", dict(backend._registry))  # a page registers one
    exec("\n".join(blocks(page)), {})


def test_there_are_examples():
    assert sum(len(blocks(page)) for page in PAGES) >= 7
