"""Every model that is committed is evaluated again, and must be what its card says."""

from pathlib import Path

import pytest

from lipschitz_rnn.cli import main
from lipschitz_rnn.experiments.card import find_cards, read_card
from lipschitz_rnn.experiments.share import LICENSED, SHARED_LIMIT
from lipschitz_rnn.experiments.verify import verify_card

RESULTS = Path(__file__).parents[2] / "results"
CARDS = find_cards(RESULTS)


def model_param(path, weights):
    """One model a recipe; the others are for `make test-all` and `lipschitz-rnn verify results`."""
    one = path.parent.name.endswith("-seed1") and weights == "last"
    name = f"{path.parent.relative_to(RESULTS)}-{weights}"
    return pytest.param(path, weights, marks=() if one else pytest.mark.slow, id=name)


@pytest.mark.parametrize(
    ("path", "weights"),
    [model_param(path, weights) for path in CARDS for weights in ("last", "best")],
)
def test_committed_models_are_what_their_cards_say(path, weights):
    found = verify_card(path, read_card(path), weights)
    if found.status == "skipped":
        assert (path.parent / ".gitignore").exists() or "not committed" not in found.detail
        pytest.skip(found.detail)
    assert found.status == "same", found.detail


def test_cards_name_their_folders_and_weights_may_be_committed():
    for path in CARDS:
        card = read_card(path)
        assert path.parent.relative_to(RESULTS).parts == (card["preset"], card["run"])
        private = card["data"]["name"] in LICENSED
        for file in path.parent.glob("*.safetensors"):
            may = file.stat().st_size < SHARED_LIMIT and not private
            assert may or (path.parent / ".gitignore").exists()


CERTIFICATES = sorted(RESULTS.rglob("certificate*.json"))


@pytest.mark.parametrize("path", CERTIFICATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_committed_certificates_are_proved_anew(path, capsys):
    """By the documented command, which finds out which weights a file is of."""
    assert main(["verify", str(path), "--model", str(path.parent)]) == 0, capsys.readouterr()
    of = "last" if "last" in path.name else "best"
    assert f"of the {of} weights" in capsys.readouterr().out


def test_there_is_a_certified_model():
    assert CERTIFICATES
