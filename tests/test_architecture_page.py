"""The map of the house shows the house as it is."""

import re
from pathlib import Path

from test_architecture import LAYERS

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs/architecture.md").read_text()


def test_the_map_has_every_room_in_its_layer():
    drawing = PAGE.split("```text\n")[1].split("```")[0].splitlines()
    lines = [set(re.split(r"\s{2,}", line)[:-1]) for line in drawing]
    assert lines[:-1] == [set(layer) for layer in reversed(LAYERS)]  # the last one is csrc


def test_the_table_has_every_room():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted({room for layer in LAYERS for room in layer} | {"csrc"})


def test_every_file_it_names_is_there():
    names = re.findall(r"`([\w]+/[\w]+\.(?:py|md))`", PAGE)
    assert len(names) > 40
    for name in names:
        assert (REPOSITORY / "src/lipschitz_rnn" / name).exists() or (REPOSITORY / name).exists()
