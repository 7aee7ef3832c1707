"""A table of one short run, and how to work it off."""

from lipschitz_rnn.experiments.queue import Entry
from lipschitz_rnn.experiments.reproduce import work_off
from lipschitz_rnn.experiments.tables import Row, Table

SHORT = (
    "training.epochs=2",
    "training.decay_epochs=[]",
    "model.hidden_size=8",
    "training.checkpoint_seconds=0",
)
ROW = Row("small", "Small", "digits", SHORT, printed=50.0, evidence="text: a table")
TABLE = Table("toy", "Toy: per cent", "accuracy", 100.0, 2, (1,), (ROW,))


def run(results, seeds=(1,), row=ROW, **options):
    return work_off(results, [Entry.of(row, seed) for seed in seeds], **options)


def without_times(card):
    return {key: value for key, value in card.items() if key != "time"}
