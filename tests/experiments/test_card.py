"""What a finished run leaves behind: its card, weights without the optimizer, nothing private."""

import json
import shutil

from lipschitz_rnn.experiments.card import read_card
from lipschitz_rnn.experiments.share import keep_private
from lipschitz_rnn.training import RunFolder, load_checkpoint


def test_a_card_says_everything(finished):
    results, epochs = finished
    card = read_card(results / "digits" / "small-seed1" / "card.json")
    folder = RunFolder(results / "digits" / "small-seed1")
    summary = folder.read_summary()
    assert card["preset"] == "digits"
    assert card["run"] == "small-seed1"
    assert card["data"]["name"] == "digits"
    assert card["seed"] == {"init": 1, "order": 1, "dropout": 1}
    assert card["parameters"] == 2 * 64 + 8 * 9 + 10 * 9
    assert card["test_accuracy_last"] == summary.last.test["accuracy"]
    assert card["test_accuracy_best_validation"] == summary.best.test["accuracy"]
    curve = card["curve"]
    assert [point["epoch"] for point in curve] == [1, 2]
    assert [point["validation"] for point in curve] == [e.validation["accuracy"] for e in epochs]
    assert card["test_accuracy_best_test"] == max(point["test"] for point in curve)
    assert curve[-1]["test"] == card["test_accuracy_last"]
    assert curve[summary.best.epoch - 1]["test"] == card["test_accuracy_best_validation"]
    assert card["time"]["wall_seconds"] > 0
    assert card["machine"]["processor"]
    assert card["versions"]["torch"]
    assert str(results) not in json.dumps(card)  # no path of this machine


def test_what_is_kept_is_small_and_has_no_optimizer(finished):
    results, _ = finished
    folder = RunFolder(results / "digits" / "small-seed1")
    for path in (folder.last, folder.best):
        tensors, _ = load_checkpoint(path)
        assert all(name.startswith("model/") for name in tensors)
    assert not (folder.path / ".gitignore").exists()


def test_licensed_and_large_models_stay_out_of_git(finished, tmp_path):
    results, _ = finished
    shutil.copytree(results / "digits" / "small-seed1", tmp_path / "a")
    keep_private(RunFolder(tmp_path / "a"), "ptb-char")
    assert (tmp_path / "a" / ".gitignore").read_text() == "*.safetensors*\n"
    shutil.copytree(results / "digits" / "small-seed1", tmp_path / "b")
    with (tmp_path / "b" / "best.safetensors").open("ab") as file:
        file.truncate(1_000_001)
    keep_private(RunFolder(tmp_path / "b"), "mnist")
    assert (tmp_path / "b" / ".gitignore").exists()
    (tmp_path / "b" / "best.safetensors").unlink()  # small again: shared again
    keep_private(RunFolder(tmp_path / "b"), "mnist")
    assert not (tmp_path / "b" / ".gitignore").exists()
