"""The muon source for FairShip: a ``FairGenerator`` that makes its muons while the simulation runs.

>>> from shipgen.fairship import muon_source
>>> source = muon_source(seed=1)
>>> primGen.AddGenerator(source)
>>> ...  # run
>>> header.SetTitle(f"POT = {source.muons.pot:.6g}")

FairShip's environment needs NumPy and ONNX Runtime beside shipgen. ROOT is imported when a source is made.
`docs/fairship.md` shows the lines of a simulation macro.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, ShipgenError
from shipgen.muon_events import MuonEvents

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle import Bundle

#: What FairRoot calls the source in its messages.
NAME = "shipgen"

#: FairRoot keeps pointers to its generators, which Python does not count.
_ALIVE: list[Any] = []


def muon_source(
    bundle: Bundle | Path | str | None = None,
    *,
    seed: int | None = None,
    muons_per_event: int | None = None,
    pot_per_event: float | None = None,
    energy_cut: float | None = None,
    smear_beam: float = 0.0,
    paint_beam: float = 0.0,
    target_z: float = 0.0,
    base: type | None = None,
) -> Any:
    """Return a generator for ``FairPrimaryGenerator.AddGenerator``.

    Its attribute ``muons`` is the `shipgen.muon_events.MuonEvents` that it reads: seed, weight, events and
    muons so far, the protons on target that these stand for, and FairShip's ``FileSummary``.

    Parameters
    ----------
    bundle, seed, muons_per_event, pot_per_event, energy_cut, smear_beam, paint_beam, target_z
        As for `shipgen.muon_events.MuonEvents`: one muon an event, an endless series, vertices not smeared.
    base : type, optional
        What to derive from; ``ROOT.FairGenerator`` when not given.

    Raises
    ------
    InputError
        An option is out of range, or ROOT has no ``FairGenerator``. A bundle that cannot be used is told by
        ``Init``, which FairRoot calls and which then returns false.
    """
    muons = MuonEvents(
        bundle,
        seed=seed,
        muons_per_event=muons_per_event,
        pot_per_event=pot_per_event,
        energy_cut=energy_cut,
        smear_beam=smear_beam,
        paint_beam=paint_beam,
        target_z=target_z,
    )
    if base is not None:
        source = _derive(base)(muons)
    else:
        root = _root()
        source = _derive(root.FairGenerator)(muons)
        # The primary generator deletes what was added to it.
        root.SetOwnership(source, False)
    _ALIVE.append(source)
    return source


def _root() -> Any:
    """Return the module ROOT; raise `InputError` where it has no FairRoot."""
    try:
        import ROOT
    except ImportError as error:
        raise InputError("ROOT cannot be imported: run this in FairShip's environment") from error
    if not hasattr(ROOT, "FairGenerator"):
        raise InputError("ROOT knows no FairGenerator: run this in FairShip's environment (FairRoot loaded)")
    return ROOT


@cache
def _derive(base: Any) -> Any:
    """Return the class of sources with the base class `base`."""

    # FairRoot's methods stand in the class itself: PyROOT does not look for them in another base.
    class MuonSource(base):  # type: ignore[misc]
        """Muons of shipgen for FairRoot."""

        def __init__(self, muons: MuonEvents) -> None:
            super().__init__(NAME)
            self.muons = muons
            self._told = False

        # What would leave these two goes through the simulation's own frames, with its files open.
        def Init(self) -> bool:  # noqa: N802
            """Load the bundle; say why and return false where that fails."""
            try:
                self.muons.open()
            except Exception as error:  # noqa: BLE001
                self._tell(error)
                return False
            return True

        def ReadEvent(self, primary: Any) -> bool:  # noqa: N802
            """Pass the next event's muons to `primary`; say why and return false, which ends the run."""
            if self._told:
                return False
            try:
                self.muons.next_event(primary.AddTrack)
            except Exception as error:  # noqa: BLE001
                self._tell(error)
                return False
            return True

        def _tell(self, error: Exception) -> None:
            """Say what is wrong, once: FairRoot goes on to the first event when `Init` fails."""
            kind = "" if isinstance(error, ShipgenError) else f"{type(error).__name__}: "
            sys.stderr.write(f"{NAME}: {kind}{' '.join(str(error).split())}\n")
            self._told = True

    return MuonSource
