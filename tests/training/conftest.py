import dataclasses

import pytest
import torch

from lipschitz_rnn.data import SequenceDataset, Split
from lipschitz_rnn.nn import LipschitzRNN, SequenceClassifier
from lipschitz_rnn.training import DataConfig, ModelConfig, RunConfig, SeedConfig, TrainingConfig


@pytest.fixture(scope="session")
def split():
    """Three classes of noisy constant sequences: learnable, small, made here."""
    generator = torch.Generator().manual_seed(0)

    def samples(count):
        target = torch.randint(3, (count,), generator=generator)
        noise = torch.randn(count, 5, 2, generator=generator)
        return SequenceDataset(noise + target[:, None, None], target)

    return Split("toy", samples(50), samples(40), samples(30), 3, "made here", "0" * 64)


@pytest.fixture
def config():
    """Seven updates an epoch, the last one smaller; dropout, so that random state matters."""
    return RunConfig(
        "toy",
        DataConfig("toy", 5, validation_size=40),
        ModelConfig(6, num_layers=2, step_size=0.2, dropout=0.3),
        TrainingConfig(3, 0.02, batch_size=8, decay_epochs=(2,), checkpoint_seconds=0),
        SeedConfig(1, 2, 3),
    )


@pytest.fixture
def make_model():
    def make(seed=1, dropout=0.3):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            rnn = LipschitzRNN(2, 6, 2, step_size=0.2, dropout=dropout, batch_first=True)
            return SequenceClassifier(rnn, 3, dropout=dropout)

    return make


@pytest.fixture
def with_training():
    def change(config, **changes):
        training = dataclasses.replace(config.training, **changes)
        return dataclasses.replace(config, training=training)

    return change
