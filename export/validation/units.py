"""Whether two samples are in the same units and frame, as far as their muons tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen.muons.categories import CATEGORIES
from shipgen_export.validation.counting.compared_quantities import LABELS, plain, quantities

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.validation.samples.samples import Sample

#: Largest factor between typical lengths or momenta of two samples in the same units.
_SAME_UNIT = 20.0

#: Muons below which nothing is typical.
_TYPICAL = 20

#: Momentum of the beam, GeV: no muon has more.
_BEAM = 400.0

#: Largest distance of the typical z of two samples in the same frame, cm.
_SAME_FRAME = 1000.0

#: Factor between units -> what they are, of momenta and of lengths; and how near a ratio has to come to one.
_UNITS = {"GeV": {1000.0: "MeV and GeV"}, "cm": {10.0: "mm and cm", 100.0: "m and cm", 1000.0: "m and mm"}}
_NEAR = 2.5


def differ(generated: Sample, reference: Sample) -> str | None:
    """Return why two samples seem to be in other units or frames, ``None`` where they do not."""
    first, second = _joined(generated), _joined(reference)
    for sample, values in ((generated, first), (reference, second)):
        typical = float(np.median(values["p"]))
        if typical > _BEAM:
            return (
                f"p of {sample.label} is typically {typical:.4g} GeV, above the beam's {_BEAM:g} GeV: "
                "it is in other units (MeV); nothing is compared"
            )
    for name in ("p", "pt"):
        if (odd := _scales(name, first[name], second[name], generated, reference)) is not None:
            return odd
    for category in CATEGORIES:
        if not category.on_axis and all(category.name in s.draws for s in (generated, reference)):
            places = [quantities(s.draws[category.name].features)["r"] for s in (generated, reference)]
            if (odd := _scales("r", places[0], places[1], generated, reference)) is not None:
                return odd
    middle = [float(np.median(values["z"])) for values in (first, second)]
    if abs(middle[0] - middle[1]) > _SAME_FRAME:
        return (
            f"z of {generated.label} is typically {middle[0]:.4g} cm from the target's start, that of "
            f"{reference.label} {middle[1]:.4g} cm: one is in another frame or unit; state it, of arrays by "
            "--frame and --unit, of other files by `shipgen prepare --target-start`"
        )
    return None


def _joined(sample: Sample) -> dict[str, Float64]:
    """Return the quantities that all categories have, of all muons drawn."""
    return quantities(np.concatenate([muons.features[:, -4:] for muons in sample.draws.values()]))


def _scales(name: str, a: Float64, b: Float64, generated: Sample, reference: Sample) -> str | None:
    """Return what is odd about the typical values of a quantity."""
    typical = [float(np.median(np.abs(values))) for values in (a, b)]
    if len(a) < _TYPICAL or len(b) < _TYPICAL or min(typical) <= 0:
        return None
    times = max(typical) / min(typical)
    if times <= _SAME_UNIT:
        return None
    unit = LABELS[name][1]
    known = [text for factor, text in _UNITS[unit].items() if factor / _NEAR < times < factor * _NEAR]
    why = (
        f"as between {' or '.join(known)}: one of them is in other units"
        if known
        else "which no unit explains: are they of the same cut, and of the same kind?"
    )
    return (
        f"{plain(name)} of {generated.label} is typically {typical[0]:.3g} {unit}, that of "
        f"{reference.label} {typical[1]:.3g} {unit}, {times:.3g} times, {why}; nothing is compared"
    )
