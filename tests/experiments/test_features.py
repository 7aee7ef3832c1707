"""The table of features: every row says where it is shown."""

import pytest

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.experiments.features import features_lines

LIST = """
columns = ["a", "b"]
versions = ["1", ""]
[[features]]
name = "speed"
page = "docs/p.md"
test = "t.py"
others = ["", "part"]
"""


def write(folder, text=LIST, files=("docs/p.md", "t.py")):
    (folder / "docs").mkdir()
    for name in files:
        (folder / name).write_text("")
    (folder / "docs/f.toml").write_text(text)
    return folder / "docs/f.toml"


def test_a_row_links_to_page_and_test(tmp_path):
    assert features_lines(write(tmp_path), tmp_path) == [
        "| feature | here | a (1) | b |",
        "| --- | --- | --- | --- |",
        "| [speed](docs/p.md) | [yes](t.py) |  | part |",
    ]


@pytest.mark.parametrize(
    ("text", "files", "expected"),
    [
        (LIST, ("docs/p.md",), "got no t.py"),
        (
            LIST.replace('["", "part"]', '[""]'),
            ("docs/p.md", "t.py"),
            "a word of others for each of 2",
        ),
        (LIST.replace("page =", "pag ="), (), "'page'"),
        ("x = ", (), "a list of features"),
    ],
)
def test_what_is_not_shown_is_refused(tmp_path, text, files, expected):
    with pytest.raises(InputError, match=expected):
        features_lines(write(tmp_path, text, files), tmp_path)
