"""Produce muons into files: generator -> clusters -> ROOT, streamed, resumable, with provenance."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.categories import FEATURE_UNITS
from shipgen.errors import InputError, OutputError
from shipgen.files import check_output, discard_work, output_error, unfinished, work_folder
from shipgen.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, MUONBACK, PROVENANCE_KEY
from shipgen.plan import CHUNK_SIZE
from shipgen.production import Files, Production
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen.writers import DEFAULT_COMPRESSION, parse_compression

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.generator import MuonGenerator
    from shipgen.layouts import Layout

#: Bytes a muon takes on disk with the default compression, measured; for the warning of a full disk.
BYTES_PER_MUON = 23

#: What unfinished work of this kind is called; its number goes up when the same command makes other muons.
_WORK = "production 1"


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
    kept : int
        Muons of these that an interrupted run had written.
    files : tuple of Path
        Where they are.
    """

    muons: int
    weight: float
    counts: dict[str, int]
    seconds: float
    kept: int
    files: tuple[Path, ...]


def produce(
    generator: MuonGenerator,
    path: Path,
    *,
    layout: Layout = MUONBACK,
    compression: str = DEFAULT_COMPRESSION,
    max_per_file: int | None = None,
    force: bool = False,
    resume: bool = False,
    command: str = "",
) -> Report:
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
    force : bool
        Replace existing files, and drop what an interrupted run left.
    resume : bool
        Go on where an interrupted run stopped; begin where there was none.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        The output cannot be made, the Poisson draw gave no muon at all, or an interrupted run left something
        and `resume` is not given, or was another production.
    OutputError
        Writing failed; says what is kept.
    KeyboardInterrupt
        Interrupted; says what is kept.
    """
    check_request(path, compression, max_per_file, force=force, resume=resume)
    plan = generator.plan
    if not plan.total:
        raise InputError(
            f"the Poisson draw around {plan.expected:g} gave no muon: ask for more, or for an exact number "
            "(--exact)"
        )
    files = Files(path, plan.total, max_per_file)
    started = time.perf_counter()
    if not resume:
        _check_files(files, force=force)
        discard_work(path)

    def describe(file: int, counts: tuple[int, ...]) -> dict[str, str]:
        return describe_file(generator, layout, files, file, counts, command)

    with work_folder(path, _key(generator, layout, compression, max_per_file)) as folder:
        with Production(
            generator, files, folder, layout=layout, compression=compression, describe=describe, force=force
        ) as production:
            _run(generator, production, path)
        counts = production.counts()
    names = [entry.category.name for entry in generator.bundle.entries]
    return Report(
        muons=plan.total,
        weight=_weight(generator, plan.total),
        counts=dict(zip(names, counts, strict=True)),
        seconds=time.perf_counter() - started,
        kept=production.kept,
        files=tuple(files.name(file) for file in range(len(files))),
    )


def _run(generator: MuonGenerator, production: Production, path: Path) -> None:
    """Stream the muons that are not on disk to their files, with progress; say what is kept on a failure."""
    total = generator.plan.total
    try:
        with progress("producing", total, "muons") as advance:
            advance(production.kept)
            if production.kept == total:
                return
            for parts in generator.run(production.encode, first=production.kept // CHUNK_SIZE):
                for part in parts:
                    production.append(part)
                    advance(part.cluster.rows)
    except (OSError, KeyboardInterrupt) as error:
        kept = f"{production.rows:,} of {total:,} muons are kept in {path.name}.work: go on by --resume"
        if isinstance(error, OSError):
            told = output_error(path, error)
            raise OutputError(f"{told}; {kept}" if production.rows else str(told)) from error
        raise KeyboardInterrupt(kept if production.rows else "") from None


def check_request(
    path: Path, compression: str, max_per_file: int | None, *, force: bool, resume: bool
) -> None:
    """Raise `InputError` when `produce` would; what needs no bundle."""
    parse_compression(compression)
    if max_per_file is not None and max_per_file < 1:
        raise InputError(f"max_per_file = {max_per_file} is not above zero")
    check_output(path, force=force or resume or max_per_file is not None)
    if unfinished(path) is not None and not (resume or force):
        raise InputError(f"{path} was begun and not completed: --resume goes on, --force begins anew")


def _check_files(files: Files, *, force: bool) -> None:
    for file in range(len(files)):
        check_output(files.name(file), force=force)


def _key(
    generator: MuonGenerator, layout: Layout, compression: str, max_per_file: int | None
) -> dict[str, Any]:
    """Return all that the bytes of an unfinished production depend on."""
    plan = generator.plan
    return {
        "work": _WORK,
        "bundle": generator.bundle.sha256,
        "seed": plan.seed,
        "pot": plan.pot,
        "exact": plan.exact,
        "layout": layout.name,
        "compression": compression,
        "max_per_file": max_per_file,
        "device": generator.device,
    }


def unfinished_seed(path: Path) -> int | None:
    """Return the seed of the production that was begun and not completed at `path`, ``None`` without one."""
    left = unfinished(path) or {}
    return int(left["seed"]) if left.get("work") == _WORK else None


def _weight(generator: MuonGenerator, muons: int) -> float:
    """Return the sum of so many weights as they are stored."""
    return muons * float(np.float32(generator.plan.weight))


def describe_file(
    generator: MuonGenerator,
    layout: Layout,
    files: Files,
    file: int,
    counts: tuple[int, ...],
    command: str,
) -> dict[str, str]:
    """Return the objects to store in file number `file`, which has `counts` muons of each category."""
    share = files.rows(file) / files.total
    facts = {
        FILE_SUMMARY_KEY: file_summary(generator, share),
        PROVENANCE_KEY: provenance(generator, layout, files, file, counts, command),
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
) -> dict[str, Any]:
    """Return all that is needed to make the file again and to know what its columns mean."""
    bundle, plan, muons = generator.bundle, generator.plan, files.rows(file)
    names = [entry.category.name for entry in bundle.entries]
    return {
        "kind": KIND_PRODUCED,
        "command": command,
        "bundle": {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256},
        "seed": plan.seed,
        "exact": plan.exact,
        "expected": plan.expected,
        "file": {"number": file, "of": len(files), "first_muon": file * files.limit},
        "muons": muons,
        "counts": dict(zip(names, counts, strict=True)),
        "pot": plan.pot * muons / files.total,
        "weight": plan.weight,
        "sum_of_weights": _weight(generator, muons),
        "weight_meaning": "expected sum of weights = muons for `pot` protons on target",
        "layout": layout.name,
        "units": {branch.name: branch.unit for branch in layout.branches if branch.unit},
        "target_start": _target_start(layout, bundle.target_start),
        "beam": "not smeared: prompt muons start at x = y = 0",
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


def check_space(path: Path, expected: float) -> str | None:
    """Return a warning when the disk has less room than `expected` muons are likely to need.

    What an interrupted run has written already counts as room.

    Raises
    ------
    InputError
        It has less than half of it.
    """
    need, free = expected * BYTES_PER_MUON, shutil.disk_usage(path.absolute().parent).free
    free += sum(file.stat().st_size for file in path.with_name(f"{path.name}.work").glob("*"))
    if need <= free:
        return None
    told = f"{expected:.3g} muons need about {need / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB left"
    if need > 2 * free:
        raise InputError(f"{told}: ask for less, or choose another disk")
    return told
