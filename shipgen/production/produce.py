"""Produce muons into files: generator -> clusters -> ROOT, streamed, resumable, with provenance."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from shipgen.errors import InputError, OutputError, ShipgenError
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, MUONBACK, PROVENANCE_KEY
from shipgen.files.outputs import check_output, discard_work, output_error, unfinished, work_folder
from shipgen.files.tree_writer import DEFAULT_COMPRESSION
from shipgen.muons.categories import FEATURE_UNITS
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.output_files import Files, Production, content_hash
from shipgen.production.preflight import WORK, check_request, check_stale, read_provenance
from shipgen.progress import progress
from shipgen.provenance import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.files.root_storage import Stored
    from shipgen.files.rootfile import Location
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.shards import Shard

#: What two files of the same production have in common in their provenance; counts follow from it.
_SAME = ("bundle", "selection", "seed", "exact", "expected", "shard", "file", "muons", "pot", "layout")


@dataclass(frozen=True, slots=True)
class ProductionReport:
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
    kept : int
        Muons of these that an interrupted run had written.
    files : tuple of Path
        Where they are.
    found : bool
        Whether all of them stood there complete.
    """

    muons: int
    weight: float
    counts: dict[str, int]
    seconds: float
    kept: int
    files: tuple[Path, ...]
    found: bool = False


def produce(
    generator: MuonGenerator,
    path: Path,
    *,
    layout: Layout = MUONBACK,
    compression: str = DEFAULT_COMPRESSION,
    max_per_file: int | None = None,
    shard: Shard | None = None,
    force: bool = False,
    resume: bool = False,
    command: str = "",
) -> ProductionReport:
    """Write all muons of `generator` to `path`, which appears when it is complete.

    What a run that is killed has written waits in ``PATH.work`` and is used with `resume`.

    Parameters
    ----------
    generator : MuonGenerator
        Bundle, amount, seed.
    path : Path
        The ROOT file.
    layout : Layout
        Tree and branches.
    compression : str
        ``zstd:1`` and the like, or ``none``.
    max_per_file : int, optional
        Split into files of so many muons, ``out_000.root`` and so on.
    shard : Shard, optional
        Write this part of the muons only; by convention to `shard.path` of a path that all shards share.
    force : bool
        Replace existing files, and drop what an interrupted run left.
    resume : bool
        Go on where an interrupted run stopped; begin where there was none; do nothing where the same
        production is complete.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        The output cannot be made, the Poisson draw gave no muon at all, or an interrupted run left something
        and `resume` is not given, or was another production.
    OutputError
        Writing failed; says what is kept, as do the following.
    BundleError, DeviceError
        A network failed, or made numbers that are not finite.
    MemoryError
        There is not enough.
    KeyboardInterrupt
        Interrupted.
    """
    check_request(path, compression, max_per_file, force=force, resume=resume)
    plan = generator.plan
    if not plan.total:
        raise InputError(
            f"the Poisson draw around {plan.expected:g} gave no muon: ask for more, or for an exact number "
            "(--exact)"
        )
    files = plan_files(generator, path, max_per_file, shard)
    check_stale(files)
    started = time.perf_counter()
    if resume and not force and (report := find_complete(generator, files, layout, shard)):
        return report
    if not resume:
        for file in range(len(files)):
            check_output(files.name(file), force=force)
        discard_work(path)

    def describe(file: int, counts: tuple[int, ...], stored: Sequence[Stored]) -> dict[str, str]:
        return describe_file(generator, layout, files, file, counts, stored, command, shard)

    key = _key(generator, layout, compression, max_per_file, shard)
    with work_folder(path, key) as folder:
        with Production(
            generator,
            files,
            folder,
            key=key,
            layout=layout,
            compression=compression,
            describe=describe,
            force=force,
        ) as production:
            _run(generator, production, files)
        counts = production.counts()
    names = [entry.category.name for entry in generator.bundle.entries]
    return ProductionReport(
        muons=files.total,
        weight=_weight(generator, files.total) if production.weight is None else production.weight,
        counts=dict(zip(names, counts, strict=True)),
        seconds=time.perf_counter() - started,
        kept=production.kept,
        files=tuple(files.name(file) for file in range(len(files))),
    )


def plan_files(generator: MuonGenerator, path: Path, max_per_file: int | None, shard: Shard | None) -> Files:
    """Return names and sizes of the files of a production, or of a shard of it; `InputError` as there."""
    total = generator.plan.total
    first, stop = shard.muons(total) if shard else (0, total)
    return Files(path, stop - first, max_per_file, first)


def _run(generator: MuonGenerator, production: Production, files: Files) -> None:
    """Stream the muons that are not on disk to their files, with progress; say what is kept on a failure."""
    total, path = files.total, files.path
    first, stop = (files.first + production.kept) // CHUNK_SIZE, -(-(files.first + total) // CHUNK_SIZE)
    try:
        with progress("producing", total, "muons") as advance:
            advance(production.kept)
            if production.kept == total:
                return
            for parts in generator.run(production.encode, first=first, stop=stop):
                for part in parts:
                    production.append(part)
                    advance(part.cluster.rows)
    except (ShipgenError, OSError, MemoryError, KeyboardInterrupt) as error:
        kept = ""
        if production.rows:
            kept = f"{production.rows:,} of {total:,} muons are kept in {path.name}.work: go on by --resume"
        _tell_kept(path, error, kept)


def _tell_kept(path: Path, error: BaseException, kept: str) -> NoReturn:
    """Raise `error` again as what the command line tells in one line, with what is `kept`."""
    end = f"; {kept}" if kept else ""
    if isinstance(error, ShipgenError):
        error.args = (f"{error}{end}",)
        raise error
    if isinstance(error, OSError):
        raise OutputError(f"{output_error(path, error)}{end}") from error
    if isinstance(error, MemoryError):
        raise MemoryError(f"fewer --workers take less{end}") from error
    raise KeyboardInterrupt(kept) from None


def find_complete(
    generator: MuonGenerator,
    files: Files,
    layout: Layout,
    shard: Shard | None = None,
    at: Callable[[Path], Location] = lambda path: path,
) -> ProductionReport | None:
    """Return the report of the same production if it stands complete in `files`, ``None`` otherwise.

    The same has the same seed, bundle, amount, shard, layout and number of files; `at` says where a file is
    that is kept elsewhere.
    """
    total = files.total
    nothing = (0,) * len(generator.bundle.entries)
    if not total or unfinished(files.path) is not None:
        return None
    counts: Counter[str] = Counter()
    weights = []
    for file in range(len(files)):
        if (found := read_provenance(at(files.name(file)), layout.tree)) is None:
            return None
        wanted = provenance(generator, layout, files, file, nothing, "", shard)
        if any(found.get(name) != wanted.get(name) for name in _SAME):
            return None
        counts.update(found["counts"])
        weights.append(found["sum_of_weights"])
    paths = tuple(files.name(file) for file in range(len(files)))
    return ProductionReport(total, math.fsum(weights), dict(counts), 0.0, total, paths, found=True)


def _key(
    generator: MuonGenerator,
    layout: Layout,
    compression: str,
    max_per_file: int | None,
    shard: Shard | None,
) -> dict[str, Any]:
    """Return all that the bytes of an unfinished production depend on."""
    plan = generator.plan
    return {
        "work": WORK,
        "bundle": generator.bundle.sha256,
        "seed": plan.seed,
        "pot": plan.pot,
        "exact": plan.exact,
        "layout": layout.name,
        "compression": compression,
        "max_per_file": max_per_file,
        **({"shard": str(shard)} if shard else {}),
        **_selected(generator),
        "device": generator.device,
        # With others the muons may differ, if only in their last bits.
        **{name: number for name, number in versions("numpy", "onnxruntime").items() if name != "python"},
    }


def _selected(generator: MuonGenerator) -> dict[str, Any]:
    """Return what is not as the bundle has it, if anything."""
    return {"selection": chosen} if (chosen := generator.selection.to_json()) else {}


def _weight(generator: MuonGenerator, muons: int) -> float:
    """Return the sum of so many weights as they are stored."""
    return muons * float(np.float32(generator.plan.weight))


def describe_file(
    generator: MuonGenerator,
    layout: Layout,
    files: Files,
    file: int,
    counts: tuple[int, ...],
    stored: Sequence[Stored],
    command: str,
    shard: Shard | None = None,
) -> dict[str, str]:
    """Return the objects to store in file number `file`, which has `counts` muons of each category."""
    weights = {"sum_of_weights": math.fsum(one.weight or 0 for one in stored)}
    facts = {
        FILE_SUMMARY_KEY: file_summary(generator, files.rows(file) / generator.plan.total),
        PROVENANCE_KEY: {
            **provenance(generator, layout, files, file, counts, command, shard),
            **(weights if generator.weighted else {}),
            "clusters": {"number": len(stored), "xxh3": content_hash(stored)},
        },
    }
    return {name: json.dumps(content, allow_nan=False) for name, content in facts.items()}


def file_summary(generator: MuonGenerator, share: float = 1.0) -> dict[str, Any]:
    """Return the keys that FairShip (26.09) merges into the header of its output, adding up the protons."""
    return {
        "PoT": generator.plan.pot * share,
        "EnergyCut": generator.bundle.energy_cut,
        "prodSite": "shipgen",
    }


def provenance(
    generator: MuonGenerator,
    layout: Layout,
    files: Files,
    file: int,
    counts: tuple[int, ...],
    command: str,
    shard: Shard | None = None,
) -> dict[str, Any]:
    """Return all that is needed to make the file again and to know what its columns mean.

    The POT of a part of a production is in proportion to its muons, so that the parts' add up.
    """
    bundle, plan, muons = generator.bundle, generator.plan, files.rows(file)
    names = [entry.category.name for entry in bundle.entries]
    return {
        "kind": KIND_PRODUCED,
        "command": command,
        "bundle": {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256},
        **_selected(generator),
        "seed": plan.seed,
        "exact": plan.exact,
        "expected": plan.expected,
        "plan": {"muons": plan.total, "pot": plan.pot},
        **({"shard": {"number": shard.number, "of": shard.of}} if shard else {}),
        "file": {"number": file, "of": len(files), "first_muon": files.place(file)},
        "muons": muons,
        "counts": dict(zip(names, counts, strict=True)),
        "pot": plan.pot * muons / plan.total,
        "weight": plan.weight,
        "sum_of_weights": _weight(generator, muons),
        "weight_meaning": "expected sum of weights = muons for `pot` protons on target",
        "layout": layout.name,
        "units": {branch.name: branch.unit for branch in layout.branches if branch.unit},
        "target_start": _target_start(layout, bundle.target_start),
        "beam": str(generator.selection.beam),
        "energy_cut": bundle.energy_cut,
        "device": generator.device,
        "versions": versions("shipgen", "numpy", "onnxruntime", "uproot"),
    }


def _target_start(layout: Layout, target_start: float) -> dict[str, Any]:
    """Say where the target starts in the file's z."""
    for branch in layout.branches:
        if branch.target_start is not None:
            return {"value": branch.target_start, "unit": branch.unit}
    return {"value": target_start, "unit": FEATURE_UNITS["z"]}
