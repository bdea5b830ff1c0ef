"""A bundle's card: what it was learnt from, how good it is, and what it must not be used for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from shipgen.bundle.bundle import SURVIVAL, Bundle
from shipgen.describe.describe import own_error
from shipgen.describe.muon_files import per_spill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Relative error of the networks, by their training, beyond which a tail is named as not known; per cent.
_UNKNOWN = 10.0


def card(bundle: Bundle, where: str) -> Iterator[str]:
    """Yield the lines of a bundle's card; `where` says where it is."""
    sample = _sample(bundle.provenance)
    sources = [one for one in _list(sample.get("sources")) if isinstance(one, dict)]
    made = [_dict(one.get("provenance")) for one in sources]
    yield f"{bundle.name}: {bundle.label}"
    yield _row("is", f"{where}, sha256 {bundle.sha256}")
    yield _row("sample", _sample_line(sample, sources, made))
    start = _dict(bundle.provenance.get("adapted_from"))
    if names := ", ".join(map(str, _list(start.get("categories")))):
        yield _row("start", f"{names}: what the bundle {start.get('name')} makes, corrected by the sample")
    yield _row("target", _one([_target(one) for one in made], "not stated"))
    if hadrons := _one([str(one["hadrons"]) for one in made if one.get("hadrons")], ""):
        yield _row("hadrons", hadrons)
    yield _row("cut", f"kinetic energy above {bundle.energy_cut:.4g} GeV where the muon starts")
    yield _row("survival", f"{bundle.survival}: {SURVIVAL[bundle.survival]}")
    yield _row("rate", f"{bundle.rate:.4e} muons per proton on target; {per_spill(bundle.rate)}")
    for entry in bundle.entries:
        yield _row("", f"{entry.category.name:16} {entry.rate:.4e}")
    yield from _figures(bundle)
    if names := ", ".join(bundle.variations):
        yield _row("variations", names)
    for number, text in enumerate(warnings(bundle, made)):
        yield _row("" if number else "not for", f"- {text}")


def warnings(bundle: Bundle, made: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what a bundle must not be used for; `made` is how the files of its sample were made."""
    if made and all("Pythia" in str(one.get("generator", "")) for one in made):
        yield (
            "background estimates of the experiment: its muons are those of a simplified cascade, not of "
            "the experiment's production"
        )
    elif not made:
        yield "anything that depends on what it learnt from, which it does not state"
    yield f"muons below {bundle.energy_cut:.4g} GeV: none are made"
    if bundle.survival == "in":
        yield "tracking through the absorber below 15 GeV: the probability to leave it is in the rates"
    else:
        yield "muons behind the absorber, unless they are tracked through it"
    for name, error in _unknown(bundle).items():
        yield f"{name}: the networks know it to {error:.0f} % only"
    if bundle.weighted:
        yield "counting muons: their weights differ, sum these"
    if bundle.missing:
        yield f"{', '.join(one.category.name for one in bundle.missing)}: it has no network of these"
    yield "parents, times, or several muons of one proton: networks know none of it"


def _figures(bundle: Bundle) -> Iterator[str]:
    merits = [_dict(entry.details.get("figure_of_merit")) for entry in bundle.entries]
    for title, found in (("AUC", merits), ("hard AUC", [_dict(one.get("hard")) for one in merits])):
        own, real = _range(found), _range([_dict(one.get("control")) for one in found])
        if own:
            yield _row(title, f"{own}; simulated against simulated {real or 'not stated'}")


def _range(merits: Sequence[Mapping[str, Any]]) -> str:
    values = [value for one in merits if (value := _number(one.get("auc"))) is not None]
    if not values:
        return ""
    low, high = f"{min(values):.3f}", f"{max(values):.3f}"
    return low if low == high else f"{low} to {high}"


def _unknown(bundle: Bundle) -> dict[str, float]:
    """Return tails of which the networks' own error is large, with that of the worst category."""
    worst: dict[str, float] = {}
    for entry in bundle.entries:
        quantities = _dict(_dict(entry.details.get("uncertainty")).get("quantities"))
        for name, facts in quantities.items():
            stated = own_error(facts)
            if stated != "none" and float(stated) > _UNKNOWN:
                worst[name] = max(worst.get(name, 0.0), float(stated))
    return worst


def _sample(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a bundle, or the one that it was made from, says of its sample."""
    while isinstance(base := provenance.get("base"), dict) and "sample" not in provenance:
        provenance = _dict(base.get("provenance"))
    return _dict(provenance.get("sample"))


def _sample_line(
    sample: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]]
) -> str:
    muons = [number for one in sources if (number := _number(one.get("muons"))) is not None]
    pot = [number for one in sources if (number := _number(one.get("pot"))) is not None]
    words = [f"{sum(muons):,.0f} muons" if muons else "not stated"]
    if pot and len(pot) == len(sources):
        words.append(f"of {sum(pot):,.0f} protons on target")
    if len(sources) > 1:
        words.append(f"in {len(sources)} files")
    if names := _one([str(one["generator"]) for one in made if one.get("generator")], ""):
        words.append(f"({names})")
    if sha256 := sample.get("sha256"):
        words.append(f"sha256 {sha256}")
    return " ".join(words)


def _target(provenance: Mapping[str, Any]) -> str:
    target = _dict(provenance.get("target"))
    if not target.get("name"):
        return ""
    return f"{target['name']}: {target.get('description', 'not described')}"


def _one(texts: list[str], otherwise: str) -> str:
    """Join what differs among `texts`."""
    return "; ".join(dict.fromkeys(text for text in texts if text)) or otherwise


def _row(title: str, text: str) -> str:
    return f"  {title:11} {text}"


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    """Return a number that is one, of a file that may say anything."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if plain else None  # type: ignore[arg-type]
