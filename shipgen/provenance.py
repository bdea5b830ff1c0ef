"""What files say of themselves: versions, and reading the JSON objects back."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata
from platform import python_version
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from shipgen.numbers import parse_json

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle


class FileSummary(TypedDict):
    """What FairShip (26.09) merges into the header of its output, adding up the protons."""

    PoT: float
    EnergyCut: float
    prodSite: str


class BundleFacts(TypedDict):
    """Which bundle made the muons; ``sha256`` identifies it."""

    name: str
    label: str
    sha256: str


class PlanFacts(TypedDict):
    """All of a production, of which a file may be a part."""

    muons: int
    pot: float


class ShardFacts(TypedDict):
    """Which shard."""

    number: int
    of: int


class PlaceFacts(TypedDict):
    """Which file of several, and the number in the plan of its first muon."""

    number: int
    of: int
    first_muon: int


class PrecisionFacts(TypedDict):
    """How many bits of the mantissa were kept of some fields, to nearest; of the others all."""

    mantissa_bits: int
    fields: list[str]


class TargetStart(TypedDict):
    """Where the target starts in the file's z."""

    value: float
    unit: str


class ClustersFacts(TypedDict):
    """How many clusters a file has, and the hash of their hashes."""

    number: int
    xxh3: str


class MergedFacts(TypedDict):
    """Of how many files one was merged, and how the first of these was made."""

    files: int
    first_command: str


class ProducedFacts(TypedDict):
    """What a file of `shipgen produce` or `shipgen merge` says of itself; the units are in it, cut: GeV."""

    kind: str
    command: str
    bundle: BundleFacts
    selection: NotRequired[dict[str, Any] | None]
    seed: int
    exact: bool
    expected: float
    plan: PlanFacts
    shard: NotRequired[ShardFacts | None]
    file: PlaceFacts
    muons: int
    counts: dict[str, int]
    pot: float
    weight: float
    sum_of_weights: float
    weight_meaning: str
    layout: str
    variations: NotRequired[dict[str, str]]
    units: dict[str, str]
    precision: NotRequired[PrecisionFacts | None]
    target_start: TargetStart
    beam: str
    energy_cut: float
    survival: str
    device: str
    versions: dict[str, str]
    clusters: NotRequired[ClustersFacts]
    merged: NotRequired[MergedFacts]


def file_summary(pot: float, energy_cut: float) -> FileSummary:
    """Return the summary of so many protons on target, and of a cut in GeV."""
    return {"PoT": pot, "EnergyCut": energy_cut, "prodSite": "shipgen"}


def bundle_facts(bundle: Bundle) -> BundleFacts:
    """Return which bundle it is."""
    return {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256}


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    found = {"python": python_version()}
    for package in packages:
        # The GPU build of ONNX Runtime is a distribution of its own.
        for name in (package, f"{package}-gpu"):
            try:
                found[name] = metadata.version(name)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def without_folders(text: str) -> str:
    """Reduce the paths in a line of text to their last part: a file tells nothing of a machine's folders.

    Two numbers, as of the shard 3/8, are no path.
    """
    return re.sub(r"(?<![^\s='\"])(?!\d+/\d+(?!\S))[^\s='\"]*/(?=[^\s/])", "", text)


def command_line() -> str:
    """Return the command that runs now, as it is recorded in its output: without folders."""
    return without_folders(shlex.join(["shipgen", *sys.argv[1:]]))


def cycles(file: Any, name: str) -> list[str]:
    """Return the keys (``NAME;1``, ``NAME;2``) of all cycles of `name` in an open uproot file, first to last.

    There are several where files were merged: ROOT's ``hadd`` keeps one of each file.
    """
    keys = [key for key in file.keys(recursive=False) if key.rpartition(";")[0] == name]
    return sorted(keys, key=lambda key: int(key.rpartition(";")[2]))


def read_objects(file: Any, name: str) -> list[dict[str, Any] | None]:
    """Return the JSON objects of all cycles of `name`, ``None`` for what is no JSON object."""
    return [parse_object(str(file[key])) for key in cycles(file, name)]


def parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in `text`, ``None`` for what is none."""
    try:
        content = parse_json(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
