"""TOML files inside the package, which can be listed without importing what reads them."""

from importlib import resources

PRESETS, TABLES = "experiments/presets", "experiments/tables"
"""Folders of the package."""


def toml_names(folder: str) -> tuple[str, ...]:
    """Names of the TOML files in a folder of the package.

    Args:
        folder: ``PRESETS`` or ``TABLES``.

    Returns:
        In alphabetical order, without their suffix.
    """
    files = (resources.files("lipschitz_rnn") / folder).iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def toml_text(folder: str, name: str) -> str:
    """One of them.

    Args:
        folder: As in :func:`toml_names`.
        name: One of the names.

    Returns:
        Its text.
    """
    return (resources.files("lipschitz_rnn") / folder / f"{name}.toml").read_text("utf-8")
