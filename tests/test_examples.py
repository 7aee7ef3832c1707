"""The examples work: in a few seconds each finds what its longer form is about."""

import ast
import importlib.util
from pathlib import Path

import pytest
import torch
from printed import follows

from lipschitz_rnn.data.shakespeare import read_shakespeare

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples"
NAMES = ["certified_digits", "ecg_stream", "pendulum", "shakespeare"]


@pytest.fixture
def example(monkeypatch, tmp_path):
    """Runs an example by its name, as if typed in an empty folder without data."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIPSCHITZ_RNN_DATA", raising=False)

    def call(name, *arguments):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main(list(arguments))

    yield call
    torch.set_num_threads(threads)


def test_the_pendulum_is_learned_and_times_are_of_use(example, tmp_path):
    error = example("pendulum", "--quick", "--plot", "angles.svg")
    assert error["told the times"] < 0.7 * error["straight on"] < error["as it was"]
    assert error["told the times"] < 0.5 * error["not told the times"]
    assert (tmp_path / "angles.svg").stat().st_size < 60_000


def test_beats_that_are_not_as_usual_are_found(example, capsys):
    found = example("ecg_stream", "--quick")
    assert "SYNTHETIC" in found["source"]
    assert found["source"] in capsys.readouterr().out
    assert found["recall"] >= 0.9
    assert found["precision"] >= 0.6  # a fifth of the beats are to be found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "begins"),
    [("pendulum", "error of"), ("ecg_stream", "SYNTHETIC"), ("certified_digits", "certified:")],
)
def test_the_page_shows_what_is_printed(example, capsys, name, begins):
    """Written texts are left out: a letter that is drawn otherwise changes all behind it."""
    page = (ROOT / "docs/examples.md").read_text()
    shown = page.partition(f"```text\n{begins}")[2].partition("```")[0]
    example(name)
    assert follows([*f"{begins}{shown}".splitlines()], capsys.readouterr().out.splitlines())


def write_beats(path, classes):
    """Files like those of ECG5000: equal beats but for noise, those of class 2 upside down."""
    generator = torch.Generator().manual_seed(0)
    beat = torch.linspace(-3, 3, 140).mul(3).sin()
    lines = []
    for label in classes:
        values = beat * (-1 if label == 2 else 1) + 0.1 * torch.randn(140, generator=generator)
        lines.append("\t".join([str(label), *(f"{value:.4f}" for value in values.tolist())]))
    path.write_text("\n".join(lines) + "\n")


def test_a_supplied_recording_is_read(example, tmp_path):
    folder = tmp_path / "data/ucr/ECG5000"
    folder.mkdir(parents=True)
    write_beats(folder / "ECG5000_TRAIN.tsv", [1] * 80 + [2] * 5)
    write_beats(folder / "ECG5000_TEST.tsv", [1] * 30 + [2] * 10)
    found = example("ecg_stream", "--quick", "--data-dir", str(tmp_path / "data"))
    assert "SYNTHETIC" not in found["source"]
    assert found["beats"] == 40
    assert found["recall"] == 1


def test_a_text_is_written(example):
    found = example("shakespeare", "--quick", "--characters", "60", "--start", "First")
    assert found["bits"] < found["unigram"] - 0.8
    assert len(found["text"]) == 65
    assert set(found["text"]) <= set(read_shakespeare())
    assert found["text"].startswith("First")


def test_a_trained_run_writes_too(example):
    run = ROOT / "results/shakespeare/short-shakespeare-seed1"
    found = example("shakespeare", "--run", str(run), "--characters", "40")
    assert found["bits"] == pytest.approx(2.660, abs=0.002)  # its card


def test_digits_are_certified_and_the_certificate_verified(example, tmp_path):
    found = example("certified_digits", "--quick", "--certificate", "c.json", "--plot", "curve.svg")
    assert found["accuracy"] > 0.75
    assert 0.5 < found["proved at 0.2"] <= found["under PGD at 0.2"] <= found["accuracy"]
    assert found["rate"] >= 0.05
    assert found["verified"]
    assert not found["verified of another model"]
    assert (tmp_path / "c.json").exists()
    assert (tmp_path / "curve.svg").exists()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short_and_says_what_is_to_be_seen(name):
    text = (FOLDER / f"{name}.py").read_text()
    assert text.count("\n") <= 120
    said = ast.get_docstring(ast.parse(text))
    assert "What is to be seen" in said
    assert "--quick" in said


def test_every_example_is_on_both_pages():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES
    for page in (FOLDER / "README.md", ROOT / "docs/examples.md"):
        assert all(f"{name}.py" in page.read_text() for name in NAMES)
