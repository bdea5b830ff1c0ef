"""Where a target has gaps between its slabs: of a named target, or of the one that a sample's file states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen.files.layouts import PROVENANCE_KEY
from shipgen.files.rootfile import open_root, readable
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Density below which a slab counts as a gap, g/cm3: water and gases.
_LIGHT = 1.5


def gaps_of(paths: Sequence[Path], target: str | None) -> tuple[str, list[tuple[float, float]]]:
    """Return the name of a target, and where its gaps are along z from its start, cm.

    Parameters
    ----------
    paths : sequence of Path
        Files that may state their target; not looked at where one is given.
    target : str, optional
        Name or file, as for `shipgen simulate`.

    Returns
    -------
    str
        Empty where no target is known.
    list of (float, float)
    """
    if target is not None:
        from shipgen_export.simulation.target import read_target

        known = read_target(target)
        light = [material.density < _LIGHT for material in known.materials]
        return known.name, _gaps(known.edges, [light[place] for place in known.slab_materials])
    for path in paths:
        if found := _stated(path):
            return found
    return "", []


def _stated(path: Path) -> tuple[str, list[tuple[float, float]]] | None:
    """Return what a ROOT file of `shipgen simulate` says of its target; ``None`` where it says nothing."""
    if path.suffix != ".root" or not path.is_file():
        return None
    with open_root(path) as file, readable(path):
        found = read_objects(file, PROVENANCE_KEY)
    stated = (found[0] or {}).get("target") if len(found) == 1 else None
    try:
        return _read(stated) if isinstance(stated, dict) else None
    except (KeyError, TypeError, ValueError, IndexError):
        # A file of another version: a picture without gaps.
        return None


def _read(stated: Mapping[str, Any]) -> tuple[str, list[tuple[float, float]]]:
    light = [float(material["density"]) < _LIGHT for material in stated["materials"]]
    edges = [float(edge) for edge in stated["edges"]]
    return str(stated["name"]), _gaps(edges, [light[int(place)] for place in stated["slab_materials"]])


def _gaps(edges: Sequence[float], light: Sequence[bool]) -> list[tuple[float, float]]:
    slabs = zip(edges[:-1], edges[1:], light, strict=True)
    return [(low - edges[0], high - edges[0]) for low, high, gap in slabs if gap]
