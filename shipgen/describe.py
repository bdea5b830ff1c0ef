"""What a bundle, a ROOT file or a prepared sample is, in lines of text."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from shipgen.bundle import INDEX, Bundle
from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.files import read_json
from shipgen.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.prepared import describe_prepared
from shipgen.provenance import read_object
from shipgen.rootfile import open_root, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Characters of an entry of the provenance that are shown; the file has all of it.
_LONGEST = 240

#: Index of a prepared sample and of a run folder; the training side, which writes them, may not be installed.
_PREPARED, _RUN = "prepared.json", "run.json"


def describe(path: Path) -> Iterator[str]:
    """Yield lines that say what `path` holds and how it was made.

    Raises
    ------
    InputError
        It does not exist or is nothing that shipgen reads or writes.
    BundleError
        It is a bundle that cannot be used.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a ROOT file, a bundle, a prepared sample or a run")
    if not path.is_dir():
        yield from _describe_root(path)
    elif (path / INDEX).exists():
        yield from describe_bundle(Bundle.open(path))
    elif (path / _RUN).exists():
        yield from _describe_run(path)
    elif (path / _PREPARED).exists():
        yield from describe_prepared(read_json(path / _PREPARED))
    else:
        raise InputError(f"{path} is no bundle, prepared sample or run (no {INDEX}, {_PREPARED} or {_RUN})")


def describe_bundle(bundle: Bundle) -> Iterator[str]:
    """Yield a bundle's rates, networks, figures of merit and provenance."""
    yield f"bundle {bundle.name}: {bundle.label}"
    yield f"  {bundle.rate:.4e} muons per proton on target, energy cut {bundle.energy_cut:g} GeV"
    yield f"  target starts at z = {bundle.target_start:g} cm, sha256 {bundle.sha256}"
    merits = [entry.details.get("figure_of_merit") for entry in bundle.entries]
    hard = [_part(merit, "hard") for merit in merits]
    columns = ["AUC", "of simulated"] + ["hard AUC", "of simulated"] * any(hard)
    titles = "".join(f" {column:>15}" for column in columns)
    yield f"  {'category':16} {'muons/POT':>11} {'share':>7} {'latent':>7}{titles}"
    for entry, merit, harder in zip(bundle.entries, merits, hard, strict=True):
        found = [merit, _part(merit, "control"), harder, _part(harder, "control")][: len(columns)]
        row = f"  {entry.category.name:16} {entry.rate:11.4e} {entry.rate / bundle.rate:7.2%}"
        yield f"{row} {entry.latent_size:7}" + "".join(f" {_with_error(figure):>15}" for figure in found)
    yield "  AUC: a classifier's power to tell generated from simulated muons, and simulated from simulated;"
    yield "  0.5 is none, 1 is all" + "; the hard one has more trees and derived features" * any(hard)
    yield from _uncertainty(bundle)
    yield from _provenance(bundle.provenance)


def _uncertainty(bundle: Bundle) -> Iterator[str]:
    """Yield how far networks are from their samples in some quantities, where that is stated."""
    stated = [_part(entry.details.get("uncertainty"), "quantities") or {} for entry in bundle.entries]
    names = list(dict.fromkeys(name for found in stated for name in found))
    if not names:
        return
    yield "  networks over their sample, minus 1, in per cent; +- the errors of sample and network"
    yield f"  {'':26}" + "".join(f" {entry.category.name:>16}" for entry in bundle.entries)
    for name in names:
        yield f"  {name:26}" + "".join(f" {_difference(found.get(name)):>16}" for found in stated)


def _difference(figures: Any) -> str:
    """Return a relative difference with its error, as far as it is stated."""
    try:
        sample = float(figures["sample"])
        parts = (float(figures[name]) for name in ("error", "spread", "made_error"))
        error = math.hypot(*parts) / abs(sample)
        return f"{100 * (float(figures['student']) / sample - 1):+.2f} +- {100 * error:.2f}"
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return "none"


def _part(merit: Any, name: str) -> Any:
    """Return a part of a figure of merit, ``None`` where it is not stated."""
    return merit.get(name) if isinstance(merit, dict) else None


def _with_error(merit: Any) -> str:
    """Return an AUC with its error, as far as it is stated."""
    try:
        return f"{float(merit['auc']):.3f} +- {float(merit['auc_error']):.3f}"
    except (KeyError, TypeError, ValueError):
        return "not measured"


def _describe_run(path: Path) -> Iterator[str]:
    yield f"run folder; `shipgen export {path} -o BUNDLE` makes a bundle of it"
    yield from _provenance(read_json(path / _RUN))
    for category in CATEGORIES:
        state, merit = (path / category.name / name for name in ("state.json", "figure_of_merit.json"))
        if state.is_file():
            auc = _with_error(read_json(merit) if merit.is_file() else None)
            yield f"  {category.name:16} {read_json(state).get('steps'):10,} steps, AUC {auc}"
        else:
            yield f"  {category.name:16} not trained"


def _describe_root(path: Path) -> Iterator[str]:
    with open_root(path) as file, readable(path):
        provenance = read_object(file, PROVENANCE_KEY)
        what = (provenance or {}).get("kind", "not made by shipgen")
        yield f"ROOT file {path}: {what}"
        for name, kind in file.classnames(cycle=False).items():
            if kind in {"TTree", "TNtuple"}:
                tree = file[name]
                yield f"  {kind} {name}: {tree.num_entries:,} entries, {len(tree.keys())} branches"
            elif name not in {PROVENANCE_KEY, FILE_SUMMARY_KEY}:
                yield f"  {kind} {name}"
        if summary := read_object(file, FILE_SUMMARY_KEY):
            yield f"  {FILE_SUMMARY_KEY}: {json.dumps(summary)}"
        yield from _provenance(provenance or {})


def _provenance(content: Mapping[str, Any]) -> Iterator[str]:
    for key, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... (all of it is in the JSON itself)"
        yield f"  {key}: {shown}"
