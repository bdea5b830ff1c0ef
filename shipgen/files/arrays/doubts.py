"""Whether numbers agree with what is said of them: unit, frame, charge, and what muons are like.

A file that was read in the wrong unit or frame, or with charges reversed, holds muons that no target makes.
The limits are wide: they tell centimetres from metres and one frame from another, not targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.frames import FRAMES
from shipgen.muons.quantities import Quantities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shipgen.muons.columns import Float64

#: Fewer muons say little.
_FEWEST = 100

#: Muons start over some tens of centimetres to a few metres in z: the target, what lies behind it, and slack.
_SHORTEST, _LONGEST = 2.0, 1000.0

#: Where the first of them start, cm from the target's start.
_FIRST = (-60.0, 100.0)

#: Median momentum, GeV; the proton beam has 400.
_MOMENTA = (1.0, 400.0)

#: Standard errors that the share of positive muons lies below one half by, to say so.
_SIGMAS = 5.0


def doubts(columns: Mapping[str, Float64], target_start: float = 0.0) -> list[str]:
    """Return what looks wrong about muons, a sentence each; an empty list where nothing does.

    Parameters
    ----------
    columns : mapping of str to float64[n]
        Some of a file's muons, 100 or more to say anything: ``px py pz x y z pdg weight`` as
        `shipgen.files.arrays.foreign.ArrayMuons.pieces` yields them: cm, GeV, z from the target's start.
    target_start : float
        z of the target's start in the frame that they were given in, cm: for naming the one that they fit.
    """
    if len(columns["z"]) < _FEWEST:
        return []
    return [
        *_lengths(columns["z"], target_start),
        *_momenta(columns),
        *_charges(columns),
        *_weights(columns["weight"]),
    ]


def _lengths(z: Float64, target_start: float) -> Iterator[str]:
    first, low, high = np.quantile(z, (0.001, 0.05, 0.95)).tolist()
    spread = high - low
    # Muons on a plane say nothing of the unit.
    if 0 < spread < _SHORTEST:
        yield (f"z spreads over {spread:.3g} cm, where muons start over some tens: its unit may be m, not cm")
    elif spread > _LONGEST:
        yield f"z spreads over {spread:.4g} cm, more than target and absorber: its unit may be cm, not m"
    elif spread > 0 and not _FIRST[0] <= first <= _FIRST[1]:
        side = "before" if first < 0 else "behind"
        told = f"the first muons start {abs(first):.5g} cm {side} the target's start"
        stored = first + target_start
        near = [name for name, start in FRAMES.items() if _FIRST[0] <= stored - start <= _FIRST[1]]
        yield f"{told}: the frame may be {near[0] if near else 'another'}"


def _momenta(columns: Mapping[str, Float64]) -> Iterator[str]:
    q = Quantities(columns)
    median = float(np.median(q["p"]))
    if not _MOMENTA[0] <= median <= _MOMENTA[1]:
        yield f"half of the muons have less than {median:.3g} GeV: momenta may be in another unit than GeV"
    if (q["pz"] < 0).mean() > 0.5:
        yield "most muons fly against the beam: z may have the wrong sign"


def _charges(columns: Mapping[str, Float64]) -> Iterator[str]:
    pdg, weight = columns["pdg"], np.abs(columns["weight"])
    if other := int((np.abs(pdg) != 13).sum()):
        yield f"{other:,} of {len(pdg):,} are no muons: their codes are not 13 or -13"
    whole, squares = float(weight.sum()), float(np.square(weight).sum())
    if not whole > 0:
        return
    share = float(weight[pdg < 0].sum()) / whole
    error = 0.5 * np.sqrt(squares) / whole
    if share < 0.5 - _SIGMAS * error:
        yield (
            f"{share:.2%} of the muons are positive, where protons make more positive ones than negative: "
            "charges may have the wrong sign (13 is the negative muon)"
        )


def _weights(weight: Float64) -> Iterator[str]:
    if negative := int((weight < 0).sum()):
        yield f"{negative:,} of {len(weight):,} weights are below zero"
    if not (weight > 0).any():
        yield "all weights are zero"
