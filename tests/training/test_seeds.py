import torch

from lipschitz_rnn.training.seeds import derive_seed, epoch_order


def test_an_order_is_a_permutation_that_seed_and_epoch_alone_decide():
    first = epoch_order(1, 1, 100)
    assert torch.equal(first.sort().values, torch.arange(100))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    assert torch.equal(epoch_order(1, 1, 100), first)
    assert torch.equal(torch.get_rng_state(), before)
    for other in (epoch_order(2, 1, 100), epoch_order(1, 2, 100)):
        assert not torch.equal(other, first)


def test_derived_seeds_are_valid_and_differ():
    """Order seed 1 in epoch 23 and order seed 12 in epoch 3 must not be the same."""
    seeds = {derive_seed("order", a, b) for a in range(30) for b in range(30)}
    seeds |= {derive_seed("dropout", a) for a in range(30)}
    assert len(seeds) == 930
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("order", 1, 1) == 7722560399816296470, "changing this changes every run"
