import pytest
import torch
from run_comparison import Stop, assert_same_run

from lipschitz_rnn.training import RunFolder, fit, load_checkpoint, resume
from lipschitz_rnn.training.evaluate import judge
from lipschitz_rnn.training.weights import load_model_tensors, load_weights

DECAY = 0.8


@pytest.fixture
def averaged(config, with_training):
    return with_training(
        config, average_decay=DECAY, schedule="one-cycle", warmup=0.4, decay_epochs=()
    )


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def trajectory(config, split, model, folder):
    """The weights after every update."""
    seen = []

    def note(event):
        if type(event).__name__ == "UpdateDone":
            seen.append(weights_of(model))

    return fit(config, split, model, folder, hooks=[note]), seen


def test_the_average_is_the_closed_form(tmp_path, averaged, split, make_model):
    """w̄_n = d^(n-1) w_1 + (1 − d) Σ_{k=2..n} d^(n−k) w_k, in float64 from the weights seen."""
    model = make_model()
    _, seen = trajectory(averaged, split, model, tmp_path)
    count = len(seen)
    assert count == 21
    shares = [DECAY ** (count - 1)] + [(1 - DECAY) * DECAY ** (count - k) for k in range(2, 22)]
    assert sum(shares) == pytest.approx(1)
    for name, value in model.state_dict().items():
        terms = [share * w[name].double() for share, w in zip(shares, seen, strict=True)]
        # One rounding of a sum an update, each damped by d: at most u max|w| / (1 − d).
        bound = 2**-24 / (1 - DECAY) * 2 * max(w[name].abs().max().item() for w in seen)
        assert (value.double() - sum(terms)).abs().max() <= bound
        if name.startswith("head"):
            assert not torch.equal(value, seen[-1][name])


def test_averaging_leaves_training_as_it_was(tmp_path, averaged, split, make_model, with_training):
    plain = with_training(averaged, average_decay=0.0)
    _, with_average = trajectory(averaged, split, make_model(), tmp_path / "a")
    _, without = trajectory(plain, split, make_model(), tmp_path / "b")
    for ours, theirs in zip(with_average, without, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_validated_and_kept_is_the_average(tmp_path, averaged, split, make_model):
    model = make_model()
    record = fit(averaged, split, model, tmp_path)
    folder = RunFolder(tmp_path)
    for kind, result in (("last", record.last), ("best", record.best)):
        loaded = make_model(seed=5)
        path = getattr(folder, kind)
        load_model_tensors(path, loaded, load_weights(path, kind, averaged)[0])
        for part in ("validation", "test"):
            judged = judge(averaged.training, loaded, getattr(split, part), split.kind)
            assert judged.for_record() == getattr(result, part)
        if kind == "last":
            assert all(
                torch.equal(a, b)
                for a, b in zip(
                    loaded.state_dict().values(), model.state_dict().values(), strict=True
                )
            )


@pytest.mark.parametrize("stop_after", [1, 7, 10, 20, 21])
def test_interrupted_equals_uninterrupted(tmp_path, averaged, split, make_model, stop_after):
    fit(averaged, split, make_model(), tmp_path / "whole")
    seen = 0

    def stop(event):
        nonlocal seen
        seen += type(event).__name__ == "UpdateDone"
        if seen == stop_after:
            raise Stop

    with pytest.raises(Stop):
        fit(averaged, split, make_model(), tmp_path / "cut", hooks=[stop])
    resume(tmp_path / "cut", split, make_model())
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_checkpoint_holds_both(tmp_path, averaged, split, make_model):
    def stop(event):
        if getattr(event, "epoch", 0) == 2:
            raise Stop

    with pytest.raises(Stop):
        fit(averaged, split, make_model(), tmp_path, hooks=[stop])
    tensors, _ = load_checkpoint(RunFolder(tmp_path).last)
    names = {name.removeprefix("model/") for name in tensors if name.startswith("model/")}
    assert names == {name.removeprefix("raw/") for name in tensors if name.startswith("raw/")}
    assert any(not torch.equal(tensors[f"model/{n}"], tensors[f"raw/{n}"]) for n in names)
    assert tensors["average/count"].item() >= 7
