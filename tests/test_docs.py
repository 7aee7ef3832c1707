"""Python in the README and the docs runs, commands are understood, links lead somewhere."""

import contextlib
import itertools
import re
import shlex
from pathlib import Path

import pytest
import typer

import lipschitz_rnn.cli  # noqa: F401 - adds the verbs
from lipschitz_rnn.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]
LINKED = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "csrc/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
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


def commands(page):
    """What is typed behind ``lipschitz-rnn``, up to a pipe or a redirection."""
    text = re.sub(r"\\\n *(?:> *)?", " ", page.read_text())  # a command may go on in the next line
    typed = re.findall(r"^ *\$ (?:.* -m lipschitz_rnn\.cli|lipschitz-rnn) (.*)", text, re.MULTILINE)
    for command in typed:
        words = shlex.split(command, comments=True)
        yield list(itertools.takewhile(lambda word: word not in {"|", ">", "<", "&&"}, words))


def parse(words):
    """Parse a command as the command line does, down to its verb, and run nothing."""
    command, context, name = typer.main.get_command(app), None, "lipschitz-rnn"
    with contextlib.suppress(typer.Exit):  # of --help and --version
        while True:
            context = command.make_context(name, words, parent=context)
            if not hasattr(command, "resolve_command"):
                return
            rest = [*context._protected_args, *context.args]
            name, command, words = command.resolve_command(context, rest)


@pytest.mark.parametrize("page", [p for p in LINKED if [*commands(p)]], ids=lambda p: p.name)
def test_commands_are_understood(page):
    for words in commands(page):
        parse(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian", "digits"], "No such command 'trian'"),
        (["train", "digits", "--epochs", "3"], "No such option: --epochs"),
        (["certify", "a", "--strength", "strong"], "'strong' is not one of"),
        (["evaluate"], "Missing parameter: run"),
    ],
)
def test_another_command_is_not(words, expected):
    with pytest.raises(Exception, match=expected):
        parse(words)


def prose(page):
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """What MkDocs and GitHub call the headings of a page."""
    heads = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}


def links(page):
    found = re.findall(r"\]\(([^)\s]+)|(?:src|href)=\"([^\"]+)\"", re.sub("`.*?`", "", prose(page)))
    return [link for pair in found for link in pair if link]


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in links(page):
        file, _, heading = link.partition("#")
        if not file.startswith("https://"):
            target = page.parent / file if file else page
            assert target.exists(), link
            assert not heading or heading in anchors(target), link


def test_there_are_examples():
    assert sum(len(blocks(page)) for page in PAGES) >= 7


def test_there_are_links():
    assert sum(len(links(page)) for page in LINKED) >= 50
