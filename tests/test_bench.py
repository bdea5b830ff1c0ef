from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.generator import MuonGenerator
from shipgen_bench.reference import REFERENCES, write_reference
from shipgen_bench.rivals import roots_writers
from shipgen_bench.stages import PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle import Bundle

PROGRAM = "from shipgen_bench.cli import main; main()"


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_throughput_measures_every_stage(bundle: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "figures.json"
    options = ("--n", "1e4", "--repeat", 2, "--bundle", bundle.path, "--folder", tmp_path, "--json", record)
    done = bench("throughput", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "x the core time of its stages" in done.stdout
    facts = json.loads(record.read_text())
    stages = [item["stage"] for item in facts["measurements"]]
    assert stages == [*PARTS, "no output", "end to end"]
    for item in facts["measurements"]:
        assert item["muons"] in {10_000, 80_000}
        assert item["muons_per_second"] > 0
        assert len(item["seconds"]) == len(item["core_seconds"]) == 2
    assert facts["bundle"]["sha256"] == bundle.sha256
    assert facts["memory_mb"] > 50
    assert facts["overhead"]["stages_core_ns"] > 0
    assert list(tmp_path.iterdir()) == [record]

    compared = bench("compare", record, record)
    assert (compared.returncode, compared.stderr) == (0, "")
    assert compared.stdout.count("1.00x") == 2 * len(stages)


def test_single_stages_with_a_reference(tmp_path: Path) -> None:
    for name, stages in (("write", 4), ("read", 1)):
        options = ("--n", "1e4", "--repeat", 1, "--reference", "student", "--layout", "rntuple")
        done = bench(name, *options, "--folder", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert "7-32-32-32 off axis, 5-24-24 on axis" in done.stdout
        assert done.stdout.count("\n") == stages + 4, done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", list(REFERENCES))
def test_references_make_plausible_muons(tmp_path: Path, name: str) -> None:
    bundle = write_reference(tmp_path / name, REFERENCES[name])
    batch = next(iter(MuonGenerator(bundle, n=2000, seed=1, exact=True)))
    assert batch.pz.min() > 10
    assert batch.pz.std() > 1
    again = write_reference(tmp_path / "again", REFERENCES[name])
    assert again.sha256 == bundle.sha256


def test_roots_writers_are_measured(tmp_path: Path) -> None:
    n = 1000
    rng = np.random.default_rng(1)
    columns = {
        name: rng.normal(size=n).astype(np.float32) for name in ("x", "y", "z", "px", "py", "pz", "weight")
    }
    columns["pdg"] = np.full(n, 13, np.int32)
    found = roots_writers(columns, "zstd:1", tmp_path, 1)
    assert [one.stage for one in found] == ["TTree::Fill", "ROOT's RNTuple"]
    assert all(one.muons == n and one.rate > 0 and one.size for one in found)


def test_bad_input_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for arguments, message in (
        (["throughput", "--bundle", "nowhere"], "nowhere is no bundle"),
        (["throughput", "--bundle", bundle.path, "--folder", "nowhere"], "nowhere does not exist"),
        (["infer", "--bundle", bundle.path, "--reference", "gan"], "either a bundle or a reference"),
        (["compare", other, other], "other.json is no record of `bench`"),
        (["--debug"], "No such option"),
    ):
        done = bench(*arguments)
        assert done.returncode > 0
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
