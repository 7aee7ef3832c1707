"""The tutorial, typed word by word: its commands, its files, and what it says they print."""

import contextlib
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from printed import follows

from lipschitz_rnn.cli import main
from lipschitz_rnn.data import DataUnavailableError, get

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/tutorial.md").read_text()
FENCE = re.compile(r'^```(python|console)(?: title="(.*?)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
EXIT_CODES = {"lipschitz-rnn certify runs/free": 1}  # and the tutorial says so
MNIST = "\n## MNIST\n"


def blocks(text):
    """Kind, file name and content of each, in their order."""
    return FENCE.findall(text)


def commands(block):
    """Each command of a console block, and the lines that it prints."""
    joined = re.sub(r"\\\n +", "", block)  # a command may go on in the next line
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        yield command, [line for line in lines if line.strip()]


def run(command, folder):
    """What it prints; a Python script and the command line are run in this process."""
    name, *arguments = shlex.split(command)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if name == "lipschitz-rnn":
            assert main(arguments) == EXIT_CODES.get(command, 0), said.getvalue()
        elif name == "python":
            runpy.run_path(str(folder / arguments[0]))
        elif name == "head":
            said.write(subprocess.run([name, *arguments], capture_output=True, text=True).stdout)
        else:
            assert name == "pip", command
    return said.getvalue().splitlines()


def type_in(text, folder):
    for kind, name, content in blocks(text):
        if kind == "python":
            (folder / name).write_text(content)
            continue
        for command, shown in commands(content):
            said = run(command, folder)
            if not command.startswith("pip "):
                assert follows(shown, said), f"{command}\n" + "\n".join(said)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where it is typed; at a width that no line of it needs to be broken for."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["lipschitz-rnn"])
    yield tmp_path
    torch.set_num_threads(threads)


def test_the_tutorial_does_what_it_says(folder):
    type_in(PAGE.split(MNIST)[0], folder)


@pytest.mark.slow
def test_the_part_about_mnist(folder):
    try:
        get("mnist")
    except DataUnavailableError as error:
        pytest.skip(str(error))
    type_in(PAGE.split(MNIST)[1], folder)


def test_every_block_is_typed():
    found = blocks(PAGE)
    assert len(found) == PAGE.count("\n```") // 2
    assert all(name for kind, name, _ in found if kind == "python")


def test_a_difference_is_noticed():
    assert follows(["loss 0.31", "...", "done"], ["loss  2", "a", "b", "done"])
    assert not follows(["loss 0.31", "done"], ["loss 2", "a", "done"])
    assert not follows(["loss 0.31"], ["accuracy 2"])
    assert follows(["right 80.0 %, loss 2"], ["right 71 %, loss 5"])
    assert not follows(["right 80.0 %"], ["right 60.0 %"])
    assert not follows(["[7 9 4]"], ["[7 9 5]"])
    assert not follows(["x (360, 8) [7 9 4]"], ["x (360, 8) [7 8 4]"])
