"""Measuring: stages run in turn, several times, in one process; wall-clock and core time of each."""

from __future__ import annotations

import platform
import resource
import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipgen.provenance import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shipgen.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Stage:
    """Something to measure.

    Attributes
    ----------
    name : str
        What it is called in tables.
    muons : int
        How many it handles.
    work : callable
        Does it; what it returns, if anything, is the number of bytes written or read.
    threads : int
        How many threads it uses.
    prepare : callable
        Runs before each repetition, not timed.
    """

    name: str
    muons: int
    work: Callable[[], int | None]
    threads: int = 1
    prepare: Callable[[], object] = lambda: None


@dataclass(slots=True)
class Measurement:
    """What was found for a stage.

    Attributes
    ----------
    stage : str
        Its name.
    threads, muons : int
        As in `Stage`.
    seconds, core_seconds : list of float
        Wall-clock time and time of all threads, of each repetition.
    size : int, optional
        Bytes written or read.
    """

    stage: str
    threads: int
    muons: int
    seconds: list[float] = field(default_factory=list)
    core_seconds: list[float] = field(default_factory=list)
    size: int | None = None

    @property
    def rate(self) -> float:
        """Muons per second of wall-clock time, median."""
        return self.muons / statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """How far the repetitions lie apart: (longest - shortest) / median."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)

    @property
    def core_ns(self) -> float:
        """Nanoseconds of core time a muon, median."""
        return statistics.median(self.core_seconds) / self.muons * 1e9

    def record(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "stage": self.stage,
            "threads": self.threads,
            "muons": self.muons,
            "muons_per_second": self.rate,
            "spread": self.spread,
            "core_ns_per_muon": self.core_ns,
            "bytes_per_muon": None if self.size is None else self.size / self.muons,
            "seconds": self.seconds,
            "core_seconds": self.core_seconds,
        }


def measure(stages: Sequence[Stage], repeat: int) -> list[Measurement]:
    """Run all `stages` in turn, once to warm up and `repeat` times measured.

    In turn, so that whatever else the machine does meets all of them alike.
    """
    found = [Measurement(stage.name, stage.threads, stage.muons) for stage in stages]
    for number in range(repeat + 1):
        for stage, measurement in zip(stages, found, strict=True):
            stage.prepare()
            wall, core = time.perf_counter(), time.process_time()
            size = stage.work()
            wall, core = time.perf_counter() - wall, time.process_time() - core
            if number:
                measurement.seconds.append(wall)
                measurement.core_seconds.append(core)
                measurement.size = size
    return found


def circumstances(bundle: Bundle | None) -> dict[str, Any]:
    """Return what a figure is worthless without: machine, versions, bundle, date."""
    facts: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "system": platform.platform(),
        "versions": versions("shipgen", "numpy", "onnxruntime", "uproot", "cramjam"),
    }
    if bundle is not None:
        facts["bundle"] = {"name": bundle.name, "label": bundle.label, "sha256": bundle.sha256}
    return facts


def memory() -> float:
    """Return the most memory that this process has had so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _cpu() -> str:
    """Return the processor's name, as Linux tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
