"""What stands below the options of a verb's help: what to know, and commands to copy."""


def epilog(*commands: str, note: str = "") -> str:
    """The end of a help text.

    Args:
        commands: Examples without the program's name, each in a line of its own.
        note: A paragraph before them.

    Returns:
        What typer takes as ``epilog``.
    """
    lines = "\n".join(f"  lipschitz-rnn {command}" for command in commands)
    # the mark keeps the lines as they are, where other paragraphs are filled
    return "\n\n".join(filter(None, [note, f"\b\nExamples:\n{lines}"]))
