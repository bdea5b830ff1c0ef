from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.cli import run_command
from shipgen.errors import BundleError, InputError
from shipgen.generate.generator import MuonGenerator
from shipgen_bench.cli import bench as program
from shipgen_bench.device import counts, differences
from shipgen_bench.measure import Measurement, Repetition, Stage, measure, side_by_side
from shipgen_bench.reference import REFERENCES, write_reference
from shipgen_bench.rivals import roots_writers
from shipgen_bench.stages import PARTS
from shipgen_bench.throughput import keep, overhead, read_record, steady, table

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

PROGRAM = "from shipgen_bench.cli import main; main()"

Bench = Callable[..., "subprocess.CompletedProcess[str]"]


def as_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Repetition the command line in this process, which has the imports; nothing is measured for long."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr("shipgen_bench.measure.LEAST", 0.0)

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        return subprocess.CompletedProcess(words, run_command(program, "bench", words), *capsys.readouterr())

    return call


def test_throughput_measures_every_stage(bench: Bench, bundle: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "figures.json"
    options = ("--n", "1e4", "--repeat", 1, "--bundle", bundle.path, "--workers", 2)
    options += ("--folder", tmp_path, "--json", record)
    done = as_a_process("throughput", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "x the core time of the stages measured one at a time" in done.stdout
    assert "x the core time of the stages measured each on all cores at once" in done.stdout
    facts = json.loads(record.read_text())
    stages = [(item["stage"], item["threads"]) for item in facts["measurements"]]
    whole = ["start-up", "no output", "end to end"]
    assert stages == [
        *((part, 1) for part in PARTS),
        *((stage, 2) for stage in whole),
        *((part, 2) for part in PARTS),
    ]
    size = {"mixing": 80_000, "writing": 80_000, "start-up": 1, "no output": 10_000, "end to end": 10_000}
    for item in facts["measurements"]:
        each = size.get(item["stage"], 10_000)
        assert item["muons"] == each * (2 if item["stage"] in PARTS and item["threads"] == 2 else 1)
        assert item["muons_per_second"] > 0
        assert len(item["seconds"]) == len(item["core_seconds"]) == 1
    assert facts["bundle"]["sha256"] == bundle.sha256
    assert facts["memory_mb"] > 50
    assert facts["overhead"].keys() == {"alone", "side_by_side"}
    assert facts["overhead"]["alone"]["stages_core_ns"] > 0
    assert facts["steady"]["start_up_seconds"] > 0
    assert list(tmp_path.iterdir()) == [record]

    compared = bench("compare", record, record)
    assert (compared.returncode, compared.stderr) == (0, "")
    assert compared.stdout.count("1.00x") == 2 * len(stages)

    drawn = bench("picture", record, record, "-o", tmp_path / "time.png")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert (tmp_path / "time.png").read_bytes()[1:4] == b"PNG"
    again = bench("picture", record, "-o", tmp_path / "time.png")
    assert (again.returncode, again.stderr.count("\n")) == (3, 1)
    assert "--force" in again.stderr


def test_a_history_is_compared(bench: Bench, bundle: Bundle, tmp_path: Path) -> None:
    history = tmp_path / "runs.jsonl"
    options = ("--n", "1e4", "--repeat", 1, "--folder", tmp_path, "--history", history)
    first = bench("infer", *options, "--bundle", bundle.path)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith(f"{history}: record 1\n")
    second = bench("infer", *options, "--reference", "student")
    assert f"record 2; compare by `bench compare {history}@-2 {history}`" in second.stdout
    lines = history.read_text().splitlines()
    assert [json.loads(line)["bundle"]["name"] for line in lines] == ["test", "reference"]
    for old, new, apart in (("@-2", "", True), ("@1", "@2", True), ("", "@-1", False)):
        compared = bench("compare", f"{history}{old}", f"{history}{new}")
        assert (compared.returncode, compared.stderr) == (0, "")
        assert ("bundle: " in compared.stdout) == apart
        assert ("1.00x" in compared.stdout) == (not apart)
        assert "networks" in compared.stdout
    for wrong in (f"{history}@3", f"{history}@x", tmp_path / "none.jsonl", tmp_path / "none.json"):
        refused = bench("compare", history, wrong)
        assert (refused.returncode != 0, refused.stderr.count("\n")) == (True, 1)
        assert str(wrong).partition("@")[0] in refused.stderr


def test_records_that_never_come_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**40)
    for name in ("fifo", "endless", "huge", "fifo@1"):
        with pytest.raises(InputError, match=r"it is no file|larger than any JSON"):
            read_record(tmp_path / name)
    with pytest.raises(InputError, match="fifo is no file: choose another name for the history"):
        keep(tmp_path / "fifo", {})


def test_a_device_is_compared_with_the_cpu(bench: Bench, bundle: Bundle, tmp_path: Path) -> None:
    """Tried with the CPU's provider; what differs more than rounding is refused."""
    record = tmp_path / "device.json"
    options = ("--n", "1e4", "--bundle", bundle.path, "--folder", tmp_path, "--json", record)
    done = bench("device", "--device", "cpu", "--most-workers", 3, *options)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(record.read_text())
    assert facts["device"] == "cpu"
    assert set(facts["differences"].values()) == {0.0}
    stages = [(item["stage"], item["threads"]) for item in facts["measurements"]]
    assert stages[:2] == [("networks 4,096", 1), ("networks 131,072", 1)]
    assert stages[2:] == [(name, k) for k in (1, 2, 3) for name in ("no output", "end to end")]
    assert list(tmp_path.iterdir()) == [record]
    missing = bench("device", *options)
    assert (missing.returncode != 0, missing.stderr.count("\n")) == (True, 1)
    assert "cuda" in missing.stderr


def test_other_muons_on_a_device_are_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tuple(replace(network) for network in bundle.networks)
    monkeypatch.setattr(type(bundle), "load_networks", lambda *_: other)
    assert set(differences(bundle, "cpu", 2000).values()) == {0.0}
    columns = type(other[0]).columns_of_drawn
    monkeypatch.setattr(
        type(other[0]),
        "columns_of_drawn",
        lambda self, drawn: columns(self, drawn) * (1 + 1e-2 * any(self is one for one in other)),
    )
    with pytest.raises(BundleError, match="differ from the CPU's"):
        differences(bundle, "cpu", 2000)


def test_counts_of_workers() -> None:
    assert counts(1) == [1]
    assert counts(6) == [1, 2, 4, 6]
    assert counts(16) == [1, 2, 4, 8, 16]


def test_single_stages_with_a_reference(bench: Bench, tmp_path: Path) -> None:
    for name, lines in (("write", 5), ("read", 1), ("infer", 2), ("produce", 3)):
        options = (
            "--n",
            "1e4",
            "--repeat",
            1,
            "--reference",
            "student",
            "--layout",
            "rntuple",
            "--workers",
            2,
        )
        done = bench(name, *options, "--folder", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "7-32-32-32 off axis, 5-24-24 on axis" in done.stdout
        assert done.stdout.count("\n") == lines + 4, done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", list(REFERENCES))
def test_references_make_plausible_muons(tmp_path: Path, name: str) -> None:
    bundle = write_reference(tmp_path / name, REFERENCES[name])
    batch = next(iter(MuonGenerator(bundle, n=2000, seed=1, exact=True)))
    assert batch.pz.min() > 10
    assert batch.pz.std() > 1
    again = write_reference(tmp_path / "again", REFERENCES[name])
    assert again.sha256 == bundle.sha256


def test_measuring_runs_stages_in_turn_and_takes_times_from_outside() -> None:
    calls: list[str] = []
    stages = [
        Stage("a", 10, lambda: calls.append("a"), prepare=lambda: calls.append("before a")),
        Stage("b", 1000, lambda: Repetition(2.0, 4.0, 3000)),
    ]
    one, other = measure(stages, 2, least=0.0)
    # Once to warm up.
    assert calls == ["before a", "a"] * 3
    assert len(one.seconds) == 2
    # What is short runs again.
    measure(stages[:1], 1, least=1e-4)
    assert len(calls) > 12
    assert (other.rate, other.core_ns, other.size) == (500, 4e6, 3000)


def test_stages_side_by_side_each_keep_to_a_thread() -> None:
    meeting = threading.Barrier(3, timeout=60)
    seen: list[dict[str, int]] = [{} for _ in range(3)]

    def part(number: int) -> Stage:
        def work() -> int:
            # Passed only when all three are there at the same time.
            meeting.wait()
            seen[number]["work"] = threading.get_ident()
            return 5

        def prepare() -> None:
            seen[number]["prepare"] = threading.get_ident()

        return Stage("part", 100, work, prepare=prepare)

    whole = side_by_side([part(number) for number in range(3)])
    (found,) = measure([whole], 1, least=0.0)
    assert (found.stage, found.threads, found.muons, found.size) == ("part", 3, 300, 15)
    assert all(one["work"] == one["prepare"] for one in seen)
    assert len({one["work"] for one in seen}) == 3


def test_start_up_is_taken_off() -> None:
    """Of 2 s, and 3 s of core time, half a second is start-up; stages take 200 ns alone, 250 together."""
    found = [
        Measurement(part, threads, 10**6, [0.1], [ns * 1e-3])
        for threads, ns in ((1, 200), (2, 250))
        for part in PARTS
    ]
    found += [Measurement("start-up", 2, 1, [0.5], [0.5]), Measurement("end to end", 2, 10**6, [2.0], [3.0])]
    whole = steady(found)
    assert whole is not None
    assert (whole["wall_ns"], whole["core_ns"]) == (pytest.approx(1500), pytest.approx(2500))
    compared = overhead(found)
    assert compared is not None
    for name, total in (("alone", 1000), ("side_by_side", 1250)):
        assert compared[name]["stages_core_ns"] == pytest.approx(total)
        assert compared[name]["core"] == pytest.approx(2500 / total)
        assert compared[name]["wall"] == pytest.approx(3000 / total)
    assert overhead(found[1:]) is not None
    assert overhead(found[:5]) is None


def test_roots_writers_are_measured(tmp_path: Path) -> None:
    n = 1000
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(size=n).astype(np.float32) for name in ("x", "y", "z", "px", "py", "pz")}
    columns["pdg"] = np.full(n, 13, np.int32)
    found = []
    for stage in roots_writers(columns, "zstd:1", tmp_path):
        # Once: each is a process that compiles.
        run = stage.work()
        assert isinstance(run, Repetition)
        found.append(Measurement(stage.name, 1, n, [run.seconds], [run.core_seconds], run.size))
    found.append(Measurement("writer", 1, n, [1.0], [1.0]))
    assert [one.stage for one in found] == ["TTree::Fill", "ROOT's RNTuple", "writer"]
    assert all(one.muons == n and one.rate > 0 for one in found)
    assert all(one.size for one in found[:2])
    text = "\n".join(table(found))
    assert "core time of TTree::Fill: 0." in text
    assert "core time of ROOT's RNTuple: 0." in text


def test_bad_input_is_one_line(bench: Bench, bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    single = tmp_path / "single.json"
    single.write_text('{"measurements": [{"stage": "latents", "threads": 1}]}')
    for arguments, message in (
        (["throughput", "--bundle", "nowhere"], "nowhere is no bundle"),
        (["throughput", "--bundle", bundle.path, "--folder", "nowhere"], "nowhere does not exist"),
        (["infer", "--bundle", bundle.path, "--reference", "gan"], "either a bundle or a reference"),
        (["compare", other, other], "other.json is no record of `bench`"),
        (["picture", other, "-o", "a.png"], "other.json is no record of `bench`"),
        (["picture", single, "-o", "a.png"], "single.json lacks a stage"),
        (["picture", single, "-o", "a.txt"], "a.txt is no picture"),
        (["--debug"], "No such option"),
    ):
        done = bench(*arguments)
        assert done.returncode > 0
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
