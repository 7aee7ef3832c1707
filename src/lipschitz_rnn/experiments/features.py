"""The table of what a library has and others lack, from a list that says where each is shown."""

import tomllib
from pathlib import Path

from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn._base.markdown import markdown_table

_SHOWN = "yes"


def features_lines(path: Path, root: Path) -> list[str]:
    """A list of features as a table in Markdown.

    Args:
        path: A TOML file: ``columns`` and ``versions`` of the others, which may be blank; for each
            of ``features`` its ``name``, the ``page`` that describes it, the ``test`` that shows
            it, and what ``others`` have, a word for each column.
        root: Folder of the page that is written, from where pages and tests are linked.

    Returns:
        A line a feature, its first column linked to the page, our own to the test.

    Raises:
        InputError: If the file is not such a list, or a page or a test is not there.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        heads = [
            f"{name} ({version})" if version else name
            for name, version in zip(table["columns"], table["versions"], strict=True)
        ]
        rows = [
            [f"[{one['name']}]({one['page']})", f"[{_SHOWN}]({one['test']})", *one["others"]]
            for one in table["features"]
        ]
        places = [one[key] for one in table["features"] for key in ("page", "test")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a list of features, got {error!r}.") from None
    if any(len(row) != len(heads) + 2 for row in rows):
        raise InputError(f"{path}: expected a word of others for each of {len(heads)} columns.")
    missing = [place for place in places if not (root / place).is_file()]
    if missing:
        raise InputError(f"{path}: expected its pages and tests under {root}, got no {missing[0]}.")
    heads = ["feature", "here", *heads]
    return markdown_table(heads, rows, words=heads)
