"""Throughput of `shipgen produce` and of its stages: what to measure, as tables and as records."""

from __future__ import annotations

import json
import statistics
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.bundle import Bundle
from shipgen.errors import InputError
from shipgen.files.outputs import read_json, read_text
from shipgen.numbers import parse_json
from shipgen_bench.measure import measure, memory
from shipgen_bench.reference import REFERENCES, write_reference
from shipgen_bench.rivals import has, published_way, roots_writers
from shipgen_bench.stages import CHUNKS, PARTS, Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Columns
    from shipgen_bench.measure import Measurement, Stage
    from shipgen_bench.reference import Reference

#: Muons that the published way makes: enough for a rate.
_PUBLISHED = 50_000

#: Benchmark -> the stages it measures.
BENCHMARKS = {
    "throughput": (*PARTS, "start-up", "no output", "end to end"),
    "latent": ("latents",),
    "infer": ("networks",),
    "write": ("encoding", "writing", "writer", "uproots writer"),
    "read": ("reading",),
    "produce": ("start-up", "no output", "end to end"),
    "rivals": ("writer", "uproots writer", "start-up", "end to end"),
}

#: Of these, those whose single stages are also measured on all cores at once.
_SIDE_BY_SIDE = ("throughput", "latent", "infer")

#: What `rivals` compares: ours and theirs.
_PAIRS = (
    ("writer", "TTree::Fill"),
    ("writer", "ROOT's RNTuple"),
    ("writer", "uproots writer"),
    ("end to end", "published way"),
)


@contextmanager
def working_folder(folder: Path | None) -> Iterator[Path]:
    """Give a new folder in `folder`, or in the system's temporary one, and remove it at the end."""
    if folder is not None and not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist: create it or choose another")
    with tempfile.TemporaryDirectory(dir=folder, prefix="shipgen-bench-") as temporary:
        yield Path(temporary)


def open_bundle(bundle: Path | None, reference: str | None, folder: Path) -> Bundle:
    """Open `bundle`, or make the `reference` in `folder`; the default bundle without either."""
    if reference is None:
        return Bundle.open(bundle)
    if bundle is not None:
        raise InputError("choose either a bundle or a reference")
    return write_reference(folder / "reference", REFERENCES[reference])


def run(
    name: str,
    bundle: Bundle,
    folder: Path,
    *,
    n: int,
    workers: int | None,
    repeat: int,
    layout: Layout,
    compression: str,
    reference: str | None = None,
) -> list[Measurement]:
    """Run the benchmark called `name`, see `BENCHMARKS` and `shipgen_bench.stages.Stages`.

    The published way in ``rivals`` has the network sizes of `reference`, of ``student`` without one.
    """
    stages = Stages(bundle, n=n, workers=workers, folder=folder, layout=layout, compression=compression)
    chosen = stages.stages(*BENCHMARKS[name])
    if name in _SIDE_BY_SIDE and stages.workers > 1:
        chosen += stages.side_by_side(*(stage for stage in BENCHMARKS[name] if stage in PARTS))
    if name == "rivals":
        chosen += rivals(stages.columns, compression, folder, REFERENCES[reference or "student"])
    return measure(chosen, repeat)


def rivals(columns: Columns, compression: str, folder: Path, reference: Reference) -> list[Stage]:
    """Return what shipgen is compared with, as far as its software is there."""
    found = []
    if has("ROOT"):
        # As many as the other writers write; shifted, since ROOT stores equal pages once.
        many = {
            name: np.concatenate([np.roll(column, number) for number in range(CHUNKS)])
            for name, column in columns.items()
        }
        found += roots_writers(many, compression, folder)
        if has("tensorflow"):
            found.append(published_way((*reference.off_axis, 6), _PUBLISHED, folder))
    return found


def steady(found: Sequence[Measurement]) -> dict[str, float] | None:
    """Return what end to end takes without start-up and end, ns a muon, and these; ``None`` without them."""
    by_name = {(one.stage, one.threads): one for one in found}
    whole = next((one for one in found if one.stage == "end to end"), None)
    if whole is None or (start := by_name.get(("start-up", whole.threads))) is None:
        return None
    seconds, core = statistics.median(start.seconds), statistics.median(start.core_seconds)
    return {
        "start_up_seconds": seconds,
        "start_up_core_seconds": core,
        "core_ns": whole.core_ns - core / whole.muons * 1e9,
        "wall_ns": 1e9 / whole.rate - seconds / whole.muons * 1e9,
        "threads": whole.threads,
    }


def overhead(found: Sequence[Measurement]) -> dict[str, dict[str, float]] | None:
    """Compare end to end, without start-up and end, with the stages by themselves.

    Returns
    -------
    dict or None
        ``alone``, and where it was measured ``side_by_side`` (every core does the same stage at once): each
        with ``stages_core_ns``, the stages' sum, and ``core`` and ``wall``, the core time end to end, and its
        wall-clock time times the threads, divided by that sum; ``None`` where a stage was not measured.
    """
    whole = steady(found)
    compared: dict[str, dict[str, float]] = {}
    for name, single in (("alone", True), ("side_by_side", False)):
        stages = {one.stage: one for one in found if one.stage in PARTS and (one.threads == 1) == single}
        if whole is None or len(stages) < len(PARTS):
            continue
        total = sum(one.core_ns for one in stages.values())
        compared[name] = {
            "stages_core_ns": total,
            "core": whole["core_ns"] / total,
            "wall": whole["wall_ns"] * whole["threads"] / total,
        }
    return compared or None


def table(found: Sequence[Measurement]) -> Iterator[str]:
    """Give the lines of a table, and what follows from it."""
    yield (
        f"{'stage':16}{'threads':>8}{'muons':>12}{'muons/s':>14}{'spread':>8}{'core ns/muon':>14}"
        f"{'bytes/muon':>12}"
    )
    for one in found:
        if one.stage == "start-up":
            continue
        size = "" if one.size is None else f"{one.size / one.muons:.2f}"
        yield (
            f"{one.stage:16}{one.threads:8}{one.muons:12,}{one.rate:14,.0f}{one.spread:8.0%}"
            f"{one.core_ns:14.1f}{size:>12}"
        )
    if whole := steady(found):
        yield (
            f"start-up and end take {whole['start_up_seconds']:.2f} s "
            f"({whole['start_up_core_seconds']:.3f} s of core time); without them end to end makes "
            f"{1e9 / whole['wall_ns']:,.0f} muons/s, {whole['core_ns']:.1f} ns of core time each"
        )
    for name, compared in (overhead(found) or {}).items():
        how = "one at a time" if name == "alone" else "each on all cores at once"
        yield (
            f"that is {compared['core']:.2f} x the core time of the stages measured {how} "
            f"({compared['stages_core_ns']:.1f} ns), and in wall-clock time {compared['wall']:.2f} x their "
            "sum over the threads"
        )
    by_name = {one.stage: one for one in found}
    for ours, theirs in _PAIRS:
        if ours in by_name and theirs in by_name:
            ratio = by_name[theirs].core_ns / by_name[ours].core_ns
            yield f"core time of {theirs}: {ratio:,.2f} x that of {ours}"
    yield f"memory: {memory():.0f} MB at most"


def record(found: Sequence[Measurement], facts: dict[str, Any]) -> dict[str, Any]:
    """Return all of it as plain values."""
    return {
        **facts,
        "memory_mb": memory(),
        "steady": steady(found),
        "overhead": overhead(found),
        "measurements": [one.record() for one in found],
    }


def keep(history: Path, made: dict[str, Any]) -> int:
    """Append a record to a history, a line each, and return its number, from 1 on."""
    if history.exists() and not history.is_file():
        raise InputError(f"{history} is no file: choose another name for the history")
    with history.open("a+", encoding="utf-8") as file:
        file.write(json.dumps(made, allow_nan=False) + "\n")
        file.seek(0)
        return sum(1 for _ in file)


def read_record(place: Path) -> dict[str, Any]:
    """Read a record: that of a file, the last one of a history, or by ``HISTORY@N`` another.

    N counts from 1, or from -1 backwards.

    Raises
    ------
    InputError
        There is none.
    """
    name, _, number = str(place).rpartition("@")
    if place.is_file() or not name:
        path, number = place, "-1"
    else:
        path = Path(name)
    if path.suffix == ".json":
        return read_json(path)
    try:
        lines = read_text(path).splitlines()
        wanted = int(number)
        made = parse_json(lines[wanted - 1 if wanted > 0 else wanted])
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{place} is no record of a history: it has lines 1 to N, or -1 for the last"
        ) from error
    if not isinstance(made, dict):
        raise InputError(f"{place} is no record of `bench`")
    return made


def circumstances_apart(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Give a line for each circumstance in which two records differ, which may be why figures do."""
    for name in ("cpu", "cores", "versions", "layout", "compression", "device"):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name)} against {new.get(name)}"
    bundles = [(one.get("bundle") or {}).get("sha256", "none")[:12] for one in (old, new)]
    if bundles[0] != bundles[1]:
        yield f"bundle: {bundles[0]} against {bundles[1]}"


def compare(old: Path, new: Path) -> Iterator[str]:
    """Give the lines of a comparison of two records, see `read_record`.

    Raises
    ------
    InputError
        One of them is no record of a benchmark, or they have no stage in common.
    """
    records = [read_record(path) for path in (old, new)]
    before, after = (stages_of(path, one) for path, one in zip((old, new), records, strict=True))
    yield from circumstances_apart(*records)
    common = [key for key in after if key in before]
    if not common:
        raise InputError(f"{old} and {new} have no stage in common")
    yield (
        f"{'stage':16}{'threads':>8}{'old muons/s':>14}{'new muons/s':>14}{'rate':>8}{'core time':>11}"
        f"{'spread':>14}"
    )
    for name, threads in common:
        one, two = before[name, threads], after[name, threads]
        rate = two["muons_per_second"] / one["muons_per_second"]
        core = two["core_ns_per_muon"] / one["core_ns_per_muon"]
        yield (
            f"{name:16}{threads:8}{one['muons_per_second']:14,.0f}{two['muons_per_second']:14,.0f}{rate:7.2f}x"
            f"{core:10.2f}x{one['spread']:8.0%}{two['spread']:6.0%}"
        )


def stages_of(path: Path, made: dict[str, Any] | None = None) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the measurements of a record by their stages and threads; `InputError` if it is none.

    Parameters
    ----------
    path : Path
        Where it is, see `read_record`.
    made : dict, optional
        What was read from there.
    """
    try:
        found = read_record(path) if made is None else made
        return {(one["stage"], one["threads"]): one for one in found["measurements"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no record of `bench`: give a file that --json wrote") from error
