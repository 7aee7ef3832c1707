"""How the package is built: imports go down, files stay small, only the command line prints."""

import ast
from pathlib import Path

import pytest

import lipschitz_rnn

ROOT = Path(lipschitz_rnn.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LAYERS = [
    {"_base"},
    {"linalg", "ops"},
    {"nn"},
    {"analysis", "data"},
    {"export", "training"},
    {"estimators"},
    {"benchmarks", "experiments"},
    {"report"},
    {"cli"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
ROOT_MODULE = "the root"  # has the version; other names count as where they live
LEVEL[ROOT_MODULE] = LEVEL["_base"]
NO_MODELS = {"data": {"nn", "ops", "linalg", ROOT_MODULE}, "linalg": {"ops"}, "ops": {"linalg"}}


def name_of(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    return path.relative_to(ROOT).parts[0]


def imported_rooms(tree):
    """Rooms of this package that a file imports from, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which way they go"
            modules = [node.module or ""]
            if node.module == "lipschitz_rnn":
                names = [alias.name for alias in node.names]
                modules = [f"lipschitz_rnn.{lipschitz_rnn._HOMES.get(n, n)}" for n in names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            parts = module.split(".")
            if parts[0] == "lipschitz_rnn":
                yield parts[1] if len(parts) > 1 and parts[1] in LEVEL else ROOT_MODULE


def test_every_room_has_a_layer():
    rooms = {room_of(path) for path in FILES if path.parent != ROOT}
    assert rooms <= set(LEVEL)


@pytest.mark.parametrize("path", [f for f in FILES if f.parent != ROOT], ids=name_of)
def test_imports_go_down(path):
    room = room_of(path)
    for other in imported_rooms(ast.parse(path.read_text())):
        allowed = other == room or LEVEL[other] < LEVEL[room]
        assert allowed, f"{room} imports {other}"
        assert other not in NO_MODELS.get(room, ()), f"{room} must not know {other}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            documented = ast.get_docstring(node) is not None
            start = node.body[1 if documented and len(node.body) > 1 else 0].lineno
            assert node.end_lineno - start < 40, f"{node.name} has more than 40 lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_command_line_prints(path):
    if room_of(path) == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_walk_sees_what_it_should():
    """The checks above would notice: an upward import is found in each of its spellings."""
    upward = (
        "import lipschitz_rnn.cli.app",
        "from lipschitz_rnn.cli import app",
        "from lipschitz_rnn import cli",
        "def f():\n    from lipschitz_rnn.cli.app import main",
    )
    for source in upward:
        assert list(imported_rooms(ast.parse(source))) == ["cli"]
    for name, room in (
        ("LipschitzRNN", "nn"),
        ("LipschitzRNNClassifier", "estimators"),
        ("__version__", ROOT_MODULE),
    ):
        assert list(imported_rooms(ast.parse(f"from lipschitz_rnn import {name}"))) == [room]
