"""What is looked at before a production: its names, the room on disk, and what earlier runs left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shipgen.errors import InputError, MissingExtraError
from shipgen.files.arrays.file_kinds import kind_of
from shipgen.files.compressions import check_compression
from shipgen.files.journal import JOURNAL, kept_muons, read_journal
from shipgen.files.layouts import KIND_PRODUCED, PROVENANCE_KEY, check_shield
from shipgen.files.outputs import check_idle, check_output, unfinished
from shipgen.files.rootfile import is_remote, open_root, readable
from shipgen.files.variation_columns import is_variation
from shipgen.production.file_names import numbered
from shipgen.production.order import WORK
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.production.file_names import Files
    from shipgen.provenance import ProducedFacts

#: Bytes that the six features and the code of a muon take compressed, measured (21 and 25) and a tenth more.
_COMPRESSED = {"lz4": 28}
_COMPRESSED_WELL = 23

#: Bytes that a factor of a variation takes compressed.
_FACTOR = 4

#: How much more they take as doubles, measured.
_AS_DOUBLES = 1.25


def check_request(
    path: Path, layout: Layout, compression: str, max_per_file: int | None, *, force: bool, resume: bool
) -> None:
    """Raise `InputError` when `shipgen.production.produce.produce` would; what needs no bundle."""
    check_compression(compression, layout.kind)
    check_shield(layout)
    if max_per_file is not None and max_per_file < 1:
        raise InputError(f"max_per_file = {max_per_file} is not above zero")
    left = unfinished(path)
    check_output(path, force=force or resume or max_per_file is not None)
    if left is not None:
        check_idle(path)
        if not (resume or force):
            raise InputError(f"{path} was begun and not completed: --resume goes on, --force begins anew")


def check_stale(files: Files) -> None:
    """Raise `InputError` when an earlier production of more files would be mixed up with this one."""
    if stale := files.stale():
        few = ", ".join(path.name for path in stale[:3])
        more = f" and {len(stale) - 3} more" if len(stale) > 3 else ""
        raise InputError(
            f"{few}{more} would seem to be of this production, which has {len(files)} files: remove them, or "
            "choose another name"
        )


def check_space(path: Path, muons: float, layout: Layout, compression: str, *, resume: bool) -> str | None:
    """Return a warning when the disk has less room than `muons` are likely to need.

    Parameters
    ----------
    path : Path
        The output.
    muons : float
        All of the production.
    layout, compression : Layout, str
        How they are stored.
    resume : bool
        Whether those that an interrupted run has written, also to files that are complete, are kept.

    Raises
    ------
    InputError
        It has less than half of it.
    """
    where = path.resolve()
    work = where.with_name(f"{where.name}.work")
    if resume:
        muons = max(muons - kept_muons(work), 0)
    need, free = muons * bytes_per_muon(layout, compression), shutil.disk_usage(where.parent).free
    if not resume:
        # It will be removed.
        free += sum(file.stat().st_size for file in work.glob("*"))
    if need <= free:
        return None
    told = f"{muons:.3g} muons need about {need / 1e9:.3g} GB and the disk has {free / 1e9:.3g} GB left"
    if need > 2 * free:
        raise InputError(f"{told}: ask for less, or choose another disk")
    return told


def bytes_per_muon(layout: Layout, compression: str) -> float:
    """Return the bytes that a muon is likely to take on disk."""
    sizes = [dtype.itemsize for dtype in layout.branch_types().values()]
    if layout.table:
        return len(sizes) * float(np.dtype("f8").itemsize)
    if compression == "none" or layout.kind != "root":
        return float(sum(sizes))
    sizes = [
        size for size, branch in zip(sizes, layout.branches, strict=True) if not is_variation(branch.column)
    ]
    size = _COMPRESSED.get(compression.partition(":")[0], _COMPRESSED_WELL)
    size += _FACTOR * (len(layout.branches) - len(sizes))
    return size * _AS_DOUBLES if max(sizes) > np.dtype("f4").itemsize else float(size)


def earlier_seed(path: Path, *, split: bool) -> int | None:
    """Return the seed of what was begun or completed at `path`, ``None`` without it.

    The first file says it where the muons are `split` into several.
    """
    found: Mapping[str, Any] | None = unfinished(path)
    if found is None:
        files = numbered(path)[:1] if split else [path]
        found = read_provenance(files[0]) if files else None
    elif not found:
        # Damaged: the journal has the key as well.
        found = read_journal(path.resolve().with_name(f"{path.resolve().name}.work") / JOURNAL).key
    seed = (found or {}).get("seed")
    return seed if isinstance(seed, int) and (found or {}).get("work", WORK) == WORK else None


def read_provenance(path: Location, tree: str | None = None) -> ProducedFacts | None:
    """Return what a produced file says of itself; ``None`` for any other file, and for merged ones.

    Parameters
    ----------
    path : Path or str
        The file or its URL, which need not exist.
    tree : str, optional
        Its tree, which then has to have the muons it says; files of arrays always have.

    Raises
    ------
    MissingExtraError
        It is remote, and the package that reads it is not installed.
    """
    try:
        if not is_remote(path) and Path(path).is_file() and kind_of(Path(path)) is not None:
            # Only arrays need it.
            from shipgen.files.convert import open_muons

            with open_muons(Path(path)) as muons:
                return cast("ProducedFacts", muons.provenance)
        with open_root(path) as file, readable(path):
            found = read_objects(file, PROVENANCE_KEY)
            entries = file[tree].num_entries if tree is not None else None
    except MissingExtraError:
        # Whether the file at a URL is complete cannot be told.
        if is_remote(path):
            raise
        return None
    except (InputError, OSError):
        return None
    if len(found) != 1 or found[0] is None or found[0].get("kind") != KIND_PRODUCED:
        return None
    return cast("ProducedFacts", found[0]) if entries in (None, found[0].get("muons")) else None
