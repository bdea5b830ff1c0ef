"""Access to Pythia 8: its settings folder, quiet start, seeds."""

from __future__ import annotations

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
    from collections.abc import Iterator
    from types import ModuleType

#: Pythia's seeds are 1 to this.
LARGEST_SEED = 900_000_000

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
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def start_cascade(seed: int, collision_seed: int) -> Any:
    """Return an initialised PythiaCascade; takes about 1.5 s.

    Parameters
    ----------
    seed : int
        Of the engine that chooses processes and decays.
    collision_seed : int
        Of the engine behind the collisions; it can only be set by a file of settings.

    Raises
    ------
    ShipgenError
        Pythia refuses to start.
    """
    pythia8 = import_pythia()
    settings = (
        f"include = {settings_folder() / _MULTIPARTON_SETTINGS}\n"
        f"Print:quiet = on\nRandom:setSeed = on\nRandom:seed = {collision_seed}\n"
    )
    with _memory_file(settings) as path, silenced():
        cascade = pythia8.PythiaCascade()
        started = cascade.init(
            0.3,  # least kinetic energy of a collision, GeV
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
