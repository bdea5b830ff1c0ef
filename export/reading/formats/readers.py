"""Opening and reading files of simulated muons, whatever kind they are.

A kind is an entry of `KINDS`: the tree and branches that mark it, how its header is read, how a step of the
tree becomes columns. `open_source` finds the kind by looking into the file; `read_steps` reads any kind.
"""

from __future__ import annotations

import json
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.layouts import KIND_TRAINING, PROVENANCE_KEY, TRAINING
from shipgen.files.rootfile import base_name, is_remote, open_root, readable
from shipgen.files.seals import check_open
from shipgen.files.variation_columns import is_variation
from shipgen.muons.categories import FEATURE_UNITS
from shipgen.muons.stated import StatedMuons
from shipgen.provenance import read_objects
from shipgen_export.reading.formats.array_files import ArrayChoice, is_array_file, open_arrays, read_arrays
from shipgen_export.reading.formats.cbmsim import CBMSIM, CBMSIM_PLANE
from shipgen_export.reading.formats.flat import CONVERTED, FLAT, FLAT_ORIGIN
from shipgen_export.reading.formats.sources import MERGED, Header, Identity, Source, Step, TreeKind, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.files.rootfile import Location

#: How much of a tree is read at once, uncompressed.
STEP = "64 MB"

#: What uproot writes for ``file["name"] = {...}`` is an RNTuple.
_RNTUPLE = "ROOT::RNTuple"
#: Fields of a flat tree of muons of whatever name.
_MOMENTA = {"px", "py", "pz"}
_TREE_CLASSES = ("TTree", "TNtuple", "TNtupleD", _RNTUPLE)


def _training_header(file: Any) -> Header:
    """Read the provenance; weights mean nothing without its ``pot``."""
    written = read_objects(file, PROVENANCE_KEY)
    if len(written) > 1:
        raise InputError(MERGED.format(len(written)))
    provenance = written[0] if written else None
    if provenance is None:
        raise InputError(
            f"no object {PROVENANCE_KEY} says how the muons were made: simulate again with `shipgen simulate`"
        )
    if provenance.get("kind") != TRAINING_SAMPLE.name:
        raise InputError(
            f"its provenance says {provenance.get('kind')!r}, not {TRAINING_SAMPLE.name!r}: "
            "give an output of `shipgen simulate`"
        )
    pot = number(provenance, "pot")
    if pot is None or pot <= 0:
        raise InputError(f"the provenance gives {provenance.get('pot')!r} protons on target: simulate again")
    return Header(pot, number(provenance, "energy_cut"), number(provenance, "target_start"), provenance)


def _training_step(arrays: Any, first: int) -> Step:  # noqa: ARG001 - protons are numbered in the file
    columns = {name: np.asarray(arrays[name]) for name in ("pdg", *FEATURE_UNITS, "weight")}
    columns["group"] = np.asarray(arrays["proton"]).astype(np.int64)
    columns |= {name: np.asarray(arrays[name]) for name in arrays.fields if is_variation(name)}
    return Step(columns, entries=len(arrays))


#: Files of `shipgen simulate`; ``kind`` in their provenance is its name.
TRAINING_SAMPLE = TreeKind(
    name=KIND_TRAINING,
    title="a sample of `shipgen simulate`",
    tree=TRAINING.tree,
    branches=("pdg", *FEATURE_UNITS, "weight", "proton"),
    header=_training_header,
    step=_training_step,
    group="proton",
    per_pot=True,
    unsmeared=True,
)


def _produced_step(arrays: Any, first: int) -> Step:
    step = _training_step(arrays, first)
    weight, survival = (np.asarray(arrays[name], np.float64) for name in ("weight", "survival"))
    # At wide angles both are 0 in float32: such muons have no weight here either.
    produced = np.divide(weight, survival, out=np.zeros(len(weight)), where=survival > 0)
    return replace(step, columns={**step.columns, "weight": produced})


_AS_PRODUCED = replace(TRAINING_SAMPLE, branches=(*TRAINING_SAMPLE.branches, "survival"), step=_produced_step)


def as_produced(source: Source) -> Source:
    """Return a file whose weights will count muons where they are produced, whatever the absorber does.

    Raises
    ------
    InputError
        The file does not state the probability to leave the absorber.
    """
    if source.kind is not TRAINING_SAMPLE:
        raise InputError(
            f"{source.path} is {source.kind.title}: it holds muons that have left the absorber, and survival "
            "can be taken out of samples of `shipgen simulate` only"
        )
    if "survival" not in (source.header.provenance or {}):
        raise InputError(f"{source.path} does not state the survival: simulate again, or leave it in")
    return replace(source, kind=_AS_PRODUCED)


#: Kinds of ROOT files that can be read; of those with the same tree the first with all its branches is taken.
KINDS = (TRAINING_SAMPLE, CBMSIM_PLANE, CBMSIM, FLAT_ORIGIN, FLAT, CONVERTED)


def open_source(path: Location, choice: ArrayChoice | None = None) -> Source:
    """Look into a file: find its kind, check its branches, read its header.

    Parameters
    ----------
    path : Path or str
        The file.
    choice : ArrayChoice, optional
        What the user says of arrays.

    Raises
    ------
    InputError
        The file is missing, no ROOT file, damaged, of no known kind, or lacks a branch or its provenance.
    """
    if is_array_file(path):
        return open_arrays(Path(path), choice or ArrayChoice())
    with open_root(path) as file:
        with readable(path):
            kind = _recognise(path, file)
            if kind is None:
                return open_arrays(Path(path), choice or ArrayChoice())
            if choice:
                raise InputError(
                    f"{path} is {kind.title}, whose columns, unit and frame are fixed: leave them out"
                )
            entries = int(file[kind.tree].num_entries)
            identity = _identity(path, file)
        try:
            check_open(file, path)
            with readable(path):
                header = kind.header(file)
            json.dumps(header.provenance, allow_nan=False)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith(str(path)) else f"{path}: {text}") from error
        except ValueError as error:
            raise InputError(f"{path}: a number in its provenance is NaN or infinite") from error
    return Source(path, kind, entries, header, identity)


def _identity(path: Location, file: Any) -> Identity:
    """Return the file's identity; a folder's name tells nothing."""
    changed = None if is_remote(path) else Path(path).stat().st_mtime_ns
    return Identity(base_name(path), int(file.file.source.num_bytes), changed, str(file.file.uuid))


def read_steps(source: Source, step: int | str = STEP) -> Iterator[Step]:
    """Read a source from its first entry to its last in steps.

    Parameters
    ----------
    source : Source
        From `open_source`.
    step : int or str
        Entries, or uncompressed size such as ``"64 MB"``: what is in memory at a time.

    Raises
    ------
    InputError
        The file is damaged, or its content is not what its kind has.
    """
    if not isinstance(source.kind, TreeKind):
        yield from read_arrays(source)
        return
    first, seen = 0, StatedMuons(source.path, source.header.provenance or {}, strict=False)
    with open_root(source.path) as file, readable(source.path):
        tree = file[source.kind.tree]
        there = tree.keys(full_paths=False)
        branches = [*source.kind.branches, *(name for name in source.kind.optional if name in there)]
        branches += filter(is_variation, there)
        for arrays in tree.iterate(branches, step_size=step, library="ak"):
            try:
                result = source.kind.step(arrays, first)
            except InputError as error:
                raise InputError(f"{source.path}: {error}") from error
            seen.see(result.columns, result.entries)
            yield result
            first += result.entries
        seen.check()


def holds_arrays(path: Location) -> bool:
    """Return whether a file is one of arrays, or a flat tree or RNTuple of a name of its own."""
    if is_array_file(path):
        return True
    with open_root(path) as file, readable(path):
        return _recognise(path, file) is None


def _small_names(tree: Any) -> set[str]:
    return {str(name).lower() for name in tree.keys(recursive=False)}


def _recognise(path: Location, file: Any) -> TreeKind | None:
    """Find the kind whose tree and branches are all there; ``None`` for a flat tree of another name."""
    classes = file.classnames(cycle=False)
    trees = [name for name, class_name in classes.items() if class_name in _TREE_CLASSES]
    kinds = [kind for kind in KINDS if kind.tree in trees]
    if not kinds:
        if not is_remote(path) and any(_small_names(file[name]) >= _MOMENTA for name in trees):
            return None
        there = ", ".join(name + " (an RNTuple)" * (classes[name] == _RNTUPLE) for name in trees) or "none"
        expected = " or ".join(f"{kind.tree} ({kind.title})" for kind in KINDS)
        raise InputError(f"{path} has no tree that can be read: it has {there}; expected {expected}")
    missing = {}
    for kind in kinds:
        names = file[kind.tree].keys(full_paths=False)
        missing[kind.name] = [branch for branch in kind.branches if branch not in names]
        if not missing[kind.name]:
            return kind
    fewest = min(len(names) for names in missing.values())
    nearest = [kind for kind in kinds if len(missing[kind.name]) == fewest]
    lacking = list(dict.fromkeys(missing[kind.name][0] for kind in nearest))
    close = get_close_matches(lacking[0], file[nearest[0].tree].keys(full_paths=False), n=3)
    hint = f"nearest: {', '.join(close)}" if close else "nothing there has a similar name"
    raise InputError(
        f"{path}: tree {nearest[0].tree} has no branch {' or '.join(lacking)} ({hint}); needed for "
        f"{' or '.join(kind.title for kind in nearest)}"
    )
