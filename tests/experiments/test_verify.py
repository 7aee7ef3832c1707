"""Models are evaluated anew, and compared with their cards."""

import shutil

from lipschitz_rnn.experiments.verify import compare, verify_cards
from lipschitz_rnn.training import EvaluationResult, RunFolder, load_checkpoint, save_checkpoint


def test_committed_models_are_evaluated_to_their_cards(finished):
    results, _ = finished
    found = list(verify_cards(results))
    assert [(f.weights, f.status) for f in found] == [("last", "same"), ("best", "same")]


def test_a_model_that_is_not_its_cards_is_found_out(finished, tmp_path):
    results, _ = finished
    shutil.copytree(results, tmp_path / "copy")
    folder = RunFolder(tmp_path / "copy" / "digits" / "small-seed1")
    tensors, meta = load_checkpoint(folder.last)
    tensors["model/head.bias"][3] += 5.0
    save_checkpoint(folder.last, tensors, meta)
    folder.best.unlink()
    last, best = verify_cards(tmp_path / "copy")
    assert (last.status, best.status) == ("different", "skipped")
    assert "expected loss" in last.detail or "expected accuracy" in last.detail


def test_how_close_is_the_same():
    expected = {"loss": 0.5, "accuracy": 0.98, "count": 100}
    result = EvaluationResult(0.5 * (1 + 5e-6), {"accuracy": 0.98}, 100)
    assert compare(expected, result, exact=True) == ""
    one_off = EvaluationResult(0.5, {"accuracy": 0.97}, 100)
    assert compare(expected, one_off, exact=False) == ""
    assert "expected accuracy 0.98" in compare(expected, one_off, exact=True)
    two_off = EvaluationResult(0.5, {"accuracy": 0.96}, 100)
    assert "expected accuracy 0.98" in compare(expected, two_off, exact=False)
    far = EvaluationResult(0.5 * (1 + 2e-5), {"accuracy": 0.98}, 100)
    assert "expected loss 0.5" in compare(expected, far, exact=False)
    text = {"loss": 0.5, "accuracy": 0.5, "count": 50_000}
    near = EvaluationResult(0.5, {"accuracy": 0.5 + 2 / 50_000}, 50_000)
    assert compare(text, near, metric="bits_per_character", exact=False) == ""
    assert "expected accuracy" in compare(text, near, exact=False)
    assert "100 answers" in compare(
        expected, EvaluationResult(0.5, {"accuracy": 0.98}, 99), exact=True
    )
