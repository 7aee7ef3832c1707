"""The queue of runs, on disk."""

import pytest
from experiments.toy_runs import ROW

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.queue import Entry, Queue
from lipschitz_rnn.training import RunFolder


def test_the_queue_is_on_disk_and_in_order(tmp_path):
    queue = Queue(tmp_path)
    entries = [Entry.of(ROW, seed) for seed in (3, 1, 2)]
    queue.add(entries)
    queue.add(entries[:1])  # it is there already
    assert Queue(tmp_path).entries == entries
    assert [e.seed for e in Queue(tmp_path).pending()] == [3, 1, 2]
    RunFolder(entries[2].folder(tmp_path)).path.mkdir(parents=True)
    RunFolder(entries[2].folder(tmp_path)).create(ROW.config(2))
    assert [e.seed for e in Queue(tmp_path).pending()] == [2, 3, 1]  # what was begun comes first
    assert 'status = "begun"' in _rewritten(tmp_path)
    for damaged in ("runs = 3 x", "runs = 5", "runs = [1]"):
        (tmp_path / "queue.toml").write_text(damaged)
        with pytest.raises(InputError, match=r"queue\.toml: expected a queue"):
            Queue(tmp_path)
    (tmp_path / "queue.toml").write_text('[[runs]]\npreset = "digits"\nrow = "../x"\nseed = 1')
    with pytest.raises(InputError, match="a name that a folder can have"):
        Queue(tmp_path)


def _rewritten(results):
    Queue(results).write()
    return (results / "queue.toml").read_text()
