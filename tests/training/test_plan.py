import pytest
import torch
from torch import nn

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data import FrameDataset, Split, SymbolStream, lengths_of
from lipschitz_rnn.nn import LipschitzRNN, SequenceRegressor
from lipschitz_rnn.training import DataConfig, ModelConfig, RunConfig, TrainingConfig, fit
from lipschitz_rnn.training.checkpoint import load_checkpoint
from lipschitz_rnn.training.plan import plan_epoch


@pytest.fixture
def speech():
    """Recordings of 2 to 40 frames."""
    chance = torch.Generator().manual_seed(0)
    counts = torch.randint(2, 41, (60,), generator=chance)
    frames = torch.randn(int(counts.sum()), 3, generator=chance)
    whole = FrameDataset(frames, counts.cumsum(0) - counts, counts)
    parts = (whole.subset(torch.arange(first, first + 20)) for first in (0, 20, 40))
    return Split("made", *parts, 3, "made here", "0" * 64, kind="frames")


def make_config(**training):
    settings = {"batch_size": 4, "checkpoint_seconds": 0, "group_by_length": True} | training
    return RunConfig(
        "made", DataConfig("made"), ModelConfig(5), TrainingConfig(2, 0.05, **settings)
    )


def make_model():
    torch.manual_seed(1)
    rnn = LipschitzRNN(3, 5, step_size=0.2, batch_first=True)
    return SequenceRegressor(rnn, 3, every_step=True)


def test_epochs_are_grouped_each_in_its_own_way_and_again_the_same(speech):
    config = make_config()
    first, second = (plan_epoch(config, speech.train, epoch) for epoch in (1, 2))
    assert sorted(torch.cat(first).tolist()) == sorted(torch.cat(second).tolist()) == [*range(20)]
    again = plan_epoch(config, speech.train, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()

    def padded(batches):
        lengths = lengths_of(speech.train)
        return sum(len(batch) * int(lengths[batch].max()) for batch in batches)

    plain = plan_epoch(make_config(group_by_length=False), speech.train, 1)
    # all 20 are one pool, so that no other choice of batches of 4 pads less
    assert padded(first) == padded(second) < padded(plain)


def test_updates_are_those_of_the_groups_by_hand(tmp_path, speech):
    config = make_config(optimizer="sgd")
    fit(config, speech, make_model(), tmp_path)
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in (1, 2):
        for index in plan_epoch(config, speech.train, epoch):
            batch = speech.train.batch(index)
            valid = torch.arange(batch.input.shape[1]) < batch.lengths[:, None]
            answers = model(batch.input)[valid]
            optimizer.zero_grad()
            nn.functional.mse_loss(answers, batch.target[valid]).backward()
            optimizer.step()
    tensors, _ = load_checkpoint(tmp_path / "last.safetensors")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(tensors[f"model/{name}"], value)


def test_what_has_no_lengths_is_refused_before_a_folder_is_made(tmp_path, split, make_model):
    with pytest.raises(InputError, match="group_by_length: expected sequences with lengths of"):
        fit(make_config(), split, make_model(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_has_an_order_of_its_own():
    text = SymbolStream(torch.arange(30), 30, steps=5)
    plans = [list(plan_epoch(make_config(), text, epoch)) for epoch in (1, 2)]
    assert plans[0] == plans[1] == list(text.plan(4))
