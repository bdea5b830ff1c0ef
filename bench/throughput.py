"""Throughput of `shipgen produce` and of its stages: what to measure, as tables and as records."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle import Bundle
from shipgen.errors import InputError
from shipgen.files import read_json
from shipgen_bench.measure import measure, memory
from shipgen_bench.reference import REFERENCES, write_reference
from shipgen_bench.rivals import has, published_way, roots_writers
from shipgen_bench.stages import CHUNKS, PARTS, Stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipgen.columns import Columns
    from shipgen.layouts import Layout
    from shipgen_bench.measure import Measurement

#: Muons that the published way makes: enough for a rate.
_PUBLISHED = 50_000

#: Benchmark -> the stages it measures.
BENCHMARKS = {
    "throughput": (*PARTS, "no output", "end to end"),
    "latent": ("latents",),
    "infer": ("networks",),
    "write": ("encoding", "writing", "writer", "uproots writer"),
    "read": ("reading",),
    "produce": ("no output", "end to end"),
    "rivals": ("writer", "uproots writer", "end to end"),
}


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
) -> list[Measurement]:
    """Run the benchmark called `name`, see `BENCHMARKS` and `shipgen_bench.stages.Stages`."""
    stages = Stages(bundle, n=n, workers=workers, folder=folder, layout=layout, compression=compression)
    found = measure(stages.stages(*BENCHMARKS[name]), repeat)
    if name == "rivals":
        found += rivals(stages.columns, compression, folder, repeat)
    return found


def rivals(columns: Columns, compression: str, folder: Path, repeat: int) -> list[Measurement]:
    """Measure what shipgen is compared with, as far as its software is there.

    The published way uses a dense network of 7-32-32-32, as the bundle of ``--reference student`` off axis.
    """
    found = []
    if has("ROOT"):
        # As many as the other writers write; shifted, since ROOT stores equal pages once.
        many = {
            name: np.concatenate([np.roll(column, number) for number in range(CHUNKS)])
            for name, column in columns.items()
        }
        found += roots_writers(many, compression, folder, repeat)
        if has("tensorflow"):
            widths = (*REFERENCES["student"].off_axis, 6)
            found += published_way(widths, _PUBLISHED, 1, folder, min(repeat, 2))
    return found


def overhead(found: Sequence[Measurement]) -> dict[str, float] | None:
    """Compare end to end with the stages alone.

    Returns
    -------
    dict or None
        ``stages_core_ns``, the stages' sum; ``core`` and ``wall``, the core time end to end, and its
        wall-clock time times the threads, divided by that sum; ``None`` where a stage was not measured.
    """
    by_name = {one.stage: one for one in found}
    whole = by_name.get("end to end")
    if whole is None or not all(part in by_name for part in PARTS):
        return None
    total = sum(by_name[part].core_ns for part in PARTS)
    wall = whole.threads / whole.rate * 1e9
    return {"stages_core_ns": total, "core": whole.core_ns / total, "wall": wall / total}


def table(found: Sequence[Measurement]) -> Iterator[str]:
    """Give the lines of a table."""
    yield (
        f"{'stage':16}{'threads':>8}{'muons':>12}{'muons/s':>14}{'spread':>8}{'core ns/muon':>14}"
        f"{'bytes/muon':>12}"
    )
    for one in found:
        size = "" if one.size is None else f"{one.size / one.muons:.2f}"
        yield (
            f"{one.stage:16}{one.threads:8}{one.muons:12,}{one.rate:14,.0f}{one.spread:8.0%}"
            f"{one.core_ns:14.1f}{size:>12}"
        )
    if compared := overhead(found):
        yield (
            f"end to end takes {compared['core']:.2f} x the core time of its stages, and in wall-clock time "
            f"{compared['wall']:.2f} x their sum over the threads"
        )
    yield f"memory: {memory():.0f} MB at most"


def record(found: Sequence[Measurement], facts: dict[str, Any]) -> dict[str, Any]:
    """Return all of it as plain values."""
    return {
        **facts,
        "memory_mb": memory(),
        "overhead": overhead(found),
        "measurements": [one.record() for one in found],
    }


def compare(old: Path, new: Path) -> Iterator[str]:
    """Give the lines of a comparison of two records.

    Raises
    ------
    InputError
        One of them is no record of a benchmark, or they have no stage in common.
    """
    before, after = (_stages(path) for path in (old, new))
    common = [name for name in after if name in before]
    if not common:
        raise InputError(f"{old} and {new} have no stage in common")
    yield f"{'stage':16}{'old muons/s':>14}{'new muons/s':>14}{'rate':>8}{'core time':>11}"
    for name in common:
        one, two = before[name], after[name]
        rate = two["muons_per_second"] / one["muons_per_second"]
        core = two["core_ns_per_muon"] / one["core_ns_per_muon"]
        yield (
            f"{name:16}{one['muons_per_second']:14,.0f}{two['muons_per_second']:14,.0f}{rate:7.2f}x{core:10.2f}x"
        )


def _stages(path: Path) -> dict[str, dict[str, Any]]:
    """Return the measurements of a record by their stages."""
    try:
        return {one["stage"]: one for one in read_json(path)["measurements"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no record of `bench`: give a file that --json wrote") from error
