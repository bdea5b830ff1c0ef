"""What a file of muons is, in lines of text: ROOT files of any origin, and arrays of produced muons."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from shipgen.bundle.bundle import DEFAULT_BUNDLE
from shipgen.bundle.library import known
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_TRAINING, PROVENANCE_KEY
from shipgen.files.rewritten import merged
from shipgen.files.rootfile import open_root, readable
from shipgen.files.seals import SEAL, check_clusters, is_rewritten, layout_of, read_stated
from shipgen.generate.amount import PROTONS_PER_SPILL
from shipgen.muons.categories import CATEGORIES
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from shipgen.files.convert import MuonFile

#: Characters of an entry of the provenance that are shown; the file has all of it.
_LONGEST = 240

#: Bytes up to which a file is compared with its hash unasked: a tenth of a second.
_QUICK = 2**28

#: Entries of the provenance that the table of rates shows, and what was compared.
_IN_TABLE = ("counts", "by_category", SEAL)


def describe_file(path: Path, *, check: bool = False) -> Iterator[str]:
    """Yield what a ROOT file or a file of arrays holds, its rates and how it was made.

    Files that are not small are read as a whole only with `check`, to compare hashes or checksums.

    Raises
    ------
    InputError
        It is damaged or none of these.
    """
    # Reading arrays needs more modules than most want.
    from shipgen.files.arrays.file_kinds import kind_of

    with readable(path):
        kind = kind_of(path)
    if kind is None:
        yield from _root(path, check=check)
        return
    from shipgen.files.convert import open_muons

    with open_muons(path) as muons:
        yield f"{kind} file {path}: {len(muons):,} muons"
        yield f"  {_compared_arrays(path, muons, check=check)}"
        yield from _summary(muons.summary, muons.provenance)
    yield from describe_provenance(muons.provenance)


def _root(path: Path, *, check: bool) -> Iterator[str]:
    with open_root(path) as file, readable(path):
        found = read_objects(file, PROVENANCE_KEY)
        if len(found) < 2:
            read_stated(file, path)
        provenance = (found[-1] if found else None) or {}
        yield f"ROOT file {path}: {provenance.get('kind', 'not made by shipgen')}"
        for name, kind in file.classnames(cycle=False).items():
            if kind in {"TTree", "TNtuple"} or "RNTuple" in kind:
                tree = file[name]
                what = "fields" if "RNTuple" in kind else "branches"
                short = "RNTuple" if "RNTuple" in kind else kind
                yield f"  {short} {name}: {tree.num_entries:,} entries, {len(tree.keys())} {what}"
            elif name not in {PROVENANCE_KEY, FILE_SUMMARY_KEY}:
                yield f"  {kind} {name}"
        if len(found) > 1:
            yield f"  {merged(found)}"
            yield f"  what follows, {FILE_SUMMARY_KEY} as well, is of the last of them alone"
        elif found:
            yield f"  {_compared(file, path, provenance, check=check)}"
        summaries = read_objects(file, FILE_SUMMARY_KEY)
    yield from _summary((summaries[-1] if summaries else None) or {}, provenance)
    yield from describe_provenance(provenance)


def _compared_arrays(path: Path, muons: MuonFile, *, check: bool) -> str:
    """Read all of an open file of arrays, as far as is quick, which compares checksums; say what was done."""
    if (size := path.stat().st_size) > _QUICK and not check:
        return f"its muons were not compared with their checksums, {size:,} bytes: --check does that"
    muons.check()
    if not muons.sealed:
        return "its muons are as they were written, by their checksums; it has no seal on the rest"
    return "it is as it was written, by its seal and the checksums of its muons"


def _compared(file: Any, path: Path, provenance: dict[str, Any], *, check: bool) -> str:
    """Compare what an open file holds with what it states, as far as is quick; say what was compared."""
    layout, size = layout_of(provenance), int(file.file.source.num_bytes)
    if layout is None or "clusters" not in provenance:
        return "it states no hash: whether its muons are those that were written cannot be told"
    if SEAL not in provenance and "converted_from" in provenance:
        return "it was converted by an earlier version, which stated no hash of it: not compared"
    if size > _QUICK and not check:
        more = ", and another program has rewritten it" * is_rewritten(file, provenance)
        return f"its muons were not compared with their hash{more}, {size:,} bytes: --check does that"
    check_clusters(file, path, provenance, layout)
    if is_rewritten(file, provenance):
        return (
            "another program has rewritten it, but its muons and what follows are as shipgen wrote them, by "
            "their hashes: it may be used like the file that it was made of, for the same POT"
        )
    if SEAL not in provenance:
        return "its muons are as they were written, by their hash; it has no seal on the rest"
    return "it is as it was written, by its seal and the hash of its muons"


def _summary(summary: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield FairShip's summary, a line a category, and whose networks made the muons."""
    if summary:
        yield f"  {FILE_SUMMARY_KEY}: {json.dumps(summary)}"
    yield from _rates(provenance)
    made_with = provenance.get("bundle")
    if isinstance(made_with, dict) and (found := known(made_with.get("sha256"))) is not None:
        name, which = found[0], f" {found[0]}" * (found[1] != DEFAULT_BUNDLE)
        yield (
            f"  made with the {name} bundle: `shipgen info{which}` shows its figures of merit and uncertainty"
        )


def _rates(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield muons, muons per POT and share of each category, as far as the file states them."""
    try:
        pot = float(provenance["pot"])
        if provenance.get("kind") == KIND_TRAINING:
            rows = {name: (one["muons"], one["weight"]) for name, one in provenance["by_category"].items()}
            whole = float(provenance["sum_of_weights"])
        else:
            whole, weight = float(provenance["sum_of_weights"]) / pot, float(provenance["weight"])
            # Where muons have different weights, sums of them by category are not stated.
            equal = math.isclose(whole * pot, weight * provenance["muons"], rel_tol=1e-6)
            rows = {
                name: (number, number * weight / pot if equal else None)
                for name, number in provenance["counts"].items()
            }
        lines = [
            f"  {category.name:16} {_row(*rows[category.name], whole)}"
            for category in CATEGORIES
            if category.name in rows
        ]
        number = sum(found for found, _ in rows.values())
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return
    yield f"  {'category':16} {'muons':>16} {'muons/POT':>11} {'share':>8}"
    yield from lines
    yield f"  {'all':16} {_row(number, whole, whole)}"
    yield f"  {per_spill(whole)}"


def per_spill(rate: float) -> str:
    """Say how many muons a spill makes, from muons per POT."""
    return f"{rate * PROTONS_PER_SPILL:.4e} muons a spill of {PROTONS_PER_SPILL:.0e} protons"


def _row(number: int, rate: float | None, whole: float) -> str:
    return f"{number:16,}" + ("" if rate is None else f" {rate:11.4e} {rate / whole:8.2%}")


def describe_provenance(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the entries of a provenance."""
    for key, value in content.items():
        if key in _IN_TABLE:
            continue
        yield f"  {key}: {_shown(value)}"


def _shown(value: Any) -> str:
    """Return a value in one line that is not too long, cut between two of its entries if at all."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _LONGEST:
        return text
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {_shown(one)}" for name, one in value.items()]
    elif isinstance(value, list):
        parts = [_shown(one) for one in value]
    else:
        return f"{text[:_LONGEST]} ... ({len(text):,} characters)"
    fitting, length = 0, 0
    while fitting < len(parts) and length + len(parts[fitting]) <= _LONGEST:
        length += len(parts[fitting]) + 2
        fitting += 1
    more = [f"... and {len(parts) - fitting:,} more"] if fitting < len(parts) else []
    begin, end = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{begin}{', '.join([*parts[:fitting], *more])}{end}"
