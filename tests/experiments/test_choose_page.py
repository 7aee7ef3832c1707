"""The page on choosing β says what the cards of the ablation say."""

from pathlib import Path
from statistics import mean

from lipschitz_rnn.experiments.results import gather
from lipschitz_rnn.experiments.tables import load_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/choose.md").read_text()
BETAS = (0.5, 0.65, 0.75, 0.8, 0.9, 1.0)


def accuracies():
    """In per cent, means over seeds, by method, α and β."""
    table = load_table("ablation")
    rows = {one.row.name: one for one in gather(table, ROOT / "results")}
    known = {}
    for method in ("euler", "midpoint"):
        for alpha in (0.0, 1.0):
            for beta in BETAS:
                row = rows[f"method-{method}-alpha-{alpha}-beta-{beta}"]
                values = row.values(table, "last")
                assert len(values) == 3, "the page says: means of three seeds"
                known[method, alpha, beta] = mean(values)
    return known


def test_what_beta_and_the_linear_term_are_worth():
    known = accuracies()
    gains = [known[m, a, b] - known[m, 0.0, b] for m, a, b in known if a]
    assert f"linear term is worth {min(gains):.1f} to {max(gains):.1f} points" in PAGE
    linear = {m: [known[m, 1.0, b] for b in BETAS] for m in ("euler", "midpoint")}
    spread = max(max(row[:4]) - min(row[:4]) for row in linear.values())
    assert f"β from 0.5 to 0.8 differ by at most {spread:.1f}" in PAGE
    assert "with 0.65 ahead by either method" in PAGE
    assert all(max(row) == row[BETAS.index(0.65)] for row in linear.values())
    lost = [max(row) - row[-1] for row in linear.values()]
    assert f"β = 1 ends {min(lost):.1f} to {max(lost):.1f} below the best" in PAGE
