"""Settings from a command line, put into the table of a configuration."""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Collection
from typing import Any

from lipschitz_rnn._base.checks import nearest
from lipschitz_rnn._base.errors import InputError
from lipschitz_rnn.training.schema import is_optional


def setting_of(override: str) -> str:
    """The setting that ``"section.key=value"`` replaces, ``"section.key"``."""
    return ".".join(part.strip() for part in override.partition("=")[0].split("."))


def apply_override(root: type, table: dict[str, Any], override: str) -> None:
    """Put one setting into a parsed configuration.

    Args:
        root: The configuration's dataclass.
        table: Its table; changed.
        override: ``"section.key=value"``: the value is TOML, a bare word a string; nothing unsets
            an optional setting.

    Raises:
        InputError: If the setting is not known or the value cannot be read.
    """
    where = f"--set {override!r}"
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise InputError(f"{where}: expected section.key=value.")
    hint: Any = root
    for key in keys:
        known = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        if key not in known:
            raise InputError(
                f"{where}: expected a known setting, got {key!r}. {nearest(key, known)}".rstrip()
            )
        hint = known[key]
    *sections, last = keys
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise InputError(f"{where}: expected {section!r} to be a table in the preset.")
    if text.strip():
        table[last] = _parse_value(where, text.strip())
    elif is_optional(hint):
        table.pop(last, None)
    else:
        raise InputError(f"{where}: expected a value, got none; this setting cannot be unset.")


def _parse_value(where: str, text: str) -> Any:
    """Read a TOML value, or a bare word or path as a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        parsed = {"value": text}
        if not re.fullmatch(r"(?:[A-Za-z_]|~?/|\.{1,2}/)[\w./+-]*", text):
            raise InputError(f"{where}: expected a TOML value or a bare word.") from None
    if set(parsed) != {"value"}:
        raise InputError(f"{where}: expected one TOML value.")
    return parsed["value"]


def start_afresh_for_a_new_unit(
    table: dict[str, Any], overrides: list[str], unit_options: Collection[str]
) -> None:
    """A preset's options are those of its unit; another one begins at its own defaults."""
    units = [o.partition("=")[2].strip(" \"'") for o in overrides if setting_of(o) == "model.unit"]
    model = table.get("model")
    if units and isinstance(model, dict) and units[-1] != model.get("unit", "lipschitz"):
        for name in set(unit_options) & set(model):
            del model[name]
