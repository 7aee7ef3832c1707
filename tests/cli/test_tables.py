"""The verbs that run tables: reproduce, sweep, verify."""

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.cli import main
from lipschitz_rnn.cli.launch_queue import read_axis, read_budget, read_numbers
from lipschitz_rnn.experiments.queue import Queue
from lipschitz_rnn.experiments.wording import figure_name, figure_text, samples_name

SMALL = [
    "--set",
    "training.epochs=1",
    "--set",
    "model.hidden_size=4",
    "--set",
    "training.threads=1",
]


@pytest.fixture
def swept(tmp_path):
    command = ["sweep", "digits", "--over", "model.beta=0.5,1", "--seeds", "1,2", *SMALL, "--quiet"]
    assert main([*command, "--results", str(tmp_path)]) == 0
    return tmp_path


def test_a_sweep_leaves_a_card_for_each_point_and_seed_and_a_table(capsys, swept):
    out = capsys.readouterr().out
    names = {path.parent.name for path in swept.glob("digits/*/card.json")}
    assert len(names) == 4
    assert {name.rpartition("-")[2] for name in names} == {"seed1", "seed2"}
    assert sum(name.startswith("beta-0.5-") for name in names) == 2
    assert out.count("(n=2)") == 2 * 3
    assert "digits: test accuracy" in out


def test_verify_says_what_it_found(swept, capsys):
    capsys.readouterr()
    assert main(["verify", str(swept)]) == 0
    assert capsys.readouterr().out.count("same: ") == 2 * 4
    folder = next(swept.glob("digits/beta-1-*-seed2"))
    (folder / "last.safetensors").write_bytes(b"x")
    assert main(["verify", str(swept)]) == 2
    captured = capsys.readouterr()
    assert "different: " in captured.out
    assert "but 1 differ" in captured.err


@pytest.mark.parametrize("folder", ["digits", "digits/beta-1-*-seed2"])
def test_verify_takes_a_preset_and_a_run_too(swept, capsys, folder):
    (folder,) = swept.glob(folder)
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 0
    found = capsys.readouterr().out.splitlines()
    cards = list(folder.rglob("card.json"))
    assert [line.partition(",")[0] for line in found] == [
        f"same: {card.parent}" for card in sorted(cards) for _ in ("last", "best")
    ]


def test_verify_follows_links(swept, tmp_path_factory, capsys):
    capsys.readouterr()
    linked = tmp_path_factory.mktemp("linked")
    (linked / "digits").symlink_to(swept / "digits", target_is_directory=True)
    assert main(["verify", str(linked)]) == 0
    assert capsys.readouterr().out.count("same: ") == 2 * 4


def test_verify_refuses_a_folder_without_runs(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert f"{tmp_path}: expected finished runs with their card.json" in captured.err
    assert not captured.out


def test_reproduce_shows_what_is_not_run(tmp_path, capsys):
    assert main(["reproduce", "pixel-mnist", "--show", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "not run" in out
    assert "99.4" in out
    page = (tmp_path / "pixel-mnist.md").read_text()
    assert "| Lipschitz, Euler, N=128, ordered | not run | not run | not run | 99.4 | text" in page


def test_reproduce_without_a_table_goes_on_with_the_queue(swept, capsys):
    capsys.readouterr()
    folder = next(swept.glob("digits/beta-1-*-seed2"))
    (folder / "card.json").unlink()
    assert main(["reproduce", "--results", str(swept), "--quiet"]) == 0
    assert (folder / "card.json").exists()
    assert "done: " in capsys.readouterr().out
    assert not Queue(swept).pending()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["reproduce", "pixel-mist"], "Did you mean 'pixel-mnist'"),
        (["reproduce", "units", "--rows", "lstn"], "Did you mean 'lstm'"),
        (["reproduce", "units", "--seeds", "a"], "--seeds: expected whole numbers"),
        (["reproduce", "units", "--budget", "2"], "--budget: expected a time such as 30m"),
        (["sweep", "digits", "--over", "model.beta"], "--over: expected section.key=value"),
        (["sweep", "digits", "--over", "seed.init=1,2"], "no seed among its settings"),
        (["reproduce", "--rows", "a"], "expected a TABLE to choose from"),
        (["sweep", "digits", "--over", "model.bet=1"], "Did you mean 'beta'"),
        (["sweep", "digits", "--over", "model.beta=2"], "<= 1"),
    ],
)
def test_bad_input_is_told_before_anything_is_written(tmp_path, capsys, arguments, text):
    assert main([*arguments, "--results", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_options_are_read():
    assert [read_budget(text) for text in ("90s", "1.5m", "2h", "1d")] == [90, 90, 7200, 86400]
    assert read_numbers("--seeds", "3, 1,3") == [3, 1]
    assert read_axis("model.beta=0.5,1") == ("model.beta", [0.5, 1])
    assert read_axis("model.gated=true,false") == ("model.gated", [True, False])
    with pytest.raises(InputError, match="--seeds"):
        read_numbers("--seeds", "-1")


def test_figures_are_written_for_people():
    assert figure_text("accuracy", 0.99405) == "99.41%"
    assert figure_text("mse", 1.23456) == "1.235"
    assert figure_text("perplexity", 12345.6) == "12345.6"
    assert figure_text("mse", None) == figure_text("mse", float("nan")) == "none"
    assert figure_name("bits_per_character") == "bits per character"
    assert samples_name("perplexity") == "symbols"
    assert samples_name("mse") == "sequences"


@pytest.mark.parametrize("name", ["ptb-char", "timit", "speech", "cifar10"])
def test_missing_data_are_told_in_one_line_before_training(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setenv("LIPSCHITZ_RNN_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    preset = "scifar" if name == "cifar10" else name
    assert main(["train", preset, "--out", str(tmp_path / "run"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ")
    assert name.partition("-")[0] in error
    assert not (tmp_path / "run").exists()
    assert main(["data", "verify", name]) == 2


def test_data_that_come_with_the_package_are_described(capsys):
    assert main(["data", "verify", "shakespeare"]) == 0
    assert "digest" in capsys.readouterr().out
