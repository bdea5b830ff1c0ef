"""Measuring: stages run in turn, several times; wall-clock and core time of each."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipgen.provenance import bundle_facts, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch

#: Of the records that ``--json`` writes.
FORMAT = "shipgen-bench 2"

#: Seconds that a stage runs at least: a shared machine is now faster, now slower.
LEAST = 0.2


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
        Does it; what it returns, if anything, is the number of bytes written or read, or the times of a
        program that measures itself.
    threads : int
        How many threads it uses.
    prepare : callable
        Runs before each repetition, not timed.
    """

    name: str
    muons: int
    work: Callable[[], int | Repetition | None]
    threads: int = 1
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Repetition:
    """What was measured once.

    Attributes
    ----------
    seconds, core_seconds : float
        Wall-clock time and time of all threads.
    size : int, optional
        Bytes written or read.
    """

    seconds: float
    core_seconds: float
    size: int | None


def side_by_side(stages: Sequence[Stage]) -> Stage:
    """Return a stage that does the same thing in several threads at once, as production does with all stages.

    Cores that are all busy are slower than one alone: they share caches, memory and the way to it.

    Parameters
    ----------
    stages : sequence of Stage
        One a thread, each with memory and files of its own.
    """
    # What a stage prepares may belong to its thread.
    threads = [ThreadPoolExecutor(1) for _ in stages]

    def all_at_once(actions: Sequence[Callable[[], Any]]) -> list[Any]:
        futures = [thread.submit(action) for thread, action in zip(threads, actions, strict=True)]
        return [future.result() for future in futures]

    def work() -> int | None:
        sizes = all_at_once([stage.work for stage in stages])
        return None if sizes[0] is None else sum(sizes)

    return Stage(
        stages[0].name,
        sum(stage.muons for stage in stages),
        work,
        len(stages),
        lambda: all_at_once([stage.prepare for stage in stages]),
    )


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


def measure(stages: Sequence[Stage], repeat: int, least: float | None = None) -> list[Measurement]:
    """Run all `stages` in turn, once to warm up and `repeat` times measured.

    In turn, so that whatever else the machine does meets all of them alike. What takes less than `least`
    seconds (`LEAST`) runs again until that is reached, and counts with its mean.
    """
    least = LEAST if least is None else least
    found = [Measurement(stage.name, stage.threads, stage.muons) for stage in stages]
    for stage in stages:
        _once(stage)
    for _ in range(repeat):
        for stage, measurement in zip(stages, found, strict=True):
            runs = [_once(stage)]
            while sum(run.seconds for run in runs) < least:
                runs.append(_once(stage))
            measurement.seconds.append(statistics.fmean(run.seconds for run in runs))
            measurement.core_seconds.append(statistics.fmean(run.core_seconds for run in runs))
            measurement.size = runs[-1].size
    return found


def _once(stage: Stage) -> Repetition:
    """Prepare and run a stage."""
    stage.prepare()
    wall, core = time.perf_counter(), _core_time()
    made = stage.work()
    wall, core = time.perf_counter() - wall, _core_time() - core
    return made if isinstance(made, Repetition) else Repetition(wall, core, made)


def _core_time() -> float:
    """Return the core time, s, of this process and of those that it started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def run_without_output(generator: MuonGenerator) -> None:
    """Make all muons of `generator` and throw them away."""
    for _ in generator.run(_nothing, apart=True):
        pass


def _nothing(chunk: Chunk, batch: Batch) -> None:
    """Make nothing of a batch, in whatever process."""


def circumstances(bundle: Bundle | None) -> dict[str, Any]:
    """Return what a figure is worthless without: machine, versions, bundle, date."""
    facts: dict[str, Any] = {
        "format": FORMAT,
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "versions": versions("shipgen", "numpy", "onnxruntime", "uproot", "zstandard"),
    }
    if bundle is not None:
        facts["bundle"] = bundle_facts(bundle)
    return facts


def memory() -> float:
    """Return the most memory that this process, or one that it started, has had so far, MB."""
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return most * 1024 / 1e6


def _cpu() -> str:
    """Return the processor's name, as Linux tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
