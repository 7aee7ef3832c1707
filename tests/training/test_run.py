import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import SequenceDataset
from lipschitz_rnn.training import (
    EpochDone,
    RunDone,
    RunFolder,
    RunRecord,
    RunStarted,
    SeedConfig,
    UpdateDone,
    evaluate,
    fit,
    load_checkpoint,
)


def weights(folder):
    tensors, _ = load_checkpoint(folder / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model/")}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_learns_and_keeps_what_it_says(tmp_path, config, split, make_model, with_training):
    events = []
    record = fit(
        with_training(config, epochs=8),
        split,
        make_model(),
        tmp_path / "run",
        hooks=[events.append],
        measure=lambda model: {"norm": float(model.head.weight.norm())},
    )
    lines = [json.loads(line) for line in (tmp_path / "run/record.jsonl").read_text().splitlines()]
    epochs = lines[:8]
    assert [line["epoch"] for line in epochs] == list(range(1, 9))
    assert [line["lr"] for line in epochs] == pytest.approx([0.02] * 2 + [0.002] * 6)
    assert epochs[-1]["train"]["loss"] < epochs[0]["train"]["loss"]
    assert [line["weights"] for line in lines[8:]] == ["last", "best"]

    accuracies = [line["validation"]["accuracy"] for line in epochs]
    assert record.best.epoch == accuracies.index(max(accuracies)) + 1  # the earliest of equals
    assert record.last.epoch == 8
    assert record.best.validation["accuracy"] == max(accuracies)
    assert record.last.validation["accuracy"] == accuracies[-1]
    assert record.before != record.after
    assert RunRecord.read(tmp_path / "run/summary.json") == record
    assert record.environment["torch"] == torch.__version__
    assert record.parameters == sum(p.numel() for p in make_model().parameters())
    assert record.time["wall_seconds"] >= record.time["train_seconds"] > 0

    kinds = [type(event) for event in events]
    assert (kinds[0], kinds[-1]) == (RunStarted, RunDone)
    assert (kinds.count(UpdateDone), kinds.count(EpochDone)) == (8 * 7, 8)


def test_results_are_those_of_the_weights_on_disk(tmp_path, config, split, make_model):
    record = fit(config, split, make_model(), tmp_path)
    for kind, result in (("last", record.last), ("best", record.best)):
        tensors, _ = load_checkpoint(tmp_path / f"{kind}.safetensors")
        model = make_model(seed=99)
        model.load_state_dict(
            {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
        )
        assert evaluate(model, split.validation).for_record() == result.validation
        assert evaluate(model, split.test).for_record() == result.test


def test_the_model_ends_with_its_last_weights(tmp_path, config, split, make_model):
    model = make_model()
    fit(config, split, model, tmp_path)
    assert same(weights(tmp_path), {f"model/{k}": v for k, v in model.state_dict().items()})


def test_an_update_is_what_torch_does(tmp_path, config, split, make_model, with_training):
    """One epoch by hand, in the order that the seed gives, without dropout."""
    from lipschitz_rnn.training.seeds import epoch_order

    config = with_training(config, epochs=1, clip_norm=0.3, optimizer="sgd", momentum=0.9)
    fit(config, split, make_model(dropout=0.0), tmp_path)
    model = make_model(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for index in epoch_order(2, 1, 50).split(8):
        optimizer.zero_grad()
        logits = model(split.train.values[index])
        nn.functional.cross_entropy(logits, split.train.target[index]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()
    got = weights(tmp_path)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(got[f"model/{name}"], value)


def test_every_sample_is_seen_once_an_epoch(tmp_path, config, split, make_model):
    seen = []

    class Spy(SequenceDataset):
        def batch(self, index, epoch=0):
            seen.extend(index.tolist())
            return super().batch(index, epoch)

    spied = dataclasses.replace(split, train=Spy(split.train.values, split.train.target))
    fit(config, spied, make_model(), tmp_path)
    epochs = [seen[i : i + 50] for i in (0, 50, 100)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize(
    ("seed", "changed"),
    [
        (SeedConfig(1, 2, 3), set()),
        (SeedConfig(1, 9, 3), {"order"}),
        (SeedConfig(1, 2, 9), {"dropout"}),
        (SeedConfig(9, 2, 3), set()),  # the model given is built by the caller
    ],
)
def test_each_seed_changes_its_own_stream_alone(
    tmp_path, config, split, make_model, seed, changed, with_training
):
    def observe(seed, folder):
        masks, order = [], []
        model = make_model()
        model.encoder = nn.Dropout(0.5)
        model.encoder.register_forward_hook(
            lambda module, args, out: (
                masks.append((out == 0).flatten()) if module.training else None
            )
        )

        class Spy(SequenceDataset):
            def batch(self, index, epoch=0):
                order.append(index)
                return super().batch(index, epoch)

        spied = dataclasses.replace(split, train=Spy(split.train.values, split.train.target))
        short = with_training(dataclasses.replace(config, seed=seed), epochs=2)
        fit(short, spied, model, folder)
        return {"dropout": torch.cat(masks), "order": torch.cat(order)}

    torch.manual_seed(5)
    base = observe(SeedConfig(1, 2, 3), tmp_path / "base")
    torch.manual_seed(6)  # what the caller did before must not matter
    other = observe(seed, tmp_path / "other")
    assert {name for name in base if not torch.equal(base[name], other[name])} == changed


def test_the_callers_random_state_is_untouched(tmp_path, config, split, make_model):
    model = make_model()
    before = torch.get_rng_state()
    fit(config, split, model, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("where", "name"), [("loss", "loss"), ("gradient", "gradient norm")])
def test_what_is_not_finite_stops_before_the_update(
    tmp_path, config, split, make_model, where, name
):
    class Fuse(nn.Module):
        """Lets ten batches pass; then its output, or the gradient through it, is NaN."""

        count = 0

        def forward(self, input):
            self.count += self.training
            if self.count <= 10:
                return input
            factor = torch.full_like(input, torch.nan)
            return input * factor if where == "loss" else Zero.apply(input)

    class Zero(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.nan

    model = make_model()
    model.head = nn.Sequential(Fuse(), model.head)
    norms = []

    def note(event):
        if isinstance(event, UpdateDone):
            norms.append(event.gradient_norm)

    with pytest.raises(FloatingPointError) as caught:
        fit(config, split, model, tmp_path, hooks=[note])
    message = str(caught.value)
    assert f"epoch 2, update 4: expected a finite {name}, got nan" in message
    assert f"last finite gradient norm: {norms[-1]:g}." in message
    assert "\n" not in message
    # The checkpoint is that of the update before, and so are the weights in memory.
    _, meta = load_checkpoint(tmp_path / "last.safetensors")
    assert (meta["content"]["epoch"], meta["content"]["update"]) == (1, 3)
    assert same(weights(tmp_path), {f"model/{k}": v for k, v in model.state_dict().items()})
    assert all(value.isfinite().all() for value in weights(tmp_path).values())


def test_divergence_from_the_first_update(tmp_path, config, split, make_model):
    model = make_model()
    nn.init.constant_(model.head.weight, torch.inf)
    with pytest.raises(FloatingPointError, match=r"update 1: .*norm: none yet"):
        fit(config, split, model, tmp_path)


def test_a_full_folder_is_refused_and_kept(tmp_path, config, split, make_model):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="new or empty folder"):
        fit(config, split, make_model(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(InputError, match="got a file"):
        RunFolder(tmp_path / "thesis.tex").require_new()


def test_two_processes_in_one_folder_are_refused(tmp_path, config, split, make_model):
    hold = "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDONLY);"
    hold += "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another process trains in"):
            fit(config, split, make_model(), tmp_path)
        assert list(tmp_path.iterdir()) == []
        other.kill()
        other.wait()
    fit(config, split, make_model(), tmp_path)  # a kill gives the lock back


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"last": 3, "best": 4}', b"\xff"])
def test_a_damaged_summary_is_refused(tmp_path, content):
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(InputError, match="truncated or foreign"):
        RunRecord.read(tmp_path / "summary.json")


def test_evaluation_counts_by_hand():
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).reshape(5, 1, 1)
    dataset = SequenceDataset(values, torch.tensor([0, 1, 1, 1, 0]))

    class Threshold(nn.Module):
        def forward(self, input):
            assert not self.training
            return torch.stack((torch.full((len(input),), 1.5), input[:, 0, 0]), dim=1)

    model = Threshold()
    result = evaluate(model, dataset, batch_size=2)
    logits = torch.stack((torch.full((5,), 1.5), values.flatten()), dim=1)
    loss = nn.functional.cross_entropy(logits, dataset.target)
    assert (result.figures["accuracy"], result.count) == (3 / 5, 5)
    assert result.loss == pytest.approx(float(loss), rel=1e-6)
    assert model.training


@pytest.mark.parametrize("optimizer", ["adadelta", "adagrad", "adamax", "adamw", "nadam", "radam"])
def test_every_optimizer_trains(tmp_path, config, split, make_model, optimizer, with_training):
    record = fit(with_training(config, optimizer=optimizer), split, make_model(), tmp_path)
    assert record.last.epoch == 3
