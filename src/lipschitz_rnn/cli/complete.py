"""What a shell offers at the Tab key, where a name is wanted."""


def complete_preset(incomplete: str) -> list[str]:
    """Presets that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    from lipschitz_rnn.experiments.registry import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def complete_table(incomplete: str) -> list[str]:
    """Tables of results that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    from lipschitz_rnn.experiments.tables import table_names

    return [name for name in table_names() if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Data sets that begin so.

    Args:
        incomplete: What was typed.

    Returns:
        Their names.
    """
    from lipschitz_rnn.data.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]
