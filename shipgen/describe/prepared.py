"""A prepared sample in lines of text, from its ``prepared.json`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def describe_prepared(index: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each file gave, the normalisation of the weights, the beam, the categories, their ranges."""
    for source in index["sources"]:
        yield _source(source)
        yield from (f"  dropped {_dropped(entry)}" for entry in source["dropped"])
    if len(index["sources"]) > 1 and index["dropped"]:
        yield "in all"
        yield from (f"  dropped {_dropped(entry)}" for entry in index["dropped"])
    for entry in index.get("excluded", ()):
        yield f"left out: {entry['name']} (by {entry['entry']})"
    for entry in index.get("skipped", ()):
        yield f"skipped: {entry['reason']}"
    yield from _normalisation(index)
    if "beam" in index:
        yield from _beam(index["beam"])
    yield from _table(index)
    yield from _ranges(index)
    yield from (f"warning: {warning}" for warning in index["warnings"])


def _source(source: Mapping[str, Any]) -> str:
    counts = {"entries": source["entries"], **source["found"], "muons": source["muons"]}
    numbers = ", ".join(f"{number:,} {what}" for what, number in counts.items())
    return f"{source['name']} ({source['kind']}): {numbers}, weight {source['weight']:.6g}"


def _dropped(entry: Mapping[str, Any]) -> str:
    weight = "of unknown weight" if entry["weight"] is None else f"weight {entry['weight']:.6g}"
    return f"{entry['muons']:,} ({weight}): {entry['reason']}"


def _normalisation(index: Mapping[str, Any]) -> Iterator[str]:
    if index["pot"] is None:
        yield (
            "weights: their normalisation is unknown, rates cannot be stated; "
            "give --pot now or to `shipgen export`"
        )
    else:
        yield f"weights: their sum is the number of muons {index['weight_unit']}"
    if index.get("survival") == "out":
        yield "survival out: weights count muons where they are produced, to be tracked through the absorber"
    cut = "unknown" if index["energy_cut"] is None else f"{index['energy_cut']:g} GeV"
    assumed = " (assumed; --target-start states it)" if index["target_start_assumed"] else ""
    yield f"energy cut {cut}; target starts at z = {index['target_start']:g} cm{assumed}"


def _beam(beam: Mapping[str, Any]) -> Iterator[str]:
    chosen = "" if beam["choice"] == "auto" else f", as asked for by --beam {beam['choice']}"
    yield f"beam {beam['case']}; x and y {beam['xy']}{chosen}"
    if "events" in beam:
        parts = ", ".join(
            f"{axis} {beam[axis]['mean']:.4g} +- {beam[axis]['standard_deviation']:.4g} cm" for axis in "xyr"
        )
        yield f"  mean and standard deviation in {beam['events']:,} events: {parts}"


def _table(index: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line a category that has muons, then the names of the others."""
    from shipgen.muons.categories import CATEGORY_NAMES

    parts = list(next(iter(index["categories"].values()))["split"])
    rows: list[Sequence[str]] = [
        ("category", "muons", "weight", "per POT", "effective", "largest", *parts),
    ]
    for name, entry in index["categories"].items():
        rate = "unknown" if index["pot"] is None else f"{entry['weight'] / index['pot']:.4e}"
        share = f"{entry['largest_weight'] / entry['weight']:.2%}"
        counts = (f"{entry['split'][part]:,}" for part in parts)
        weight, effective = f"{entry['weight']:.6g}", f"{entry['effective']:,.1f}"
        rows.append((name, f"{entry['muons']:,}", weight, rate, effective, share, *counts))
    yield from _aligned(rows)
    if missing := [name for name in CATEGORY_NAMES if name not in index["categories"]]:
        yield f"no muons: {', '.join(missing)}"
    for name, entry in index["categories"].items():
        if entry["muons"] < entry.get("found", entry["muons"]):
            yield (
                f"{name}: {entry['muons']:,} of {entry['found']:,} muons drawn (seed {index['seed']}), their "
                f"weights x {entry['weight_factor']:.6g}: the sum is that of all"
            )


def _ranges(index: Mapping[str, Any]) -> Iterator[str]:
    """Yield the smallest and largest value of each feature among all muons found, cm and GeV."""
    entries = {name: entry for name, entry in index["categories"].items() if "minimum" in entry}
    if not entries:
        return
    names = max((entry["normalisation"]["features"] for entry in entries.values()), key=len)
    rows: list[Sequence[str]] = [("range (cm, GeV)", *names)]
    for category, entry in entries.items():
        features = entry["normalisation"]["features"]
        ranges = {
            feature: f"{low:.6g} to {high:.6g}"
            for feature, low, high in zip(features, entry["minimum"], entry["maximum"], strict=True)
        }
        rows.append((category, *(ranges.get(name, "0") for name in names)))
    yield from _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells))
