"""What ``bundle.json`` says of a category beside what running its network takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, TypedDict, cast

#: As the modules that make it describe it.
_Stated: TypeAlias = Mapping[str, Any]


class Details(TypedDict, total=False):
    """How a network was made and how good it is; ``training_range`` has each feature's ends, cm and GeV."""

    training_range: dict[str, list[float]]
    network: str
    steps: int
    agreement: _Stated
    figure_of_merit: _Stated | None
    conditions: _Stated
    coordinates: _Stated
    uncertainty: _Stated
    proposal: _Stated
    enhanced: _Stated
    keras2: _Stated


def read_details(content: Mapping[str, Any]) -> Details:
    """Return `content` as details; raise TypeError where a known one is of another kind."""
    for name in content.keys() & Details.__annotations__.keys():
        value, kind = content[name], {"network": str, "steps": int}.get(name, dict)
        unmeasured = name == "figure_of_merit" and value is None
        if not (unmeasured or isinstance(value, kind)) or isinstance(value, bool):
            raise TypeError(f"{name!r} is no {kind.__name__}")
    return cast("Details", dict(content))
