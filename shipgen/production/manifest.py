"""Manifests: which files make up a production, with hashes, counts, weights and POT; and if all are there.

A manifest is a JSON file. Its ``samples`` are what ROOT's `RDataFrame` takes as a specification.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict

from shipgen.errors import InputError
from shipgen.files.outputs import read_json
from shipgen.files.rootfile import is_remote
from shipgen.generate.shards import Shard
from shipgen.production.produced_file import ProducedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shipgen.files.rootfile import Location
    from shipgen.provenance import ClustersFacts, PlanFacts, ProducedFacts


class ManifestEntry(TypedDict):
    """What a manifest says of one file."""

    file: str
    shard: NotRequired[str]
    first_muon: int
    muons: int
    counts: dict[str, int]
    sum_of_weights: float
    pot: float
    bytes: int
    clusters: ClustersFacts


FORMAT = "shipgen-manifest"
FORMAT_VERSION = 1

#: What all files of a production say alike: place in the provenance -> what it is called.
_ALIKE = {
    ("bundle", "sha256"): "bundle",
    ("selection",): "selection",
    ("seed",): "seed",
    ("exact",): "exact",
    ("plan", "muons"): "plan's number of muons",
    ("plan", "pot"): "plan's POT",
    ("layout",): "layout",
    ("precision", "mantissa_bits"): "precision",
    ("weight",): "weight",
    # With others the muons may differ, if only in their last bits.
    ("device",): "device",
    ("versions", "numpy"): "version of NumPy",
    ("versions", "onnxruntime"): "version of ONNX Runtime",
}


@dataclass(frozen=True, eq=False)
class Manifest:
    """A complete production: its files in the order of their muons.

    Attributes
    ----------
    files : tuple of ProducedFile
        One a file.
    """

    files: tuple[ProducedFile, ...]

    @classmethod
    def of(cls, files: Iterable[ProducedFile]) -> Self:
        """Put the files of a production in order, and make sure that they are all of it.

        Raises
        ------
        InputError
            They are of several productions, one is doubled or missing, or there is none.
        """
        ordered = sorted(files, key=lambda file: file.first)
        if not ordered:
            raise InputError("there is no file to merge: give those of `shipgen produce --shard`")
        for file in ordered[1:]:
            _check_alike(ordered[0], file)
        for one, other in pairwise(ordered):
            if other.first < one.stop:
                what = (
                    f"shard {other.shard}" if one.shard == other.shard and other.shard else "the same muons"
                )
                raise InputError(f"{one.location} and {other.location} hold {what}: give each shard once")
        _check_complete(ordered)
        return cls(tuple(ordered))

    @classmethod
    def read(cls, locations: Sequence[Location]) -> Self:
        """Open files, and those that manifests (``NAME.json``) or lists of paths (``NAME.txt``) name.

        Those of a manifest have to be the very files it names.
        """
        files = []
        for location in locations:
            ending = location.suffix if isinstance(location, Path) else ""
            if ending == ".json":
                files += _named(Path(location))
            elif ending == ".txt":
                files += [ProducedFile.open(one) for one in _lines(Path(location))]
            else:
                files.append(ProducedFile.open(location))
        return cls.of(files)

    @property
    def plan(self) -> PlanFacts:
        """Muons and POT of all files."""
        return self.files[0].facts["plan"]

    def counts(self) -> dict[str, int]:
        """Return the muons of each category."""
        counts: Counter[str] = Counter()
        for file in self.files:
            counts.update(file.facts["counts"])
        return dict(counts)

    def sum_of_weights(self) -> float:
        """Return the sum of all muons' weights."""
        return math.fsum(file.facts["sum_of_weights"] for file in self.files)

    def to_json(self, folder: Path) -> dict[str, Any]:
        """Return the content of a manifest that lies in `folder`, which files are named relative to."""
        facts, tree = dict(self.files[0].facts), self.files[0].layout.tree
        alike = (
            *("bundle", "selection", "seed", "exact", "expected", "weight", "layout", "units"),
            *("precision", "target_start"),
        )
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **{name: facts[name] for name in alike if name in facts},
            "muons": self.plan["muons"],
            "counts": self.counts(),
            "pot": self.plan["pot"],
            "sum_of_weights": self.sum_of_weights(),
            "bytes": sum(file.size for file in self.files),
            "tree": tree,
            "files": [_entry(file, folder) for file in self.files],
            "samples": {"shipgen": {"trees": [tree], "files": self.list_files()}},
        }

    def list_files(self) -> list[str]:
        """Return full paths and URLs of all files."""
        return [_absolute(file.location) for file in self.files]

    def list_jobs(self, muons: int) -> list[str]:
        """Return jobs of at most so many `muons`: file, first entry, number, as FairShip's scripts take them.

        FairShip that reads `muonback2019` ends its process at the last entry of a file: that one is left out.
        """
        jobs = []
        for file in self.files:
            last = file.muons - (file.layout.name == "muonback2019")
            jobs += [
                f"{_absolute(file.location)} {first} {min(muons, last - first)}"
                for first in range(0, last, muons)
            ]
        return jobs


def _absolute(location: Location) -> str:
    return str(location) if is_remote(location) else str(Path(location).absolute())


def _entry(file: ProducedFile, folder: Path) -> ManifestEntry:
    """Return what a manifest says of one file."""
    remote = is_remote(file.location)
    name = str(file.location) if remote else os.path.relpath(file.location, folder)
    entry: ManifestEntry = {
        "file": name,
        "shard": str(file.shard),
        "first_muon": file.first,
        "muons": file.muons,
        "counts": file.facts["counts"],
        "sum_of_weights": file.facts["sum_of_weights"],
        "pot": file.facts["pot"],
        "bytes": file.size,
        "clusters": file.facts["clusters"],
    }
    if file.shard is None:
        del entry["shard"]
    return entry


def _named(manifest: Path) -> list[ProducedFile]:
    """Open the files that `manifest` names; raise `InputError` where one is another file."""
    content = read_json(manifest)
    if content.get("format") != FORMAT or content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{manifest} is no manifest of this shipgen: give files, or what `merge --list` wrote"
        )
    files = []
    for entry in content["files"]:
        name = str(entry["file"])
        file = ProducedFile.open(name if is_remote(name) else manifest.parent / name)
        if (file.size, file.facts["clusters"]) != (entry["bytes"], entry["clusters"]):
            raise InputError(f"{file.location} is not the file that {manifest} names: make it again")
        files.append(file)
    return files


def _lines(path: Path) -> list[Location]:
    """Return what a list of paths names, a line each."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list {path}: {error}") from error
    return [line if is_remote(line) else Path(line) for line in map(str.strip, lines) if line]


def _look_up(facts: ProducedFacts, place: tuple[str, ...]) -> Any:
    found: Any = facts
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _check_alike(one: ProducedFile, other: ProducedFile) -> None:
    """Raise `InputError` where two files are not of the same production."""
    both = {name: [_look_up(file.facts, place) for file in (one, other)] for place, name in _ALIKE.items()}
    both["compression"] = [one.compression, other.compression]
    for name, values in both.items():
        if values[0] != values[1]:
            shown = [file.facts["bundle"]["name"] for file in (one, other)] if name == "bundle" else values
            raise InputError(
                f"{one.location} and {other.location} are not of one production, the {name} differs: "
                f"{shown[0]} and {shown[1]}{' (another of that name)' if shown[0] == shown[1] else ''}"
            )


def _check_complete(files: Sequence[ProducedFile]) -> None:
    """Raise `InputError` where muons of the plan are in none of the files, which are in order."""
    total, place, gaps = int(files[0].facts["plan"]["muons"]), 0, []
    for file in files:
        if file.first > place:
            gaps.append((place, file.first))
        place = file.stop
    if place < total:
        gaps.append((place, total))
    if not gaps:
        return
    numbers = {file.shard.of for file in files if file.shard}
    if len(numbers) == 1:
        missing = [
            f"shard {shard}"
            for shard in Shard.all(numbers.pop())
            for first, stop in [shard.muons(total)]
            if any(first < end and begin < stop for begin, end in gaps)
        ]
    else:
        missing = [f"muons {begin:,} to {end - 1:,} of {total:,}" for begin, end in gaps]
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise InputError(
        f"not all is there, missing: {', '.join(missing[:5])}{more}; make them, then merge again"
    )
