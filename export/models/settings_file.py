"""Settings of a model as a file, JSON or TOML: what `shipgen tune` finds and `train --settings` takes.

``model`` is optional and then has to be the one that is trained; ``settings`` are names and values. What else
stands in the file is for the reader.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipgen_export.models.settings import Settings

_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON object or a TOML file; raise `InputError` where it is neither."""
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"cannot read {path}: {reason}; give a JSON or .toml file") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no table of names and values")
    return content


def check_types(config: type[Settings], values: Mapping[str, Any], where: str) -> None:
    """Raise `InputError` where `values` names no setting of `config`, or one of another type."""
    kinds = {field.name: str(field.type) for field in fields(config)}
    for name, value in values.items():
        if name not in kinds:
            raise InputError(f"{where} has no setting {name!r}: choose from {', '.join(kinds)}")
        allowed = tuple(kind for word in kinds[name].split(" | ") for kind in _KINDS[word])
        # True is an int to Python, not to a reader.
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise InputError(f"the setting {name} of {where} is {value!r}: it must be {kinds[name]}")


def read_settings(path: Path, model: str, config: type[Settings]) -> dict[str, Any]:
    """Return the settings in the file `path` for the model called `model`.

    Raises
    ------
    InputError
        The file cannot be read, is for another model, or names something that is no setting of it.
    """
    content = read_table(path)
    if content.get("model", model) != model:
        raise InputError(f"{path} has settings of the model {content['model']}, not of {model}")
    values = content.get("settings")
    if not isinstance(values, dict):
        raise InputError(f"{path} has no table 'settings': write its names and values there")
    check_types(config, values, f"{model}")
    return values
