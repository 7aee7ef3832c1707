"""What a shell offers at the Tab key, where a name is wanted.

Torch takes a second to import, too long for a key: where it can be helped, none of this does.
"""

from lipschitz_rnn._base.packaged import PRESETS, TABLES, toml_names


def complete_preset(incomplete: str) -> list[str]:
    """Presets that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    return [name for name in toml_names(PRESETS) if name.startswith(incomplete)]


def complete_table(incomplete: str) -> list[str]:
    """Tables of results that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    return [name for name in toml_names(TABLES) if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Data sets that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    from lipschitz_rnn.data.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]
