"""Tables of results beside what is in print."""

from experiments.toy_runs import ROW, SHORT, TABLE

from lipschitz_rnn.experiments.card import read_card
from lipschitz_rnn.experiments.results import gather
from lipschitz_rnn.experiments.results_text import as_markdown
from lipschitz_rnn.experiments.tables import Row, Table


def test_the_table_has_ours_beside_print(finished):
    results, _ = finished
    (gathered,) = gather(TABLE, results)
    accuracy = gathered.cards[1]["test_accuracy_last"]
    text = as_markdown(TABLE, [gathered])
    assert f"| Small | {100 * accuracy:.2f} (n=1) |" in text
    assert f"| 50.0 | {100 * accuracy - 50:+.2f} | yes | text: a table |" in text  # of 360 samples
    other = Row("absent", "Absent", "digits", SHORT)
    table = Table("toy", "Toy", "accuracy", 100.0, 2, (1,), (other,))
    assert "| Absent | not run | not run | not run |" in as_markdown(table, gather(table, results))


def test_a_table_of_losses_has_the_trivial_ones_beside_them(finished):
    results, _ = finished
    table = Table("toy", "Toy", "loss", 1.0, 3, (1,), (ROW,))
    text = as_markdown(table, gather(table, results))
    loss = read_card(results / "digits/small-seed1/card.json")["test_last"]["loss"]
    assert f"| Small | {loss:.3f} (n=1) |" in text
    assert "| uniform 2.303 | 290 | 2 | digits |" in text
    assert "not run" not in text
    assert "in print" not in text


def test_a_card_of_other_settings_does_not_count(finished):
    results, _ = finished
    changed = Row("small", "Small", "digits", (*SHORT, "model.beta=0.9"))
    table = Table("toy", "Toy", "accuracy", 100.0, 2, (1,), (changed,))
    (gathered,) = gather(table, results)
    assert not gathered.cards
