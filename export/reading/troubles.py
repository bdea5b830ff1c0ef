"""What training on a sample may stumble over, and the troubles that productions are known for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen_export.reading.beam_position import ORIGIN, PRIMARY
from shipgen_export.reading.formats.cbmsim import WITHOUT_MOTHER
from shipgen_export.reading.formats.flat import CODE_ELSEWHERE
from shipgen_export.reading.formats.sources import labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shipgen_export.reading.formats.sources import Header
    from shipgen_export.reading.prepared_facts import Stated, Used
    from shipgen_export.reading.read_file import FileTally
    from shipgen_export.sample.prepared_index import BeamPlaces, GatheredEntry

#: A muon that carries more of its category's weight than this is reported.
_LARGE_SHARE = 0.01
#: Momenta are float32.
_ROUNDING = 1e-5
#: Muons of a boosted production whose weights show whether the boost is taken off.
TELLING = 100
#: The beam's positions scatter more than its smearing and painting give, by this factor: smeared twice.
_TWICE = 1.2


def known_troubles(header: Header, tally: FileTally, *, unweighted: bool) -> Iterator[str]:
    """Yield troubles that productions are known to have, where this one shows them."""
    if unweighted:
        yield (
            f"a channel was boosted {header.boost:g} times, but all weights are {tally.largest:g}: the boost "
            "is not taken off them, and rates cannot be stated"
        )
    if lost := tally.found.get(WITHOUT_MOTHER):
        yield (
            f"{lost:,} of {tally.muons:,} muons have no mother in the file, as in productions that did not "
            "store all tracks (Mbias2025): their parents are not known, and a first track that is not the "
            "beam's proton does not tell where the beam was"
        )
    if CODE_ELSEWHERE in tally.found:
        yield "its id is 0 everywhere: the PDG codes are taken from pythiaid"


def sample_warnings(
    categories: Mapping[str, GatheredEntry],
    used: Sequence[Used],
    stated: Stated,
    places: BeamPlaces | None,
) -> Iterator[str]:
    """Yield what training on these muons may stumble over."""
    outside = total = 0.0
    for name, entry in categories.items():
        if odd := "; ".join(_odd_category(entry)):
            yield f"{name}: {odd}"
        outside += entry["outside"]
        total += entry["weight"]
    yield from _odd_weights(used)
    yield from _odd_beam(categories, used)
    yield from _odd_spread(used, places)
    lowest_energy = min(one.piece.tally.lowest_energy or np.inf for one in used)
    if stated.energy_cut is not None and lowest_energy < stated.energy_cut * (1 - _ROUNDING):
        yield (
            f"there are muons of {lowest_energy:.4g} GeV below the energy cut of {stated.energy_cut:g} GeV; "
            "it is recorded, but leaves no muon out"
        )
    if outside > _LARGE_SHARE * total:
        lowest = min(low[-4] for low in (entry["minimum"] for entry in categories.values()))
        yield (
            f"{outside / total:.1%} of the weight starts outside target and absorber if the target starts "
            f"at z = {stated.start:g} cm: give the right --target-start (the lowest z is {lowest:g} cm)"
        )


def _odd_category(entry: GatheredEntry) -> Iterator[str]:
    """Yield what is odd about one category."""
    share = entry["largest_weight"] / entry["weight"]
    if share > _LARGE_SHARE:
        yield (
            f"one muon carries {share:.2%} of the weight, the {entry['muons']:,} muons are worth "
            f"{entry['effective']:,.1f} of equal weight"
        )
    shape = entry["normalisation"]
    for feature, low, high in zip(shape["features"], shape["minimum"], shape["maximum"], strict=True):
        if low == high:
            yield f"{feature} is {low:g} for every muon"
    if empty := [part for part, muons in entry["split"].items() if not muons]:
        yield f"no muon is in the part {' or '.join(empty)}"


def _odd_weights(used: Sequence[Used]) -> Iterator[str]:
    """Yield files without events, all of whose muons have weight 1: enhanced samples look like that."""
    for name, one in zip(labels([one.source for one in used]), used, strict=True):
        muons = one.piece.tally.muons
        header = one.source.header
        same = one.largest == 1.0 and one.piece.tally.smallest == 1.0
        if one.source.kind.group == "entry" and muons and same and header.pot is None:
            yield (
                f"{name}: all weights are 1: they say nothing of rates, and if the sample was "
                "enhanced in some region nothing corrects it"
            )


def _odd_beam(categories: Mapping[str, GatheredEntry], used: Sequence[Used]) -> Iterator[str]:
    """Yield when no muon is on-axis although prompt muons should be."""
    if any(name.endswith("onaxis") for name in categories):
        return
    if any(one.look.case == PRIMARY for one in used):
        yield "no muon starts where its event's primary track starts: is that track the beam's proton?"
    elif all(one.look.found == ORIGIN for one in used):
        yield "no muon starts at x = y = 0: all count as off-axis; was the beam smeared?"


def _odd_spread(used: Sequence[Used], places: BeamPlaces | None) -> Iterator[str]:
    """Yield when the beam scatters more than its files say."""
    stated = [one.source.header.spread for one in used]
    if places is None or None in stated:
        return
    highest = max(each or 0.0 for each in stated)
    found = np.hypot(places["x"]["standard_deviation"], places["y"]["standard_deviation"]) / np.sqrt(2)
    if found > _TWICE * highest:
        yield (
            f"the beam's positions scatter by {found:.3g} cm, where smearing and painting of the files give "
            f"{highest:.3g} cm: were they smeared twice?"
        )
