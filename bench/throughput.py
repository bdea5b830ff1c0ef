"""Throughput of `shipgen produce` and of its stages, measured in one run on one machine."""

from __future__ import annotations

import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.generator import BATCH_SIZE, MuonGenerator
from shipgen.layouts import MUONBACK
from shipgen.plan import CHUNK_SIZE
from shipgen.produce import produce, write
from shipgen.provenance import versions
from shipgen.streams import LATENT, stream
from shipgen.writers import NullWriter, RootWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipgen.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Measurement:
    """One stage: how many muons in how many seconds of wall-clock time, best of the repetitions."""

    stage: str
    workers: int
    muons: int
    seconds: float

    @property
    def rate(self) -> float:
        """Muons per second."""
        return self.muons / self.seconds


def throughput(
    bundle: Bundle, *, n: int, workers: int | None, repeat: int, folder: Path | None, compression: str
) -> Iterator[Measurement]:
    """Measure each stage alone on one thread, then all together, best of `repeat` times.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    n : int
        Muons of the end-to-end measurement; the single stages take one chunk.
    workers : int, optional
        Threads of the measurements that use several; all cores when not given.
    repeat : int
        Repetitions of each measurement.
    folder : Path, optional
        Where the test file is written and removed again; the system's temporary folder when not given.
    compression : str
        As for `shipgen.produce.produce`.
    """
    generator = MuonGenerator(bundle, n=n, seed=1, exact=True, workers=workers)
    single = MuonGenerator(bundle, n=min(n, CHUNK_SIZE), seed=1, exact=True, workers=1)
    chunk = single.plan.chunk(0)
    batch = single.make(chunk)

    def latents() -> None:
        for entry, count in zip(bundle.entries, chunk.counts, strict=True):
            rng = stream(1, 0, LATENT + entry.category.number)
            for begin in range(0, count, BATCH_SIZE):
                rng.standard_normal((min(BATCH_SIZE, count - begin), entry.latent_size), np.float32)

    def networks() -> None:
        for network, count in zip(bundle.networks, chunk.counts, strict=True):
            latent = np.zeros((BATCH_SIZE, network.latent_size), np.float32)
            for begin in range(0, count, BATCH_SIZE):
                network(latent[: min(BATCH_SIZE, count - begin)])

    yield _measure("latents", 1, chunk.size, repeat, latents)
    yield _measure("networks", 1, chunk.size, repeat, networks)
    yield _measure("chunks", 1, chunk.size, repeat, lambda: single.make(chunk))
    with tempfile.TemporaryDirectory(dir=folder, prefix="shipgen-bench-") as temporary:
        path = Path(temporary) / "bench.root"

        def output() -> None:
            with RootWriter(
                path,
                MUONBACK,
                constants={"energy_cut": bundle.energy_cut},
                target_start=bundle.target_start,
                compression=compression,
                force=True,
            ) as writer:
                writer.extend(batch.columns())

        def everything() -> None:
            produce(generator, path, compression=compression, force=True)

        yield _measure("output", 1, chunk.size, repeat, output)
        yield _measure("no output", generator.workers, n, repeat, lambda: write(generator, NullWriter()))
        yield _measure("end to end", generator.workers, n, repeat, everything)


def _measure(stage: str, workers: int, muons: int, repeat: int, work: Callable[[], object]) -> Measurement:
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return Measurement(stage, workers, muons, min(times))


def circumstances(bundle: Bundle) -> dict[str, Any]:
    """Return what a figure is worthless without: machine, versions, bundle, date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "system": platform.platform(),
        "versions": versions("shipgen", "numpy", "onnxruntime", "uproot"),
        "bundle": {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256},
    }


def _cpu() -> str:
    """Return the processor's name, as Linux tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def as_record(measurement: Measurement) -> dict[str, Any]:
    """Return a measurement as plain values, its rate included."""
    return {**asdict(measurement), "rate": measurement.rate}
