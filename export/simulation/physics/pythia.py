"""Access to Pythia 8: its settings folder, quiet start, seeds."""

from __future__ import annotations

import math
import os
import sys
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipgen.errors import MissingExtraError, ShipgenError
from shipgen_export.silence import silenced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

#: Pythia's seeds are 1 to this.
LARGEST_SEED = 900_000_000

_LEAST_COLLISION_ENERGY = 0.3  # GeV
#: In the centre of mass of a hadron and a nucleon, GeV; 400 GeV on a nucleon at rest are 27.4.
_LARGEST_ENERGY = 40.0
_MULTIPARTON_SETTINGS = "setups/InitDefaultMPI.cmnd"


def import_pythia() -> ModuleType:
    """Return the module; raise `MissingExtraError` when it is not installed."""
    try:
        import pythia8mc
    except ImportError as error:
        raise MissingExtraError("simulating", "pythia8mc", "simulate") from error
    module: ModuleType = pythia8mc
    return module


def settings_folder() -> Path:
    """Return the folder ``share/Pythia8`` of the installed package.

    Raises
    ------
    ShipgenError
        The package's files are not where its list of files says.
    """
    listed = metadata.distribution("pythia8mc").files or []
    places = [
        Path(str(file.locate())).resolve()
        for file in listed
        if file.match(f"Pythia8/{_MULTIPARTON_SETTINGS}")
    ]
    places.append(Path(sys.prefix) / "share" / "Pythia8" / _MULTIPARTON_SETTINGS)
    for place in places:
        if place.is_file():
            return place.parent.parent
    raise ShipgenError("Pythia's settings are missing: pip install --force-reinstall pythia8mc")


@contextmanager
def _memory_file(text: str) -> Iterator[str]:
    """Give the path of a file that never stands in any folder, so that a killed process leaves nothing."""
    descriptor = os.memfd_create("shipgen")
    try:
        with open(descriptor, "wb", closefd=False) as file:  # writes all of it, where os.write may stop
            file.write(text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def least_collision_energy(energy_cut: float) -> float:
    """Return the kinetic energy below which hadrons in a nucleus make no further collisions, GeV.

    All that they could make is below `energy_cut` (total energy): no hadron that lives long enough to collide
    has a mass of 2 GeV. Pythia's own limit, 0.3 GeV, would double the time of a collision near 10 GeV.
    """
    return max(_LEAST_COLLISION_ENERGY, energy_cut - 2.0)


def multiparton_settings(text: str) -> str:
    """Leave the high energies out of Pythia's tables for multiparton interactions.

    Reading them up to 10 PeV takes 1.5 s, two thirds of a start; what stays is read and used as before.

    Parameters
    ----------
    text : str
        Pythia's ``InitDefaultMPI.cmnd``: for each beam a line of (projectile, target, points, least and
        largest energy in GeV, logarithmic step) and a line a point.

    Returns
    -------
    str
        The same up to `_LARGEST_ENERGY`; unchanged where the form is another.
    """
    kept: list[str] = []
    stay = leave = 0
    for line in text.splitlines():
        words = line.strip().rstrip(",}").split()
        if line.startswith("Beams:eCMMaxMPI"):
            kept.append(f"Beams:eCMMaxMPI = {_LARGEST_ENERGY}")
        elif stay:
            kept.append(line)
            stay -= 1
        elif leave:
            leave -= 1
            if line.endswith("}"):
                kept[-1] = kept[-1].rstrip(",") + "}"
        elif len(words) == 6 and words[0].isdigit() and words[2].isdigit():
            points, least, step = int(words[2]), float(words[3]), float(words[5])
            stay = min(math.ceil(math.log(_LARGEST_ENERGY / least) / step) + 1, points)
            leave = points - stay
            largest = least * math.exp((stay - 1) * step)
            kept.append(f"{words[0]} {words[1]} {stay} {words[3]} {largest:.6e} {words[5]},")
        else:
            kept.append(line)
    return "\n".join(kept)


def start_cascade(
    seed: int, collision_seed: int, energy_cut: float, further_settings: Iterable[str] = ()
) -> Any:
    """Return an initialised PythiaCascade; takes about 0.8 s.

    Parameters
    ----------
    seed : int
        Of the engine that chooses processes and decays.
    collision_seed : int
        Of the engine behind the collisions; it can only be set by a file of settings.
    energy_cut : float
        Total energy below which hadrons do not matter, GeV.
    further_settings : iterable of str
        Settings of collisions and decays, such as ``"411:onIfAny = 13"``.

    Raises
    ------
    ShipgenError
        Pythia refuses to start.
    """
    pythia8 = import_pythia()
    lines = (
        multiparton_settings((settings_folder() / _MULTIPARTON_SETTINGS).read_text(encoding="utf-8")),
        f"Print:quiet = on\nRandom:setSeed = on\nRandom:seed = {collision_seed}",
        *further_settings,
        "",
    )
    with _memory_file("\n".join(lines)) as path, silenced():
        cascade = pythia8.PythiaCascade()
        started = cascade.init(
            least_collision_energy(energy_cut),
            0.5,  # enhancement of diffraction on the target's side, Pythia's default
            path,
            False,  # no decays within a collision: rho, omega, phi, eta, eta' are wanted undecayed
            1e-10,  # longest c tau (mm) of such decays
            True,  # nextDecay decays long-lived particles too
            True,  # events list final particles only
        )
    if not started:
        raise ShipgenError("Pythia's cascade did not start: is pythia8mc 8.317 or later installed correctly?")
    cascade.rndm().init(seed)
    return cascade


@cache
def _pristine() -> Any:
    """Return a Pythia that nobody starts, for others to copy its default settings and particle data from."""
    return import_pythia().Pythia("", False)


def start_pythia(settings: list[str]) -> Any:
    """Return an initialised Pythia with `settings`, such as ``"Beams:idB = 2212"``; takes about 0.4 s."""
    with silenced():
        # Copied, because reading them from files costs as much as a start.
        pythia = import_pythia().Pythia(_pristine().settings, _pristine().particleData, False)
        accepted = [pythia.readString(line) for line in ["Print:quiet = on", *settings]]
        started = all(accepted) and pythia.init()
    if not started:
        raise ShipgenError(f"Pythia did not start with {settings}")
    return pythia
