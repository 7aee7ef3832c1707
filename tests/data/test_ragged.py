import pytest
import torch

from lipschitz_rnn.data import FrameDataset


def frames():
    """Sequences 0, 1 | 10, 11, 12 | 20, 21 of two features each."""
    values = torch.tensor([0.0, 1, 10, 11, 12, 20, 21])
    return FrameDataset(
        torch.stack((values, -values), -1), torch.tensor([0, 2, 5]), torch.tensor([2, 3, 2])
    )


def test_each_frame_is_asked_for_once_from_the_one_before():
    data = frames()
    batch = data.batch(torch.tensor([1, 2]))
    assert batch.lengths.tolist() == [2, 1]
    assert batch.input[:, :, 0].tolist() == [[10, 11], [20, 0]]
    assert batch.target[:, :, 0].tolist() == [[11, 12], [21, 0]]
    assert torch.equal(batch.input[:, :, 1], -batch.input[:, :, 0])
    seen = [data.batch(index) for index in data.plan(2)]
    pairs = {
        (float(x[0]), float(y[0]))
        for b in seen
        for k, n in enumerate(b.lengths)
        for x, y in zip(b.input[k, :n], b.target[k, :n], strict=True)
    }
    assert pairs == {(0, 1), (10, 11), (11, 12), (20, 21)}


def test_a_subset_has_its_own_sequences_in_its_own_order():
    part = frames().subset(torch.tensor([2, 0]))
    assert len(part) == 2
    assert part.batch(slice(None)).input[:, 0, 0].tolist() == [20, 0]


@pytest.mark.parametrize(
    ("starts", "counts", "text"),
    [
        ([0, 2, 5], [1, 3, 2], "at least 2 frames, got 1"),
        ([0, 2, 6], [2, 3, 2], "within 7 frames"),
        ([-1, 2, 5], [2, 3, 2], "within 7 frames"),
        ([0, 2], [2, 3, 2], r"`counts` of shape \(n,\)"),
    ],
)
def test_sequences_that_do_not_fit_are_refused(starts, counts, text):
    with pytest.raises(ValueError, match=text):
        FrameDataset(frames().frames, torch.tensor(starts), torch.tensor(counts))
