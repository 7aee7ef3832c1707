import pytest
import torch

from lipschitz_rnn.training import TrainingConfig
from lipschitz_rnn.training.schedule import one_cycle_factor


@pytest.mark.parametrize(("total", "warmup"), [(100, 0.3), (37, 0.5), (10, 0.11), (1000, 0.05)])
def test_one_cycle_is_that_of_torch(total, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.7, total_steps=total, pct_start=warmup, cycle_momentum=False
    )
    for update in range(total):
        ours = 0.7 * one_cycle_factor(update, total, warmup)
        assert ours == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9, abs=1e-15)
        if update + 1 < total:
            optimizer.step()
            scheduler.step()


def test_without_warmup_it_is_cosine_decay():
    factors = [one_cycle_factor(update, 101, 0) for update in (0, 25, 50, 75, 100)]
    floor = 1 / 25e4
    cosines = [1.0, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0.0]
    assert factors == pytest.approx([floor + (1 - floor) * c for c in cosines])


@pytest.mark.parametrize(("total", "warmup"), [(1, 0.3), (1, 0), (2, 0.9), (3, 0.99)])
def test_short_trainings_have_a_rate(total, warmup):
    factors = [one_cycle_factor(update, total, warmup) for update in range(total)]
    assert all(0 < factor <= 1 for factor in factors)


def test_the_position_counts_updates_of_all_epochs():
    training = TrainingConfig(epochs=4, lr=0.5, schedule="one-cycle", warmup=0.25)
    for epoch, update in [(0, 0), (0, 6), (1, 2), (3, 6)]:
        expected = 0.5 * one_cycle_factor(7 * epoch + update, 28, 0.25)
        assert training.lr_at(epoch, update, 7) == expected


def test_unset_warmup_is_a_third_or_so():
    unset = TrainingConfig(epochs=4, lr=0.5, schedule="one-cycle")
    given = TrainingConfig(epochs=4, lr=0.5, schedule="one-cycle", warmup=0.3)
    assert [unset.lr_at(e, 1, 5) for e in range(4)] == [given.lr_at(e, 1, 5) for e in range(4)]
