"""A stand-in for FairShip's ``FixedTargetGenerator``, whose muons come from networks.

>>> from shipgen.fairship import FixedTargetGenerator
>>> P8gen = FixedTargetGenerator()          # in place of ROOT.FixedTargetGenerator()

It takes what macros have said to the original in any version, from 2017 on. What decides where and
which muons start is done: seed, beam, target, cut. What networks cannot do is refused when it is
asked for, before the geometry is built. The rest has no effect, which is said once. An event is a muon, not a
proton.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from shipgen.errors import InputError, ShipgenError
from shipgen.fairship.frame import ADVICE, find_target
from shipgen.fairship.metadata import Output
from shipgen.fairship.source import NAME, find_root, make_source, open_muons, say
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

#: GeV; what networks are trained on are protons of this momentum.
_MOMENTUM = 400.0

#: The original's beam where a macro does not say it, cm, since it smears (September 2025).
_OWN_BEAM = {"smear_beam": 0.8, "paint_beam": 5.0}

#: What has no effect -> why, where that is not plain.
_IGNORED = {
    "SetZoffset": "protons start there, muons in the target",
    "SetHeartBeat": "",
    "SetDebug": "",
    "SetChicc": "",
    "SetChibb": "",
    "SetOnlyMuons": "there are no others",
    "UseRandom1": "",
    "UseRandom3": "",
    "SetNEvents": "",
    "Print": "",
}

#: What cannot be done -> what it would be, and what to type in its place.
_REFUSED = {
    "InitForCharmOrBeauty": "charm and beauty from a file: leave out --charm (-C) and --beauty (-B)",
    "SetTauOnly": "Ds decays to tau alone: leave out --tau-only (-t)",
    "SetJpsiMainly": "decays of J/psi to muons alone: leave out --Jpsi-mainly (-J)",
    "SetDrellYan": "Drell-Yan processes alone",
    "SetPhotonCollision": "photon collisions alone",
    "SetG4only": "protons that Geant4 lets interact: leave out --G4only (-G)",
    "WithEvtGen": "decays by EvtGen, which the file would claim: add --pythiaDecay (-P)",
    "SetOpt4DP": "an ntuple of light mesons: leave out --4darkPhoton (-D)",
    "SetVetoJpsi": "J/psi replaced by others: leave out --jpsi-inject",
    "SetParameters": "settings of Pythia",
}


class RefusedError(InputError, SystemExit):
    """Networks cannot do what a macro asks for; ends a macro that does not catch it, with one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = f"{NAME}: {message}"


class StandIn:
    """What macros say to the generator, and what it answers.

    Parameters
    ----------
    muons : MuonEvents
        Of which the options are set.
    target_z : float, optional
        Where the target starts in the geometry, cm; else what the macro or the geometry says.

    Raises
    ------
    RefusedError
        By the methods: networks cannot do that.
    """

    #: Of the original, in any version.
    METHODS = (
        *("SetMom", "SetSeed", "SetEnergyCut", "SetSmearBeam", "SetPaintRadius", "SetXoffset", "SetYoffset"),
        *("SetTarget", "SetTargetCoordinates", "SetCharmTarget", "SetBoost", "SetPythiaTune"),
        *("GetPythia", "GetPythiaN", "GetPotForCharm"),
        *_IGNORED,
        *_REFUSED,
    )

    def __init__(self, muons: MuonEvents, target_z: float | None = None) -> None:
        self.muons, self.output = muons, Output(muons)
        self._asked, self._target, self._start = target_z, "", target_z
        self._ignored: list[str] = []
        self._pythia: Any = None
        self._prepared = False

    def __getattr__(self, name: str) -> Any:
        if name in _IGNORED:
            return lambda *_: self._ignored.append(name)
        if name in _REFUSED:
            return lambda *_: refuse(_REFUSED[name])
        if name[:1].isupper():
            raise RefusedError(
                f"the macro asks the generator for {name}, which this version of shipgen does not know"
            )
        raise AttributeError(name)

    def SetMom(self, momentum: float) -> None:  # noqa: N802
        """Take the protons' momentum, GeV, if it is the networks'."""
        if abs(momentum - _MOMENTUM) > 1e-3 * _MOMENTUM:
            refuse(f"protons of {momentum:g} GeV: theirs have {_MOMENTUM:g} GeV")

    def SetSeed(self, seed: float) -> None:  # noqa: N802
        """Take the seed; as for Pythia, another one at each run if it is 0."""
        if seed != int(seed) or seed < 0:
            refuse(f"the seed {seed:g}: give a whole number, or 0 for another one at each run")
        self._set(seed=int(seed) or None)

    def SetEnergyCut(self, cut: float) -> None:  # noqa: N802
        """Take the cut on the kinetic energy, GeV, if it is not below the bundle's."""
        least = self.muons.bundle.energy_cut
        # A C++ float there.
        if cut < least * (1 - 1e-6):
            refuse(f"muons below {least:g} GeV, the cut of the bundle: give --ecut (-e) {least:g} or more")
        self._set(energy_cut=max(float(cut), least))

    def SetSmearBeam(self, deviation: float) -> None:  # noqa: N802
        """Take the standard deviation of the beam's position, cm."""
        self._select(smear_beam=float(deviation))

    def SetPaintRadius(self, radius: float) -> None:  # noqa: N802
        """Take the radius of the circle that the beam is painted on, cm."""
        self._select(paint_beam=float(radius))

    def SetXoffset(self, x: float) -> None:  # noqa: N802
        """Take where the beam is, cm."""
        self._set(offset_x=float(x))

    def SetYoffset(self, y: float) -> None:  # noqa: N802
        """Take where the beam is, cm."""
        self._set(offset_y=float(y))

    def SetTarget(self, path: Any, x: float, y: float) -> None:  # noqa: N802
        """Take the path of the target in the geometry, and where the beam is, cm."""
        self._target = str(path)
        self._set(offset_x=float(x), offset_y=float(y))

    def SetTargetCoordinates(self, start: float, end: float) -> None:  # noqa: N802
        """Take where the target starts and ends, cm."""
        if not end > start:
            refuse(f"a target from z = {start:g} to {end:g} cm")
        self._start = float(start) if self._asked is None else self._asked

    def SetCharmTarget(self, charm: bool = True) -> None:  # noqa: N802
        """Refuse the target of the charm measurement."""
        if charm:
            refuse("muons of another target, that of the charm measurement")

    def SetBoost(self, factor: float) -> None:  # noqa: N802
        """Refuse to boost decays to two muons."""
        if factor != 1:
            refuse(f"decays to two muons boosted by {factor:g}: leave out --boostDiMuon (-b)")

    def SetPythiaTune(self, tune: Any) -> None:  # noqa: N802
        """Refuse another tune than the default one."""
        if str(tune) != "default":
            refuse(f"the tune {tune}: leave out --pythia8-tune")

    def GetPotForCharm(self) -> float:  # noqa: N802
        """Return the protons on target that the events so far stand for."""
        return self.muons.pot

    def GetPythia(self) -> Any:  # noqa: N802
        """Return a Pythia of its own, whose branching ratios macros copy to Geant4; it makes no muons."""
        if self._pythia is None:
            root = find_root()
            if not hasattr(root, "Pythia8"):
                root.gInterpreter.Declare('#include "Pythia8/Pythia.h"')
            if not hasattr(root, "Pythia8"):
                raise RefusedError("ROOT finds no Pythia8, whose branching ratios the macro asks for")
            self._pythia = root.Pythia8.Pythia()
            self._pythia.readString("ProcessLevel:all = off")
        return self._pythia

    GetPythiaN = GetPythia

    def prepare(self) -> None:
        """Find where the target starts, and say what the muons are; the geometry is there.

        Raises
        ------
        RefusedError
            Where it starts is not known, or the bundle cannot be used.
        """
        if self._prepared:
            return
        try:
            if self._start is None and not self._target:
                raise InputError(f"the macro does not name the target: {ADVICE}")
            start = find_target(self._target) if self._start is None else self._start
            self._set(target_z=start)
            open_muons(self.muons)
        except ShipgenError as error:
            raise RefusedError(str(error)) from error
        self._prepared = True
        self.output.find()
        self._tell()

    def _tell(self) -> None:
        """Say once what is in place of the original."""
        muons, options = self.muons, self.muons.options
        size = "a Poisson number of muons" if options.size is None else f"{options.size} muon(s)"
        say(
            f"in place of FixedTargetGenerator: {size} an event, not a proton; kinetic energy above "
            f"{muons.energy_cut:g} GeV; target from z = {options.target_z:g} cm, beam at x = "
            f"{options.offset_x:g}, y = {options.offset_y:g} cm, {options.selection.beam}"
        )
        without = [
            f"{name} ({why})" if (why := _IGNORED[name]) else name for name in dict.fromkeys(self._ignored)
        ]
        if without:
            say(f"without effect: {', '.join(without)}")

    def _set(self, **changes: Any) -> None:
        """Change options; the run has not begun."""
        try:
            self.muons.options = replace(self.muons.options, **changes)
        except InputError as error:
            raise RefusedError(str(error)) from error

    def _select(self, *, smear_beam: float | None = None, paint_beam: float | None = None) -> None:
        before = self.muons.options.selection
        try:
            chosen = replace(
                before,
                smear_beam=before.smear_beam if smear_beam is None else smear_beam,
                paint_beam=before.paint_beam if paint_beam is None else paint_beam,
            )
            self._set(selection=chosen)
        except InputError as error:
            raise RefusedError(str(error)) from error


def refuse(what: str) -> NoReturn:
    """Raise `RefusedError` with what networks cannot do."""
    raise RefusedError(f"networks cannot make {what}")


def FixedTargetGenerator(  # noqa: N802
    bundle: Bundle | Path | str | None = None,
    *,
    muons_per_event: int | None = None,
    pot_per_event: float | None = None,
    target_z: float | None = None,
    categories: tuple[str, ...] = (),
    charge_fraction: float | None = None,
    variation: str | None = None,
    base: type | None = None,
    original: Any = None,
) -> Any:
    """Return a generator with the methods of FairShip's, for ``FairPrimaryGenerator.AddGenerator``.

    When the process ends, the output of the run is told what is in it: `shipgen.fairship.metadata`.

    Parameters
    ----------
    bundle : Bundle or path, optional
        The networks; the default bundle when not given.
    muons_per_event, pot_per_event
        As for `shipgen.fairship.muon_source`: one muon an event.
    target_z : float, optional
        Where the target starts, cm; what the macro says, or the geometry, when not given.
    categories, charge_fraction
        Which muons of the bundle, in which mixture.
    variation
        As for `shipgen.fairship.muon_source`.
    base : type, optional
        What to derive from in Python; ``ROOT.FairGenerator``, in C++, when not given.
    original : type, optional
        FairShip's class, whose beam is taken where the macro does not say it: 8 mm on a circle of 5 cm if it
        can smear, else none; ``ROOT.FixedTargetGenerator`` when not given.

    Raises
    ------
    RefusedError
        An option is out of range, or the bundle cannot be used.
    """
    if original is None:
        original = getattr(sys.modules.get("ROOT"), "FixedTargetGenerator", None)
    own_beam: dict[str, Any] = dict(_OWN_BEAM) if hasattr(original, "SetSmearBeam") else {}
    try:
        options = EventOptions(
            muons_per_event=muons_per_event,
            pot_per_event=pot_per_event,
            target_z=target_z or 0.0,
            selection=Selection(categories, charge_fraction, **own_beam),
            variation=variation,
        )
        muons = MuonEvents(bundle, options)
        # Now, not when the geometry has been built.
        _ = muons.bundle, muons.variation
        stand_in = StandIn(muons, target_z)
        return make_source(muons, base, stand_in)
    except ShipgenError as error:
        raise RefusedError(str(error)) from error
