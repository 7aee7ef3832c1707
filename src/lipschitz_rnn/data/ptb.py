"""The Penn Treebank as a text, by characters or by words, from the files that the user supplies."""

from pathlib import Path

from lipschitz_rnn.data.cache import found_digest
from lipschitz_rnn.data.files import DataFile
from lipschitz_rnn.data.sources import Report
from lipschitz_rnn.data.split import Split, require_known
from lipschitz_rnn.data.supplied import obtain_supplied
from lipschitz_rnn.data.text import decode_text, require_steps, text_split

# Mikolov's preprocessing. The MD5s that others publish for the same files are f26c4b92..., of the
# training text, aa0affc0... and 8b80168b....
PTB_FILES = (
    DataFile(
        "ptb",
        "ptb.train.txt",
        5_101_618,
        "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    ),
    DataFile(
        "ptb",
        "ptb.valid.txt",
        399_782,
        "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    ),
    DataFile(
        "ptb",
        "ptb.test.txt",
        449_945,
        "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    ),
)

LEVELS = ("char", "word")
END_OF_LINE = "<eos>"


def read_characters(text: str) -> str:
    r"""A text by characters: spaces at both ends of a line are left out, its end is a symbol.

    Args:
        text: The text as it is stored.

    Returns:
        The characters.

    Examples:
        >>> read_characters(" no it was n't \n black monday \n")
        "no it was n't\nblack monday\n"
    """
    return "".join(f"{line.strip()}\n" for line in _lines(text))


def read_words(text: str) -> list[str]:
    r"""A text by words: what spaces part, and ``<eos>`` at the end of each line.

    Args:
        text: The text as it is stored.

    Returns:
        The words.

    Examples:
        >>> read_words(" no it was n't \n black monday \n")
        ['no', 'it', 'was', "n't", '<eos>', 'black', 'monday', '<eos>']
    """
    return [word for line in _lines(text) for word in (*line.split(), END_OF_LINE)]


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]  # the last one ends as the others do


def load_ptb(
    level: str, *, steps: int, data_dir: Path | None = None, report: Report | None = None
) -> Split:
    """The Penn Treebank in Mikolov's preprocessing, as three texts.

    A data folder holds ``ptb/ptb.train.txt``, ``ptb/ptb.valid.txt`` and ``ptb/ptb.test.txt``. The
    text is licensed: it is not part of this package and never downloaded. Files of another
    preprocessing are refused, since figures on them could not be compared.

    Args:
        level: ``"char"``: 50 symbols; 5,017,482, 393,042 and 442,423 characters. ``"word"``: 10,000
            symbols; 929,589, 73,760 and 82,430 words, ``<unk>`` and ``<eos>`` among them.
        steps: T, steps between two updates.
        data_dir: A data folder to ask first; then the one that ``LIPSCHITZ_RNN_DATA`` names.
        report: Takes one line for each folder that lacks a file.

    Returns:
        Streams for training, validation and test.

    Raises:
        InputError: If an argument is wrong, or a file has other content.
        DataUnavailableError: If a file is missing.
    """
    require_known("ptb", "level", level, LEVELS)
    require_steps(f"ptb-{level}", steps)
    found = obtain_supplied(PTB_FILES, data_dir, report)
    train, validation, test = (decode_text(item.content, where=str(item.path)) for item in found)
    by_characters = level == "char"
    read = read_characters if by_characters else read_words
    return text_split(
        f"ptb-{level}",
        (read(train), read(validation), read(test)),
        steps=steps,
        kind="characters" if by_characters else "words",
        source=", ".join(dict.fromkeys(item.source for item in found)),
        digest=found_digest(found),
        notes={
            "text": "Penn Treebank, Mikolov's preprocessing",
            "symbols": "lines stripped, end of line a character"
            if by_characters
            else "words between spaces, end of line <eos>",
        },
    )
