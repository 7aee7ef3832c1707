"""Help texts, completion, JSON and plain output: what a shell and a script rely on."""

import inspect
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lipschitz_rnn.cli import app, main
from lipschitz_rnn.experiments import preset_names, table_names

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "lipschitz_rnn.cli"]
REPORTING_ELSEWHERE = {"stream"}  # what it writes is data, a line for each row
EXAMPLE = re.compile(r"^  lipschitz-rnn (.*?)(?:   # .*| > .*)?$", re.MULTILINE)


def verbs(group=None, prefix=()):
    """Every command under its full name."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, (*prefix, name))
        else:
            yield (*prefix, name), command


VERBS = dict(verbs())
EXAMPLES = [
    (name, line) for name, command in VERBS.items() for line in EXAMPLE.findall(command.epilog)
]


def words(command):
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("name", VERBS, ids=" ".join)
def test_every_verb_has_an_example_and_a_short_help_that_is_not_cut(name):
    command = VERBS[name]
    assert any(example.startswith(" ".join(name)) for example in EXAMPLE.findall(command.epilog))
    assert command.short_help
    assert len(command.short_help) <= 48  # 80 columns, less the names


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=lambda value: str(value)[:60])
def test_examples_are_understood(name, line):
    """Options and their types are those of the verb; nothing is run."""
    given = shlex.split(line)
    assert given[: len(name)] == list(name)
    VERBS[name].make_context(" ".join(name), given[len(name) :])


def test_an_example_that_is_not_understood_is_noticed():
    with pytest.raises(Exception, match="No such option"):
        VERBS["info",].make_context("info", ["--jason"])


@pytest.mark.parametrize("name", VERBS, ids=" ".join)
def test_every_reporting_verb_has_json(name):
    assert ("--json" in words(VERBS[name])) != (name[0] in REPORTING_ELSEWHERE)


def test_the_help_says_the_exit_codes(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "..." not in out.split("Commands:")[1].split("Exit codes")[0]
    text = " ".join(out.split())
    told = "0 done; 1 the answer is no, such as a certificate that does not hold; 2 bad input"
    assert told in text
    assert inspect.getdoc(main).count("130") == 1


def complete(*typed):
    environment = {
        "_LIPSCHITZ_RNN_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("lipschitz-rnn", *typed)),
        "COMP_CWORD": str(len(typed)),
    }
    done = subprocess.run(
        ["lipschitz-rnn"],
        executable=Path(sys.executable).parent / "lipschitz-rnn",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("rep",), ["report", "reproduce"]),
        (("train", "mnist-"), [n for n in preset_names() if n.startswith("mnist-")]),
        (("sweep", "pend"), ["pendulum"]),
        (("reproduce", "cert"), [n for n in table_names() if n.startswith("cert")]),
        (("data", "verify", "cifar"), ["cifar10", "cifar10-jpeg"]),
        (("evaluate", "--we"), ["--weights"]),
    ],
)
def test_completion(typed, expected):
    assert complete(*typed) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_names_the_program(capsys, monkeypatch, shell):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert main(["--show-completion", shell]) == 0
    assert "_LIPSCHITZ_RNN_COMPLETE" in capsys.readouterr().out


def on_a_terminal(arguments, folder, **environment):
    """What a command writes to a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    given = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment
    given.pop("CI", None)
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=theirs, stderr=theirs, stdin=theirs, cwd=folder, env=given
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(ours)
    assert process.wait() == 0, output
    return output.decode()


TRAIN = ["train", "digits", "--set", "training.epochs=1", "--set", "training.threads=1"]
COLOUR = re.compile(r"\x1b\[(?:3[0-7]|9[0-7]|38;|4[0-7])[0-9;]*m")


def test_colours_on_a_terminal_unless_they_are_unwanted(tmp_path):
    coloured = on_a_terminal([*TRAIN, "--out", "a"], tmp_path)
    assert COLOUR.search(coloured)  # or the next line could not fail
    assert not COLOUR.search(on_a_terminal([*TRAIN, "--out", "b"], tmp_path, NO_COLOR="1"))


def as_object(capsys, arguments, code=0):
    assert main(arguments) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["info"], {"torch", "presets", "backends"}),
        (["data", "get", "adding"], {"digest", "train", "trivial"}),
        (["bench", "--from", "benchmarks/results/recurrence.json"], {"conditions"}),
        (
            ["bench-certificates", "--show", "benchmarks/results/certificates.json"],
            {"environment"},
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_json(capsys, monkeypatch, arguments, keys):
    monkeypatch.chdir(ROOT)
    assert keys <= set(as_object(capsys, [*arguments, "--json"]))


def test_json_of_a_table(capsys, tmp_path):
    found = as_object(capsys, ["reproduce", "robustness", "--show", "--json", "--results", "x"])
    assert found["metric"] == "accuracy"
    assert all(row["runs"] == {} for row in found["rows"])


def test_json_of_committed_results(capsys, monkeypatch, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "mnist-8px").symlink_to(ROOT / "results" / "mnist-8px")
    found = as_object(
        capsys, ["reproduce", "robustness", "--show", "--json", "--results", str(results)]
    )
    card = ROOT / "results/mnist-8px/residual-same-training-seed1/card.json"
    figure = json.loads(card.read_text())["test_accuracy_last"]
    (row,) = (row for row in found["rows"] if row["name"] == "residual-same-training")
    assert row["runs"]["1"]["last"] == pytest.approx(100 * figure)
