"""Where the target starts in a geometry of FairShip, asked as FairShip's own generator asks."""

from __future__ import annotations

from array import array
from typing import Any

from shipgen.errors import InputError

#: What to do where it is not known.
ADVICE = "say where it starts: target_z, or --target-z of `shipgen fairship run`, in cm"


def find_target(path: str) -> float:
    """Return the z of the front face of the first volume in the volume `path` of the geometry, cm.

    Raises
    ------
    InputError
        There is no geometry, or nothing in it called so.
    """
    import ROOT

    manager = getattr(ROOT, "gGeoManager", None)
    navigator = manager.GetCurrentNavigator() if manager else None
    if not navigator:
        raise InputError(f"there is no geometry to find the target {path} in: {ADVICE}")
    if not navigator.CheckPath(path):
        raise InputError(f"the geometry has no volume {path}, which the macro names as target: {ADVICE}")
    navigator.PushPath()
    try:
        return _front(navigator, path)
    finally:
        navigator.PopPath()


def _front(navigator: Any, path: str) -> float:
    navigator.cd(path)
    parts = navigator.GetCurrentNode().GetVolume().GetNodes()
    if not parts:
        raise InputError(f"the volume {path}, which the macro names as target, is empty: {ADVICE}")
    first = parts.At(0)
    navigator.cd(f"{path}/{first.GetName()}")
    front, place = array("d", [0, 0, -first.GetVolume().GetShape().GetDZ()]), array("d", [0, 0, 0])
    navigator.LocalToMaster(front, place)
    return place[2]
