"""What one run of FairShip's ``run_fixedTarget.py`` states: protons, energy cut, boosts, splits, beam.

Up to March 2026 it says so in the title of ``FileHeader`` (``POT = 1000 with ecut=10.0 V diMu100.0``), since
then also by its options as JSON in ``FileSummary``: ``nev`` are the protons simulated, ``ecut`` is the cut;
``pot`` is what charm and beauty are normalised to, a spill, and their ``nev`` counts pairs of hadrons. Files
of the collaboration's productions state ``PoT`` and ``EnergyCut``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen_export.reading.formats.sources import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NUMBER = r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_TITLE = re.compile(rf"POT( equivalent)?\s*=\s*{_NUMBER}")
_CUT = re.compile(rf"ecut\s*=\s*{_NUMBER}")
#: What follows the cut: letters of options, and boosts.
_LETTER = {"J": "JpsiMainly", "T": "tauOnly"}
_BOOST = {"diMu": "boostDiMuon", "X": "boostFactor"}
#: ``prodSite`` of files with muons of our own, and a word of their titles.
_OURS = "shipgen"

#: Options that make more muons than there are, and what of.
_UNWEIGHTED = {
    "JpsiMainly": "J/psi and Upsilon that all decay to muons, with weight 1",
    "tauOnly": "D_s that all decay to tau, with weight 1",
}
_BOOSTED = {
    "boostDiMuon": "rare decays to two muons boosted {:g} times",
    "boostFactor": "muon pairs of photons and positrons boosted {:g} times",
}


@dataclass(frozen=True)
class FixedTargetRun:
    """What one run states.

    Attributes
    ----------
    protons : float, optional
        Simulated; ``None`` where it does not say, or where muons do not stand for them.
    energy_cut : float, optional
        GeV.
    spill : bool
        Whether its weights stand for a spill.
    uncounted : bool
        Whether its muons stand for no number of protons.
    boost : float
        Largest factor that a channel was boosted by; 1 for none.
    drawn : bool
        Whether its muons were drawn by shipgen's source.
    spread : float, optional
        Standard deviation of the beam's x, and of its y, that smearing and painting give, cm.
    notes : tuple of str
        What is odd, and what the user should know.
    """

    protons: float | None = None
    energy_cut: float | None = None
    spill: bool = False
    uncounted: bool = False
    boost: float = 1.0
    drawn: bool = False
    spread: float | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of_summary(cls, summary: Mapping[str, Any] | None) -> FixedTargetRun:
        """Read a ``FileSummary``."""
        options = summary or {}
        protons, cut = number(options, "PoT"), number(options, "EnergyCut")
        if "nev" in options:
            protons = number(options, "nev") if protons is None else protons
            cut = number(options, "ecut") if cut is None else cut
        found = _of_options(options, protons, cut)
        if options.get("prodSite") == _OURS:
            return _drawn(cut, number(options, "PoT"))
        if options.get("charm") is True or options.get("beauty") is True:
            kind = "charm" if options.get("charm") is True else "beauty"
            spill = number(options, "pot")
            text = f"its nev counts pairs of {kind}, not protons: such weights stand for a spill"
            text += f" of {spill:g} POT, each file's" if spill else ""
            return cls(
                None, cut, spill=True, boost=found.boost, spread=found.spread, notes=(text, *found.notes)
            )
        return found

    @classmethod
    def of_title(cls, title: str) -> FixedTargetRun:
        """Read the title of a ``FileHeader``."""
        match, cut = _TITLE.search(title), _CUT.search(title)
        energy_cut = float(cut[1]) if cut else None
        if _OURS in title:
            return _drawn(energy_cut, float(match[2]) if match and not match[1] else None)
        if match is None:
            return cls(energy_cut=energy_cut)
        if match[1]:
            text = f"{match[0]!r} in FileHeader is not used: such weights stand for a spill"
            return cls(energy_cut=energy_cut, spill=True, notes=(text,))
        options: dict[str, Any] = {}
        for word in title[match.end() :].split():
            if word in _LETTER:
                options[_LETTER[word]] = True
            for mark, option in _BOOST.items():
                if re.fullmatch(mark + _NUMBER, word):
                    options[option] = float(word.removeprefix(mark))
        return _of_options(options, float(match[2]), energy_cut)


def _of_options(
    options: Mapping[str, Any], protons: float | None, energy_cut: float | None
) -> FixedTargetRun:
    """Read the options that decide what muons stand for."""
    notes = [
        f"its events have {what}: they do not stand for its {protons or 0:g} POT"
        for option, what in _UNWEIGHTED.items()
        if options.get(option) is True
    ]
    uncounted = bool(notes)
    boost = 1.0
    for option, what in _BOOSTED.items():
        factor = number(options, option) or 1.0
        if factor > 1:
            boost = max(boost, factor)
            notes.append(f"it was made with {what.format(factor)}")
    notes += _splits(options)
    smear, paint = (number(options, name) or 0.0 for name in ("beam_smear", "beam_paint"))
    spread = None
    if "beam_smear" in options or "beam_paint" in options:
        # In mm; painted on a circle.
        spread = (smear**2 + paint**2 / 2) ** 0.5 / 10
    return FixedTargetRun(
        protons,
        energy_cut,
        uncounted=uncounted,
        boost=boost,
        spread=spread,
        notes=tuple(notes),
    )


def _splits(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of productions with split kaons and pions."""
    for option in options:
        times = number(options, option)
        if "split" in option.lower() and times is not None and times > 0 and options[option] is not True:
            yield (
                f"{option} {times:g}: kaons and pions were split before they decay; FairShip before "
                "September 2026 lost muons by that, 2.8 % of their rate"
            )


def _drawn(energy_cut: float | None, protons: float | None) -> FixedTargetRun:
    """Return a run of our own source, whose ``nev`` counts muons or events."""
    text = "its muons were drawn by shipgen's source: training on them adds no knowledge"
    text += "" if protons else ", and the number of its events is not that of protons"
    return FixedTargetRun(protons, energy_cut, drawn=True, notes=(text,))
