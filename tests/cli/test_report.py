"""``report`` on a small trained run, and the report that ``demo`` ends with."""

import json
import os

import pytest
from matplotlib.figure import Figure

from lipschitz_rnn.cli import main


@pytest.fixture(autouse=True)
def _blank_figures(monkeypatch):
    """Drawing them takes longer than all else, and tests/report looks at them."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg></svg>"))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    few = ("model.hidden_size=6", "training.epochs=1", "training.threads=1", "data.train_size=64")
    options = [part for setting in few for part in ("--set", setting)]
    assert main(["train", "digits", *options, "--quiet", "--out", str(folder)]) == 0
    return folder


def test_report_says_where_it_is(capsys, digits, tmp_path):
    output = tmp_path / "page.html"
    assert main(["report", str(digits), "--output", str(output)]) == 0
    out, err = capsys.readouterr()
    assert out == f"report: {output}\n"
    assert err == "run: answers its samples once more\n"
    assert output.read_text().lstrip().startswith("<!doctype html>")


def test_report_as_json(capsys, digits):
    assert main(["report", str(digits), "--weights", "last", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    path = digits / "report.html"
    assert (found["report"], found["bytes"]) == (str(path), path.stat().st_size)
    (run,) = found["runs"]
    assert (run["run"], run["weights"], run["left_out"]) == (str(digits), "last", {})
    assert "How to reproduce" in run["sections"]
    summary = json.loads((digits / "summary.json").read_text())
    value = f"{summary['last']['test']['accuracy']:.2%}"
    assert run["figure"] == {"of": "test accuracy", "value": value}


def test_report_of_no_run(capsys, tmp_path):
    assert main(["report", str(tmp_path)]) == 2
    assert "expected a run folder" in capsys.readouterr().err


@pytest.fixture
def short_demo(monkeypatch, tmp_path, digits):
    """The demo without its training."""
    import shutil

    from lipschitz_rnn import data
    from lipschitz_rnn.cli import launch

    def unavailable(*_, **__):
        raise data.DataUnavailableError("mnist: no source answers.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "get", unavailable)
    monkeypatch.setattr(
        launch, "launch", lambda run_dir, work, json: shutil.copytree(digits, run_dir)
    )


def test_demo_ends_with_a_report(capsys, short_demo):
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == "mnist: no source answers.\n"
    (folder,) = os.listdir("runs")
    assert f"report, for a browser: runs/{folder}/report.html\n" in out
    assert os.path.getsize(f"runs/{folder}/report.html") > 20_000


def test_demo_succeeds_without_a_report(capsys, short_demo, monkeypatch):
    from lipschitz_rnn import report

    def fail(*_, **__):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(report, "write_report", fail)
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert "no report: a fault" in err
    assert "what to try next" in out
