import importlib.metadata
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from rich.console import Console

from lipschitz_rnn.cli import main
from lipschitz_rnn.data import load_digits

SHORT = ["--set", "training.epochs=2", "--set", "training.threads=1", "--quiet"]
COMMAND = [sys.executable, "-m", "lipschitz_rnn.cli"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", "digits", *SHORT, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def fails(capsys, arguments, expected):
    """Exit code 2, one line on stderr, nothing on stdout."""
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"error: .*\n", err), err
    assert re.search(expected, err), err


def test_the_entry_point_is_main():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="lipschitz-rnn")
    assert entry.load() is main


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"lipschitz-rnn \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for verb in ("train", "evaluate", "predict", "resume", "data", "info", "demo", "bench"):
        assert re.search(rf"^  {verb}  ", out, re.MULTILINE)


@pytest.mark.parametrize(
    "verb", ["train", "evaluate", "predict", "resume", "info", "demo", "bench"]
)
def test_every_verb_explains_itself(capsys, verb):
    assert main([verb, "--help"]) == 0
    assert "Usage: lipschitz-rnn" in capsys.readouterr().out


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for word in (torch.__version__, "instruction set", "threads", "backend", "psmnist"):
        assert word in out


def test_train_prints_lines_and_a_summary_without_control_codes(capsys, tmp_path):
    assert main(["train", "digits", *SHORT[:-1], "--out", str(tmp_path / "r")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "\r" not in out
    assert re.search(r"^training digits: 2 epochs of 1,300 sequences, 9,418 parameters", out)
    for epoch in (1, 2):
        assert re.search(
            rf"^epoch {epoch}/2: loss .* sequences/s, \d+:\d\d left$", out, re.MULTILINE
        )
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert f"{summary['best']['test']['accuracy']:.2%} of 360" in out
    labels = "parameters", "sequences per second", "values of A", "values of W", r"\(A \+ A'\)/2"
    for label in labels:
        assert re.search(rf"{label} +\S+", out)
    assert out.rstrip().endswith(f"run folder: {tmp_path / 'r'}")


def test_quiet_default_folder_seed_and_eps(capsys):
    assert main(["train", "digits", *SHORT, "--seed", "5", "--eps", "0.4"]) == 0
    out = capsys.readouterr().out
    assert "epoch 1/2" not in out
    (folder,) = os.listdir("runs")
    assert re.fullmatch(r"digits-\d{8}-\d{6}", folder)
    config = json.loads(Path("runs", folder, "summary.json").read_text())["config"]
    assert config["seed"] == {"init": 5, "order": 5, "dropout": 5}
    assert config["model"]["step_size"] == 0.4


def test_evaluate_says_what_the_summary_says(capsys, run):
    summary = json.loads((run / "summary.json").read_text())
    for weights in ("best", "last"):
        assert main(["evaluate", str(run), "--weights", weights]) == 0
        expected = f"{weights} weights: test accuracy {summary[weights]['test']['accuracy']:.2%}"
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["npy", "csv", "csv of floats"])
def test_predict(capsys, run, tmp_path, kind):
    images = load_digits().test_images[:20]
    path = tmp_path / f"samples.{kind[:3]}"
    if kind == "npy":
        np.save(path, images)
    elif kind == "csv":
        np.savetxt(path, images.reshape(20, -1), fmt="%d", delimiter=",")
    else:
        np.savetxt(path, images.reshape(20, -1) / 16, delimiter=",")
    assert main(["predict", str(run), str(path)]) == 0
    classes = [int(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["predict", str(run), str(path), "--probabilities"]) == 0
    rows = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    shares = np.array(rows, dtype=float)
    assert shares.shape == (20, 10)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-4)
    assert shares.argmax(1).tolist() == classes
    out = tmp_path / "out.npy"
    assert main(["predict", str(run), str(path), "--out", str(out)]) == 0
    assert np.load(out).tolist() == classes


def test_predict_in_json(capsys, run, tmp_path):
    path, out = tmp_path / "samples.npy", tmp_path / "out.csv"
    np.save(path, load_digits().test_images[:3])
    assert main(["predict", str(run), str(path), "--out", str(out)]) == 0
    classes = [int(line) for line in out.read_text().splitlines()]
    told = {"run": str(run), "weights": "best", "shape": [3]}
    for options, rest in (([], {"answers": classes}), (["--out", str(out)], {"out": str(out)})):
        assert main(["predict", str(run), str(path), "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out) == told | rest
    assert main(["predict", str(run), str(path), "--json", "--probabilities"]) == 0
    assert np.argmax(json.loads(capsys.readouterr().out)["answers"], 1).tolist() == classes


def pickled(path):
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.npy", pickled, "expected an .npy file"),
        ("a.npy", b"", "expected an .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00", "expected an .npy file"),
        ("a.npy", b"PK\x03\x04rest", "expected an .npy file"),
        ("a.csv", b"1,2\n3\n", "expected lines"),
        ("a.csv", b"1,x\n", "expected lines"),
        ("a.csv", b"\xff\xfe", "expected lines"),
        ("a.csv", b"1,2\n", "expected digits samples"),
        ("a.csv", b"", "expected"),
        ("a.csv", b"nan" + b",0" * 63, "finite"),
        ("a.csv", b"17" + b",0" * 63, "from 0 to 16"),
        ("a.csv", b"9" * 40 + b",0" * 63, "expected lines"),
    ],
)
def test_predict_refuses_bad_samples(capsys, run, tmp_path, name, content, expected):
    path = tmp_path / name
    content(path) if callable(content) else path.write_bytes(content)
    fails(capsys, ["predict", run, path], expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "digts"], "Did you mean 'digits'"),
        (["train", "digits", "--set", "model.hidden=3"], "hidden_size"),
        (["train", "digits", "--set", "model.beta=2"], "<= 1"),
        (["train", "digits", "--seed", "-1"], "seed.init"),
        (["train", "digits", "--eps", "0"], "step_size"),
        (["train", "absent.toml"], "No such file"),
        (["evaluate", "absent"], "expected a run folder"),
        (["resume", "absent"], "expected a run folder"),
        (["predict", "absent", "absent.npy"], "No such file"),
        (["data", "verify", "mnits"], "Did you mean 'mnist'"),
        (["data", "get", "mnits"], "Did you mean 'mnist'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments(capsys, arguments, expected):
    fails(capsys, arguments, expected)
    assert os.listdir() == []


@pytest.mark.parametrize("arguments", [["train"], ["tran", "x"], ["train", "digits", "--nope"]])
def test_wrong_usage_is_code_2(capsys, arguments):
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def replace_by_foreign(path):
    path.write_bytes(safetensors.torch.save({"weight": torch.zeros(2)}))


@pytest.mark.parametrize(
    ("harm", "expected"),
    [(truncate, "truncated|damaged"), (flip, "damaged"), (replace_by_foreign, "foreign")],
)
@pytest.mark.parametrize("weights", ["best", "last"])
def test_harmed_checkpoints(capsys, run, harm, expected, weights):
    harm(run / f"{weights}.safetensors")
    fails(capsys, ["evaluate", run, "--weights", weights], expected)
    if weights == "last":
        (run / "summary.json").unlink()
        before = {path: path.read_bytes() for path in run.iterdir()}
        fails(capsys, ["resume", run], expected)
        assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_swapped_checkpoints(capsys, run, tmp_path):
    shutil.copy(run / "last.safetensors", run / "best.safetensors")
    fails(capsys, ["evaluate", run], "expected a 'best' checkpoint, got 'last'")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("lr = 0.01", "lr = 0.02"))
    fails(capsys, ["evaluate", run, "--weights", "last"], "config.toml, got another's")


@pytest.mark.parametrize("content", ["name = ", "x = 1", "\0", ""])
def test_harmed_configuration(capsys, run, content):
    (run / "config.toml").write_text(content)
    for verb in ("evaluate", "resume"):
        fails(capsys, [verb, run], "config.toml: expected")


def test_a_full_folder_is_refused_and_kept(capsys, tmp_path):
    (tmp_path / "precious").touch()
    fails(capsys, ["train", "digits", "--out", tmp_path], "new or empty folder")
    assert os.listdir(tmp_path) == ["precious"]
    fails(capsys, ["train", "digits", "--out", tmp_path / "precious"], "got a file")


def test_divergence_is_one_line_and_code_2(capsys, tmp_path):
    settings = ["--set", "training.lr=1e30", "--set", "model.nonlinearity=relu", "--quiet"]
    arguments = ["train", "digits", *settings, "--out", tmp_path / "r"]
    fails(capsys, arguments, "epoch 1, update [23]: expected a finite .*last finite gradient norm")
    assert (tmp_path / "r" / "last.safetensors").exists()


def test_resume_of_a_finished_run_says_so_and_changes_nothing(capsys, run):
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert main(["resume", str(run)]) == 0
    assert "this run is finished: nothing to do, nothing changed" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize("content", ["", "[]", '{"last": {}, "best": {}}', "swapped"])
def test_harmed_summary(capsys, run, content):
    summary = (run / "summary.json").read_text()
    if content == "swapped":
        content = summary.replace('"lr": 0.01', '"lr": 0.02')
    (run / "summary.json").write_text(content)
    fails(capsys, ["resume", run], "summary.json: expected")


def test_data_verify_of_bundled_data(capsys):
    assert main(["data", "verify", "digits"]) == 0
    assert "nothing to download" in capsys.readouterr().out


def test_data_verify_of_what_is_not_there(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSCHITZ_RNN_CACHE", str(tmp_path))
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)
    assert main(["data", "verify", "mnist"]) == 2
    assert re.fullmatch(r"error: mnist: .*data get mnist`\.\n", capsys.readouterr().err)


def test_demo_falls_back_to_digits_and_says_so(capsys, monkeypatch):
    from lipschitz_rnn import data

    def unavailable(*_, **__):
        raise data.DataUnavailableError("mnist: no source answers.")

    monkeypatch.setattr(data, "get", unavailable)
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == "mnist: no source answers.\n"
    assert "training on scikit-learn's 8x8 digits instead" in out
    (folder,) = os.listdir("runs")
    summary = json.loads(Path("runs", folder, "summary.json").read_text())
    assert summary["best"]["test"]["accuracy"] > 0.93
    assert f"run folder: runs/{folder}" in out
    assert f"lipschitz-rnn evaluate runs/{folder}" in out


def interrupt(folder):
    """Exit code and errors of a run that gets Ctrl-C in its second and last epoch."""
    settings = ["train", "digits", *SHORT[:-1], "--set", "training.checkpoint_seconds=0"]
    command = [*COMMAND, *settings, "--out", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (folder / "best.safetensors").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    return process.returncode, err.decode()


def test_ctrl_c_says_how_to_go_on_and_going_on_equals_never_stopping(tmp_path, trained):
    for attempt in range(5):
        folder = tmp_path / f"cut{attempt}"
        code, err = interrupt(folder)
        if code:
            break  # else it was finished before the signal came, as on a busy machine
    assert code == 130
    assert err == f"interrupted; go on with: lipschitz-rnn resume {folder}\n"
    assert not (folder / "summary.json").exists()
    assert main(["resume", str(folder), "--quiet"]) == 0
    summaries = [json.loads((run / "summary.json").read_text()) for run in (folder, trained)]
    for name in ("last", "best", "before", "after"):
        assert summaries[0][name] == summaries[1][name]


def test_a_reader_that_leaves_gets_no_complaint(tmp_path):
    script = f"{sys.executable} -m lipschitz_rnn.cli info | head -c 1 >/dev/null"
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_terminal_gets_a_bar_and_no_color_is_obeyed(tmp_path, monkeypatch):
    from lipschitz_rnn.cli import display

    def on_terminal(name):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=True, highlight=False, width=120)
        monkeypatch.setattr(display, "make_console", lambda: console)
        assert main(["train", "digits", *SHORT[:-1], "--out", str(tmp_path / name)]) == 0
        return screen.getvalue()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = on_terminal("coloured")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = on_terminal("plain")
    colour = re.compile(r"\x1b\[(\d+;)*(3|4|9)[0-8](;\d+)*m")
    assert colour.search(coloured)
    assert not colour.search(plain)
    for screen in (coloured, plain):
        assert "\x1b[2K" in screen  # the bar is drawn over itself
        assert re.search(r"epoch 2/2: loss .* sequences/s.* left", screen)


@pytest.mark.parametrize("header", ["'''", "((((", "{1:2,[]:3}", "\n  1\n 2\n"])
def test_an_npy_header_of_nonsense(capsys, run, tmp_path, header):
    text = header.encode().ljust(118)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    fails(capsys, ["predict", run, tmp_path / "a.npy"], r"expected an \.npy file of numbers")


@pytest.mark.parametrize(
    "change",
    [{"time": {}}, {"environment": {}}, {"parameters": "x"}, {"last": {"epoch": 1}}, {"best": 3}],
    ids=str,
)
def test_a_summary_of_nonsense(capsys, run, change):
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | change))
    fails(capsys, ["resume", run], "expected the summary of a run")


def test_a_full_disk_leaves_nothing_half_written(run, tmp_path):
    """A limit on the size of files stands in for a full disk."""
    np.save(tmp_path / "d.npy", load_digits().test_images)
    script = f"ulimit -f 1; {sys.executable} -m lipschitz_rnn.cli predict {run} {tmp_path}/d.npy "
    script += f"--probabilities --out {tmp_path}/out.csv"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"error: .*File too large; nothing was.*out\.csv.*\n", done.stderr)
    assert not list(tmp_path.glob("out.csv*"))


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_stream_that_was_closed_before_the_start(capsys, monkeypatch, closed):
    """As a shell does by ``>&-``: Python then has None for it."""
    monkeypatch.setattr(sys, closed, None)
    assert main(["info"]) == 0
    assert main(["evaluate", "absent"]) == 2
    out, err = capsys.readouterr()
    assert ("kernel" in out) == (closed != "stdout")
    assert ("error:" in err) == (closed != "stderr")


def test_a_terminal_that_lacks_a_letter_is_no_reason_to_fail(tmp_path):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    command = [*COMMAND, "train", "digits", *SHORT, "--out", tmp_path / "n☃"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"n\\u2603" in done.stdout
