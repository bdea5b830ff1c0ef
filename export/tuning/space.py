"""What a search tries: for each setting a range, some choices, or one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.settings_file import check_types, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones if both are; evenly in their logarithm if `log`."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def values(self) -> tuple[Any, ...]:
        """Return the ends."""
        return self.low, self.high

    def suggest(self, trial: Any, name: str) -> Any:
        """Return Optuna's choice."""
        ask = trial.suggest_int if self.whole else trial.suggest_float
        return ask(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choices:
    """Some values."""

    choices: tuple[Any, ...]

    def values(self) -> tuple[Any, ...]:
        """Return all of them."""
        return self.choices

    def suggest(self, trial: Any, name: str) -> Any:
        """Return Optuna's choice; there is nothing to choose from one value."""
        return self.choices[0] if len(self.choices) == 1 else trial.suggest_categorical(name, self.choices)


Space = dict[str, Range | Choices]

#: What is tried where no file says it; around the defaults, which are the sources' best.
SPACES: dict[str, Space] = {
    "gan": {
        "learning_rate": Range(3e-5, 1e-3, log=True),
        "batch": Choices((50, 100, 200, 500)),
        "nodes_g": Range(1, 6),
        "nodes_d": Range(1, 3),
        "layers_g": Range(2, 4),
        "layers_d": Range(2, 4),
        "dropout_d": Range(0.0, 0.5),
        "label_blur": Range(0.0, 0.5),
        "average": Choices((0.0, 0.999)),
    },
    "vae": {
        "learning_rate": Range(1e-4, 3e-3, log=True),
        "batch": Choices((50, 100, 200, 500)),
        "latent": Range(4, 10),
        "cross_entropy": Range(100.0, 100_000.0, log=True),
        "nodes_e": Range(50, 400, log=True),
        "nodes_d": Range(50, 400, log=True),
        "layers_e": Range(2, 4),
        "layers_d": Range(2, 4),
    },
    "flow": {
        "learning_rate": Range(5e-4, 5e-3, log=True),
        "batch": Choices((1024, 2048, 4096)),
        "hidden": Range(16, 64, log=True),
        "layers": Range(1, 3),
        "bins": Range(6, 24, log=True),
        "average": Choices((0.99, 0.998, 0.9995)),
    },
    "distill": {
        "learning_rate": Range(1e-3, 1e-2, log=True),
        "batch": Choices((2048, 4096, 8192)),
        "nodes": Choices(("24-24-24", "32-32-32", "48-48", "64-64-64")),
        "nodes_on_axis": Choices(("16-16", "24-24", "32-32")),
    },
}


def read_space(path: Path | None, model: str) -> Space:
    """Return what to try of the model called `model`: what the file says, or `SPACES`.

    The file is JSON or TOML with a table a setting, ``{low, high, log}`` or ``{choices}``, or a plain value,
    which all trials get.

    Raises
    ------
    InputError
        The file cannot be read, or a value is none of that setting.
    """
    if path is None:
        return SPACES[model]
    space = {name: _entry(name, value, path) for name, value in read_table(path).items()}
    if not any(len(entry.values()) > 1 for entry in space.values()):
        raise InputError(f"{path} leaves nothing to try: give a setting {{low, high}} or {{choices}}")
    check_space(space, model, str(path))
    return space


def check_space(space: Mapping[str, Range | Choices], model: str, where: str) -> None:
    """Raise `InputError` where an end or a choice is out of the model's limits."""
    config = model_by_name(model).settings
    if "steps" in space:
        raise InputError(f"{where} has the setting steps: all trials have those of --steps")
    for name, entry in space.items():
        for value in entry.values():
            check_types(config, {name: value}, where)
            config(**{name: value})


def _entry(name: str, value: Any, path: Path) -> Range | Choices:
    if not isinstance(value, dict):
        return Choices((value,))
    if set(value) == {"choices"} and isinstance(value["choices"], list) and value["choices"]:
        return Choices(tuple(value["choices"]))
    if {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        if _is_number(low) and _is_number(high) and low < high and (low > 0 or log is False):
            return Range(low, high, bool(log))
    raise InputError(
        f"{name} in {path} cannot be tried: write a value, {{choices = [...]}}, or {{low, high}} with "
        "low < high"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def suggest(space: Mapping[str, Range | Choices], trial: Any) -> dict[str, Any]:
    """Return the settings of an Optuna trial."""
    return {name: entry.suggest(trial, name) for name, entry in space.items()}


def space_to_json(space: Mapping[str, Range | Choices]) -> dict[str, Any]:
    """Return the space as plain values, to compare and to keep."""
    return {
        name: {"low": entry.low, "high": entry.high, "log": entry.log}
        if isinstance(entry, Range)
        else {"choices": list(entry.choices)}
        for name, entry in space.items()
    }
