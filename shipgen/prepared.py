"""A prepared sample in lines of text, from its ``prepared.json`` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def describe_prepared(index: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was found and dropped in each file, the normalisation of the weights, and the categories."""
    for source in index["sources"]:
        yield _source(source)
        yield from (f"  dropped {_dropped(entry)}" for entry in source["dropped"])
    if len(index["sources"]) > 1 and index["dropped"]:
        yield "in all"
        yield from (f"  dropped {_dropped(entry)}" for entry in index["dropped"])
    yield from _normalisation(index)
    yield from _table(index)
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
    cut = "unknown" if index["energy_cut"] is None else f"{index['energy_cut']:g} GeV"
    assumed = " (assumed; --target-start states it)" if index["target_start_assumed"] else ""
    yield f"energy cut {cut}; target starts at z = {index['target_start']:g} cm{assumed}"


def _table(index: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line a category that has muons, then the names of the others."""
    from shipgen.categories import CATEGORY_NAMES

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
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells))
    if missing := [name for name in CATEGORY_NAMES if name not in index["categories"]]:
        yield f"no muons: {', '.join(missing)}"
