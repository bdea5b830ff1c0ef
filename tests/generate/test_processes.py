"""Workers that are processes of their own: the same muons, and an end whenever one comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from shipgen import MuonGenerator
from shipgen.errors import BundleError, InputError, ShipgenError
from shipgen.files.arrays.choose import choose_layout
from shipgen.files.layouts import MUONBACK, RNTUPLE
from shipgen.generate import processes
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.bundle.bundle import Bundle
    from shipgen.files.layouts import Layout
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch

N = 5 * CHUNK_SIZE


@pytest.fixture(autouse=True)
def from_two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few workers be processes, for few chunks: two with two threads and one."""
    monkeypatch.setattr(processes, "MOST_THREADS", 1)
    monkeypatch.setattr(processes, "LEAST_CHUNKS", 1)


def columns(chunk: Chunk, batch: Batch) -> tuple[int, int, dict[str, np.ndarray]]:
    return chunk.index, os.getpid(), {name: column.copy() for name, column in batch.columns().items()}


def ids(chunk: Chunk, batch: Batch) -> int:
    del chunk, batch
    return os.getpid()


def refuse(chunk: Chunk, batch: Batch) -> int:
    del batch
    if chunk.index == 2:
        raise InputError("chunk 2 is not wanted")
    return chunk.index


class OddError(Exception):
    """Cannot be made again of what it says."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def oddly(chunk: Chunk, batch: Batch) -> None:
    del chunk, batch
    raise OddError("odd", "one")


def stop_itself(chunk: Chunk, batch: Batch) -> int:
    del batch
    if chunk.index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return chunk.index


def too_much(chunk: Chunk, batch: Batch) -> np.ndarray:
    del batch
    return np.full(processes._SLOT + 8, chunk.index % 100, np.uint8)


def is_running(process: int) -> bool:
    state = Path(f"/proc/{process}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_muons_of_threads(bundle: Bundle) -> None:
    generator = MuonGenerator(bundle, n=N, seed=1, workers=3)
    found = []
    for index, process, made in generator.run(columns, first=1, apart=True):
        # What is made lies in memory that is used again.
        found.append((index, process, {name: column.copy() for name, column in made.items()}))
    assert [index for index, _, _ in found] == [*range(1, len(generator.plan))]
    assert len({process for _, process, _ in found} - {os.getpid()}) == 2
    for (index, _, made), batch in zip(found, list(generator)[1:], strict=True):
        for name, column in batch.columns().items():
            np.testing.assert_array_equal(made[name], column, err_msg=f"{name} of chunk {index}")


def test_not_for_few_workers_or_chunks(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "MOST_THREADS", 4)
    assert set(MuonGenerator(bundle, n=N, seed=1, workers=3).run(ids, apart=True)) == {os.getpid()}
    monkeypatch.setattr(processes, "MOST_THREADS", 1)
    monkeypatch.setattr(processes, "LEAST_CHUNKS", 4)
    assert set(MuonGenerator(bundle, n=N, seed=1, workers=3).run(ids, apart=True)) == {os.getpid()}
    assert set(MuonGenerator(bundle, n=N, seed=1, workers=3).run(ids)) == {os.getpid()}


@pytest.mark.parametrize(("layout", "compression"), [(MUONBACK, "zstd:1"), (RNTUPLE, "none")])
def test_files_are_those_of_threads(bundle: Bundle, tmp_path: Path, layout: Layout, compression: str) -> None:
    """Cut where files end, so that a chunk goes to two of them, and so are their hashes."""
    found = {}
    for workers in (1, 3):
        generator = MuonGenerator(bundle, n=N, seed=1, exact=True, workers=workers)
        path = tmp_path / f"{workers}.root"
        report = produce(generator, path, layout=layout, compression=compression, max_per_file=N // 2)
        assert report.counts == found.get("counts", report.counts)
        found["counts"] = report.counts
        for number, file in enumerate(report.files):
            with uproot.open(file) as opened:
                arrays = opened[layout.tree].arrays(library="np")
            for name, column in arrays.items():
                np.testing.assert_array_equal(found.setdefault(f"{number} {name}", column), column)


def test_arrays_are_those_of_threads(bundle: Bundle, tmp_path: Path) -> None:
    made = []
    for workers in (1, 3):
        generator = MuonGenerator(bundle, n=N, seed=1, exact=True, workers=workers)
        path = tmp_path / f"{workers}.npz"
        produce(generator, path, layout=choose_layout(path.name))
        with np.load(path) as file:
            made.append({name: file[name] for name in file.files})
    columns = [name for name, column in made[0].items() if column.shape == (N,)]
    assert len(columns) == 8
    for name in columns:
        np.testing.assert_array_equal(made[1][name], made[0][name])


def test_what_is_too_large_for_the_shared_memory_comes_as_well(bundle: Bundle) -> None:
    generator = MuonGenerator(bundle, n=2 * CHUNK_SIZE, seed=1, exact=True, workers=2)
    found = [int(made.sum(dtype=int)) for made in generator.run(too_much, apart=True)]
    assert found == [0, processes._SLOT + 8]


def test_errors_come_through(bundle: Bundle) -> None:
    generator = MuonGenerator(bundle, n=N, seed=1, workers=3)
    numbers = generator.run(refuse, apart=True)
    assert [next(numbers), next(numbers)] == [0, 1]
    with pytest.raises(InputError, match=r"^chunk 2 is not wanted\n"):
        next(numbers)
    with pytest.raises(ShipgenError, match=r"^OddError: odd one\n"):
        next(generator.run(oddly, apart=True))


def test_a_bundle_that_is_gone_is_told(bundle: Bundle, tmp_path: Path) -> None:
    import shutil

    from shipgen.bundle.bundle import Bundle as Opened

    copied = tmp_path / "copy"
    shutil.copytree(bundle.path, copied)
    generator = MuonGenerator(Opened.open(copied), n=N, seed=1, workers=3)
    shutil.rmtree(copied)
    with pytest.raises(BundleError, match="cannot be read, it is not there"):
        next(generator.run(ids, apart=True))


CLOSED = """
import os, sys
from pathlib import Path
from counted import size
from shipgen import MuonGenerator
from shipgen.generate import processes
processes.MOST_THREADS = processes.LEAST_CHUNKS = 1
for number in map(int, sys.argv[2].split(",")):
    os.close(number)
generator = MuonGenerator(sys.argv[1], n=400_000, seed=1, exact=True, workers=2)
Path("made").write_text(str(sum(generator.run(size, apart=True))))
"""


@pytest.mark.parametrize("closed", ["0", "0,1", "0,1,2"])
def test_a_program_may_have_closed_its_streams(bundle: Bundle, tmp_path: Path, closed: str) -> None:
    """What is opened next has their numbers."""
    (tmp_path / "counted.py").write_text("def size(chunk, batch):\n    return len(batch)\n")
    (tmp_path / "program.py").write_text(CLOSED)
    command = [sys.executable, "program.py", str(bundle.path), closed]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "made").read_text() == "400000"


def test_threads_where_processes_cannot_be_started(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = MuonGenerator(bundle, n=N, seed=1, workers=3)
    monkeypatch.setattr(sys, "executable", "/there/is/no/python")
    made = list(generator.run(columns, first=1, apart=True))
    assert [index for index, _, _ in made] == [*range(1, len(generator.plan))]
    assert {process for _, process, _ in made} == {os.getpid()}


def test_a_process_that_is_killed_is_told(bundle: Bundle) -> None:
    with pytest.raises(
        ShipgenError, match=r"^a worker process ended by signal 9, .*fewer --workers take less$"
    ):
        list(MuonGenerator(bundle, n=N, seed=1, workers=3).run(stop_itself, apart=True))


def ended(results: Iterator[Any]) -> set[int]:
    """Return the processes that made two results, of which no more are asked for."""
    made = {next(results), next(results)}
    results.close()  # type: ignore[attr-defined]
    return made


def test_processes_end_with_the_iteration(bundle: Bundle) -> None:
    generator = MuonGenerator(bundle, n=N, seed=1, workers=3)
    for process in ended(generator.run(ids, apart=True)) | set(generator.run(ids, apart=True)):
        assert process != os.getpid()
        assert not is_running(process)
