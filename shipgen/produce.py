"""Produce muons into a file: generator -> layout -> ROOT, streamed, with provenance."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import FEATURE_UNITS
from shipgen.errors import InputError
from shipgen.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, MUONBACK, PROVENANCE_KEY
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen.writers import DEFAULT_COMPRESSION, RootWriter

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.generator import MuonGenerator
    from shipgen.layouts import Layout
    from shipgen.writers import Writer

#: Bytes a muon takes on disk with the default compression, measured; for the warning of a full disk.
BYTES_PER_MUON = 23


@dataclass(frozen=True, slots=True)
class Report:
    """What a production made.

    Attributes
    ----------
    muons : int
        Entries written.
    weight : float
        Their sum of weights.
    counts : dict of str to int
        Muons of each category.
    seconds : float
        How long it took.
    """

    muons: int
    weight: float
    counts: dict[str, int]
    seconds: float


def produce(
    generator: MuonGenerator,
    path: Path,
    *,
    layout: Layout = MUONBACK,
    compression: str = DEFAULT_COMPRESSION,
    force: bool = False,
    command: str = "",
) -> Report:
    """Write all muons of `generator` to `path`.

    Parameters
    ----------
    generator : MuonGenerator
        Bundle, seed and amount.
    path : Path
        The ROOT file; it appears when it is complete.
    layout : Layout
        Tree and branches.
    compression : str
        ``zstd:1`` and the like, or ``none``.
    force : bool
        Replace an existing file.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        The output cannot be made, or the Poisson draw gave no muon at all.
    OutputError
        Writing failed; nothing stands under `path`.
    """
    bundle = generator.bundle
    with RootWriter(
        path,
        layout,
        constants={"energy_cut": bundle.energy_cut},
        target_start=bundle.target_start,
        compression=compression,
        baskets=len(generator.plan),
        force=force,
    ) as writer:
        report = write(generator, writer)
        writer.write_json(FILE_SUMMARY_KEY, file_summary(generator))
        writer.write_json(PROVENANCE_KEY, provenance(generator, layout, report, command))
    return report


def write(generator: MuonGenerator, writer: Writer) -> Report:
    """Stream all batches of `generator` into `writer`, with progress."""
    started = time.perf_counter()
    muons, weight = 0, 0.0
    counts: Counter[str] = Counter()
    names = [entry.category.name for entry in generator.bundle.entries]
    with progress("producing", generator.plan.expected, "muons") as advance:
        for chunk, batch in zip(generator.plan, generator, strict=True):
            if len(batch):
                writer.extend(batch.columns())
            muons += len(batch)
            weight += float(batch.weight.sum(dtype=np.float64))
            counts.update(dict(zip(names, chunk.counts, strict=True)))
            advance(len(batch))
    if not muons:
        raise InputError(
            f"the Poisson draw around {generator.plan.expected:g} gave no muon: ask for more, "
            "or for an exact number (--exact)"
        )
    return Report(muons, weight, dict(counts), time.perf_counter() - started)


def file_summary(generator: MuonGenerator) -> dict[str, Any]:
    """Return the keys that FairShip (26.09) merges into the header of its output."""
    return {
        "PoT": generator.plan.pot,
        "EnergyCut": generator.bundle.energy_cut,
        "prodSite": "shipgen",
    }


def provenance(generator: MuonGenerator, layout: Layout, report: Report, command: str) -> dict[str, Any]:
    """Return all that is needed to make the file again and to know what its columns mean."""
    bundle, plan = generator.bundle, generator.plan
    return {
        "kind": KIND_PRODUCED,
        "command": command,
        "bundle": {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256},
        "seed": plan.seed,
        "exact": plan.exact,
        "expected": plan.expected,
        "muons": report.muons,
        "counts": report.counts,
        "pot": plan.pot,
        "weight": plan.weight,
        "sum_of_weights": report.weight,
        "weight_meaning": "expected sum of weights = muons for `pot` protons on target",
        "layout": layout.name,
        "units": {branch.name: branch.unit for branch in layout.branches if branch.unit},
        "target_start": _target_start(layout, bundle.target_start),
        "beam": "not smeared: prompt muons start at x = y = 0",
        "energy_cut": bundle.energy_cut,
        "versions": versions("shipgen", "numpy", "onnxruntime", "uproot"),
    }


def _target_start(layout: Layout, target_start: float) -> dict[str, Any]:
    """Say where the target starts in the file's z."""
    for branch in layout.branches:
        if branch.target_start is not None:
            return {"value": branch.target_start, "unit": branch.unit}
    return {"value": target_start, "unit": FEATURE_UNITS["z"]}


def check_space(path: Path, expected: float) -> str | None:
    """Return a warning when the disk has less room than `expected` muons are likely to need.

    Raises
    ------
    InputError
        It has less than half of it.
    """
    need, free = expected * BYTES_PER_MUON, shutil.disk_usage(path.absolute().parent).free
    if need <= free:
        return None
    told = f"{expected:.3g} muons need about {need / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB left"
    if need > 2 * free:
        raise InputError(f"{told}: ask for less, or choose another disk")
    return told
