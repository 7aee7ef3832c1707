"""Tiny Shakespeare by characters: a text of 1,115,394 characters that comes with the package."""

from importlib.resources import files
from pathlib import Path

from lipschitz_rnn.data.files import DataFile, check_content, manifest_digest
from lipschitz_rnn.data.idx import decompress
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import Split
from lipschitz_rnn.data.text import decode_text, require_steps, text_split

SHAKESPEARE_FILE = DataFile(
    "shakespeare",
    "shakespeare.txt",
    1_115_394,
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
TRAIN_PERCENT = 90
VALIDATION_PERCENT = 5


def read_shakespeare() -> str:
    """The whole text, 65 different characters, checked against its digest.

    Returns:
        Parts of Shakespeare's plays, which are in the public domain.

    Examples:
        >>> read_shakespeare()[:14]
        'First Citizen:'
    """
    packed = files("lipschitz_rnn.data").joinpath(f"{SHAKESPEARE_FILE.name}.gz")
    where = str(packed)
    content = decompress(packed.read_bytes(), where=where, limit=SHAKESPEARE_FILE.size)
    check_content(content, SHAKESPEARE_FILE, where=where)
    return decode_text(content, where=where)


def load_shakespeare(
    *, steps: int, data_dir: Path | None = None, report: Report | None = None
) -> Split:
    """Tiny Shakespeare by characters, split by position.

    The first 90 % of the text, 1,003,854 characters, are for training, the next 5 %, 55,769, for
    validation, and the other 55,771 for the test.

    Args:
        steps: T, steps between two updates.
        data_dir: Not looked at; the text comes with the package.
        report: Not called.

    Returns:
        Streams for training, validation and test.

    Raises:
        InputError: If ``steps`` is not a positive integer.

    Examples:
        >>> split = load_shakespeare(steps=100)
        >>> split.output_size, len(split.train), len(split.validation), len(split.test)
        (65, 1003853, 55768, 55770)
    """
    require_steps("shakespeare", steps)
    text = read_shakespeare()
    first = len(text) * TRAIN_PERCENT // 100
    second = first + len(text) * VALIDATION_PERCENT // 100
    return text_split(
        "shakespeare",
        (text[:first], text[first:second], text[second:]),
        steps=steps,
        kind="characters",
        source="bundled with lipschitz-rnn",
        digest=manifest_digest({SHAKESPEARE_FILE.name: SHAKESPEARE_FILE.sha256}),
        notes={"text": "tiny Shakespeare", "parts": "90, 5 and 5 % by position"},
    )
