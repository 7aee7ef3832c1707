from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.data.stream import Segment, SymbolStream


def stream(count: int, steps: int) -> SymbolStream:
    """A text in which every symbol says where it is."""
    return SymbolStream(torch.arange(count), vocabulary=count, steps=steps)


sizes = {"count": st.integers(2, 90), "steps": st.integers(1, 20), "rows": st.integers(1, 12)}


@given(**sizes)
def test_every_position_is_predicted_once_and_from_the_one_before(count, steps, rows) -> None:
    text = stream(count, steps)
    length = (count - 1) // rows
    if not length:
        with pytest.raises(InputError, match=f"at least {rows + 1} symbols for {rows} rows"):
            text.plan(rows)
        return
    batches = [text.batch(segment) for segment in text.plan(rows)]
    targets = torch.cat([batch.target for batch in batches], dim=1)
    assert targets.shape == (rows, length)
    # exactly once, in order, row after row; what is left out is at the end, fewer than a row each
    assert targets.flatten().tolist() == list(range(1, rows * length + 1))
    assert 0 <= count - 1 - targets.numel() < rows
    for batch in batches:
        assert torch.equal(batch.input, batch.target - 1)


@given(**sizes)
def test_each_segment_begins_where_the_last_one_ended(count, steps, rows) -> None:
    if count <= rows:
        return
    text = stream(count, steps)
    batches = [text.batch(segment) for segment in text.plan(rows)]
    for before, after in pairwise(batches):
        assert torch.equal(after.input[:, 0], before.target[:, -1])
    widths = [batch.input.shape[1] for batch in batches]
    length = (count - 1) // rows
    assert widths == [steps] * (length // steps) + [length % steps] * (length % steps > 0)


def test_the_last_segment_may_be_short() -> None:
    text = stream(12, 4)
    assert text.plan(1) == [Segment(1, 0), Segment(1, 4), Segment(1, 8)]
    assert text.batch(Segment(1, 8)).input.tolist() == [[8, 9, 10]]
    assert text.batch(Segment(1, 8)).target.tolist() == [[9, 10, 11]]


def test_a_remainder_is_left_out() -> None:
    batches = [stream(12, 4).batch(segment) for segment in stream(12, 4).plan(2)]
    assert [batch.target.tolist() for batch in batches] == [
        [[1, 2, 3, 4], [6, 7, 8, 9]],
        [[5], [10]],
    ]


def test_a_stream_says_what_it_is() -> None:
    text = SymbolStream(torch.tensor([3, 0, 2], dtype=torch.uint8), vocabulary=5, steps=7)
    assert text.carries_state
    assert text.input_size == 5
    assert len(text) == 2
    batch = text.batch(text.plan(1)[0], epoch=3)
    assert batch.input.dtype == batch.target.dtype == torch.int64
    assert batch.input.tolist() == [[3, 0]]
    assert text.plan(1, torch.tensor([1, 0])) == text.plan(1)  # only its own order


@pytest.mark.parametrize(
    ("symbols", "vocabulary", "steps", "text"),
    [
        (torch.zeros(2, 2, dtype=torch.int64), 3, 1, "`symbols` of shape"),
        (torch.zeros(0, dtype=torch.int64), 3, 1, "at least one symbol, got none"),
        (torch.tensor([0, 3]), 3, 1, "symbols from 0 to 2, got 0 to 3"),
        (torch.tensor([-1, 2]), 3, 1, "symbols from 0 to 2, got -1 to 2"),
        (torch.tensor([0, 1]), 0, 1, "`vocabulary` >= 1, got 0"),
        (torch.tensor([0, 1]), 3, 0, "`steps` >= 1, got 0"),
    ],
)
def test_wrong_streams_are_refused(symbols, vocabulary, steps, text) -> None:
    with pytest.raises(ValueError, match=f"SymbolStream: expected .*{text}"):
        SymbolStream(symbols, vocabulary=vocabulary, steps=steps)
