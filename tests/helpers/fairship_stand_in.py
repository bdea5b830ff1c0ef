"""What a macro of FairShip meets, in Python: a module ROOT with FairRoot's run and a geometry.

``python fairship_stand_in.py OPTION...`` is `shipgen fairship run OPTION...` in such an environment; what was
simulated is in ``run.json`` of the folder it ends in. No ROOT is needed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator

if TYPE_CHECKING:
    from array import array

#: Volumes of the geometry with something in them -> z of the first one's middle, cm; it is 10 cm long.
VOLUMES = {"/TargetArea_1": -6923.5}


class PrimaryGenerator(FairPrimaryGenerator):
    """Moves tracks as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = [0.0, 0.0, 0.0]

    def SetTarget(self, z: float, _length: float) -> None:  # noqa: N802
        self.shift[2] = z

    def SetBeam(self, x: float, y: float, _width: float, _height: float) -> None:  # noqa: N802
        self.shift[:2] = x, y

    def SmearVertexXY(self, _smear: bool) -> None:  # noqa: N802
        """Tracks are not moved here: nothing that does so gets so far."""

    def AddTrack(self, *track: Any) -> None:  # noqa: N802
        moved = [place + by for place, by in zip(track[4:7], self.shift, strict=True)]
        super().AddTrack(*track[:4], *moved, *track[7:])


class FixedTargetGenerator(FairGenerator):
    """FairShip's own, which is replaced: its events are protons."""

    def __init__(self) -> None:
        super().__init__("fixed target")

    def Init(self) -> bool:  # noqa: N802
        return True

    def ReadEvent(self, primary: Any) -> bool:  # noqa: N802
        primary.AddTrack(2212, 0, 0, 400, 0, 0, 0, -1, True, -9e9, 0, 1)
        return True


class RunSim:
    """Initialises generators, asks them for events."""

    def SetGenerator(self, primary: PrimaryGenerator) -> None:  # noqa: N802
        self.primary = primary

    def Init(self) -> None:  # noqa: N802
        root().gGeoManager = _Geometry()
        self.primary.Init()

    def Run(self, events: int) -> None:  # noqa: N802
        done = self.primary.Run(events)
        Path("run.json").write_text(json.dumps({"events": self.primary.events[:done]}))


class _Geometry:
    """The geometry and its navigator, and the volumes that it goes through."""

    def GetCurrentNavigator(self) -> _Geometry:  # noqa: N802
        return self

    def CheckPath(self, path: str) -> bool:  # noqa: N802
        return path in VOLUMES

    def cd(self, path: str) -> None:
        self.path, self.inside = path.removesuffix("/disk_1"), path.endswith("/disk_1")

    def PushPath(self) -> None:  # noqa: N802
        """There is one path."""

    PopPath = PushPath

    def GetCurrentNode(self) -> _Geometry:  # noqa: N802
        return self

    GetVolume = GetNodes = GetShape = GetCurrentNode

    def At(self, place: int) -> _Geometry:  # noqa: N802
        assert place == 0
        return self

    def GetName(self) -> str:  # noqa: N802
        return "disk_1"

    def GetDZ(self) -> float:  # noqa: N802
        return 5.0

    def LocalToMaster(self, local: array[float], master: array[float]) -> None:  # noqa: N802
        assert self.inside
        master[2] = VOLUMES[self.path] + local[2]


class _Interpreter:
    @staticmethod
    def Declare(_text: str) -> bool:  # noqa: N802
        return False


class _Pythia:
    @staticmethod
    def readString(text: str) -> bool:  # noqa: N802
        return text == "ProcessLevel:all = off"


def root() -> Any:
    """Return the module ROOT of this process, made if there is none."""
    if "ROOT" not in sys.modules:
        made = ModuleType("ROOT")
        names = {
            "FairGenerator": FairGenerator,
            "FairPrimaryGenerator": PrimaryGenerator,
            "FixedTargetGenerator": FixedTargetGenerator,
            "FairRunSim": RunSim,
            "SetOwnership": lambda *_: None,
            "gInterpreter": _Interpreter(),
        }
        made.__dict__.update(names)
        pythia: Any = ModuleType("Pythia8")
        pythia.Pythia = _Pythia
        made.__dict__["Pythia8"] = pythia
        sys.modules["ROOT"] = made
    return sys.modules["ROOT"]


if __name__ == "__main__":
    from shipgen.cli import run

    root()
    sys.exit(run(["fairship", "run", *sys.argv[1:]]))
