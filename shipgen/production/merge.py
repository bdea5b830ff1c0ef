"""Merge the files of a production: into one ROOT file, or a list of them that is read as a chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.cluster_file import ClusterFile
from shipgen.files.compressions import parse_compression
from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.files.outputs import check_output, complete_file, write_json
from shipgen.files.root_storage import content_hash
from shipgen.files.rootfile import is_remote
from shipgen.production.manifest import Manifest
from shipgen.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.files.root_storage import Stored
    from shipgen.files.rootfile import Location
    from shipgen.provenance import ProducedFacts

#: Endings of lists: a manifest, or a path a line.
_MANIFEST, _LINES = ".json", ".txt"


def merge(output: Path, locations: Sequence[Location], *, force: bool = False, command: str = "") -> Manifest:
    """Merge the files of a production into `output`, the file that a single run would have written.

    Clusters are copied as they are, compressed, and their hashes checked on the way.

    Parameters
    ----------
    output : Path
        The ROOT file; it appears when it is complete.
    locations : sequence of Path or str
        All shards of a production, in any order, and manifests that name some.
    force : bool
        Replace an existing file.
    command : str
        The command line, for the file's provenance.

    Raises
    ------
    InputError
        A file is missing, doubled, damaged or of another production; nothing is written.
    OutputError
        Writing failed.
    """
    check_output(output, force=force)
    manifest = _read(output, locations)
    first = manifest.files[0]
    compression = parse_compression(_option(first.compression))
    with (
        complete_file(output, force=force) as part,
        ClusterFile(part, first.layout, compression) as merged,
        progress("merging", manifest.plan["muons"], "muons") as advance,
    ):
        for file in manifest.files:
            for cluster in file.clusters():
                merged.append(cluster)
                advance(cluster.rows)
        merged.finish(_objects(manifest, merged.stored, command))
    return manifest


def write_list(
    output: Path,
    locations: Sequence[Location],
    *,
    per_job: int | None = None,
    check: bool = False,
    force: bool = False,
) -> Manifest:
    """Write which files are a production's, in order: a manifest (``.json``) or a path a line (``.txt``).

    Parameters
    ----------
    output : Path
        The list.
    locations : sequence of Path or str
        As for `merge`.
    per_job : int, optional
        Write a job of at most so many muons a line instead: file, first entry, number of entries.
    check : bool
        Read all files and compare their hashes, not only what they say of themselves.
    force : bool
        Replace an existing file.

    Raises
    ------
    InputError
        As for `merge`, or the name of `output` ends otherwise.
    """
    if output.suffix not in {_MANIFEST, _LINES}:
        raise InputError(f"{output} is no name for a list: let it end in {_MANIFEST} or {_LINES}")
    if per_job is not None and output.suffix != _LINES:
        raise InputError(f"{output} is no name for a list of jobs: let it end in {_LINES}")
    check_output(output, force=force)
    manifest = _read(output, locations)
    if check:
        _check_all(manifest)
    with complete_file(output, force=force) as part:
        if output.suffix == _MANIFEST:
            write_json(part, manifest.to_json(output.absolute().parent))
        else:
            lines = manifest.list_files() if per_job is None else manifest.list_jobs(per_job)
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def _check_all(manifest: Manifest) -> None:
    with progress("checking", manifest.plan["muons"], "muons") as advance:
        for file in manifest.files:
            file.check()
            advance(file.muons)


def _read(output: Path, locations: Sequence[Location]) -> Manifest:
    manifest = Manifest.read(locations)
    for file in manifest.files:
        if not is_remote(file.location) and output.resolve() == Path(file.location).resolve():
            raise InputError(f"{output} is one of the files to merge: choose another name")
    return manifest


def _option(compression: str) -> str:
    """Return ROOT's name of a compression, such as ``ZSTD(1)``, as `parse_compression` takes it."""
    name, _, level = compression.lower().rstrip(")").partition("(")
    return "none" if name == "none" or level == "0" else f"{name}:{level}"


def _objects(manifest: Manifest, stored: Sequence[Stored], command: str) -> dict[str, str]:
    """Return the objects of the merged file: what a single run says, and of how many files it was merged."""
    first = manifest.files[0]
    facts: ProducedFacts = {
        **first.facts,
        "command": command,
        "file": {"number": 0, "of": 1, "first_muon": 0},
        "muons": manifest.plan["muons"],
        "counts": manifest.counts(),
        "pot": manifest.plan["pot"],
        "sum_of_weights": manifest.sum_of_weights(),
        "clusters": {"number": len(stored), "xxh3": content_hash(stored)},
        "merged": {"files": len(manifest.files), "first_command": first.facts["command"]},
    }
    facts.pop("shard", None)
    summary = {**first.summary, "PoT": manifest.plan["pot"]}
    return {
        FILE_SUMMARY_KEY: json.dumps(summary, allow_nan=False),
        PROVENANCE_KEY: json.dumps(facts, allow_nan=False),
    }
