"""The one exception for what a user handed us and we cannot use: a file, a preset, a run folder."""


class InputError(ValueError):
    """Bad input from outside the program, told in one line: where, expected, got, remedy.

    The command line prints the message and exits with code 2; a library caller catches it as
    ``ValueError``.
    """
