"""`shipgen produce` as its users run it: one process a command, the file read by uproot and by ROOT."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from shipgen.categories import CATEGORIES
from shipgen.generator import MuonGenerator
from shipgen.plan import CHUNK_SIZE, Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.bundle import Bundle

    Run = Callable[..., subprocess.CompletedProcess[str]]

N = 400_000


def read(path: Path) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = uproot.open(path)["pythia8-Geant4"].arrays(library="np")
    return columns


def provenance(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(str(uproot.open(path)["shipgen"]))
    return content


@pytest.fixture
def produced(shipgen: Run, bundle: Bundle, tmp_path: Path) -> Path:
    done = shipgen("produce", "--n", "4e5", "-o", "out.root", "--seed", 1, "--bundle", bundle.path)
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / "out.root"


def test_both_charges_and_origins_in_the_bundles_ratio(produced: Path, bundle: Bundle) -> None:
    columns = read(produced)
    on_axis = (columns["x"] == 0) & (columns["y"] == 0)
    for category, entry in zip(CATEGORIES, bundle.entries, strict=True):
        count = int(((columns["id"] == category.pdg) & (on_axis == category.on_axis)).sum())
        expected = N * entry.rate / bundle.rate
        assert abs(count - expected) < 5 * np.sqrt(expected)
        assert provenance(produced)["counts"][category.name] == count


def test_file_states_its_normalisation(produced: Path, bundle: Bundle) -> None:
    columns, facts = read(produced), provenance(produced)
    assert facts["pot"] == pytest.approx(N / bundle.rate)
    assert columns["w"].sum(dtype=float) == facts["sum_of_weights"] == len(columns["w"])
    # Poisson around the expected number for the stated POT.
    assert abs(facts["sum_of_weights"] - facts["pot"] * bundle.rate) < 5 * np.sqrt(N)
    assert facts["bundle"]["sha256"] == bundle.sha256
    assert facts["seed"] == 1
    assert facts["command"].startswith("shipgen produce --n 4e5 -o out.root --seed 1")
    summary = json.loads(str(uproot.open(produced)["FileSummary"]))
    assert summary == {"PoT": facts["pot"], "EnergyCut": 10.0, "prodSite": "shipgen"}


def test_root_reads_it_as_fairship_does(produced: Path) -> None:
    program = Path(__file__).with_name("read_like_fairship.py")
    done = subprocess.run(
        [sys.executable, program, produced], capture_output=True, text=True, check=True, timeout=120
    )
    found = json.loads(done.stdout)
    columns = read(produced)
    assert found["class"] == "TTree"
    assert found["leaves"] <= 16
    assert found["entries"] == len(columns["id"])
    assert set(found["status"].values()) == {0}
    assert found["sum_of_weights"] == len(columns["w"])
    assert found["summary"]["EnergyCut"] == 10
    expected = np.stack([columns[name][:: found["step"]] for name in found["status"]], axis=1)
    np.testing.assert_array_equal(np.array(found["rows"], np.float32), expected)


def test_same_command_same_muons(shipgen: Run, bundle: Bundle, tmp_path: Path, produced: Path) -> None:
    options = ("produce", "--n", "4e5", "--bundle", bundle.path)
    shipgen(*options, "-o", "again.root", "--seed", 1, "--workers", 1)
    shipgen(*options, "-o", "other.root", "--seed", 2)
    first, again, other = (read(tmp_path / name) for name in ("out.root", "again.root", "other.root"))
    assert produced.name == "out.root"
    for name, column in first.items():
        np.testing.assert_array_equal(again[name], column)
    assert not np.array_equal(first["pz"][:1000], other["pz"][:1000])


def test_exact_and_pot(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = shipgen("produce", "--pot", "1e8", "--exact", "-o", "o.root", "--seed", 4, "--bundle", bundle.path)
    assert done.returncode == 0
    assert len(read(tmp_path / "o.root")["id"]) == round(1e8 * bundle.rate)
    assert provenance(tmp_path / "o.root")["pot"] == 1e8


def test_a_drawn_seed_is_printed_and_reproduces(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = shipgen("produce", "--n", 1000, "-o", "a.root", "--bundle", bundle.path)
    seed = provenance(tmp_path / "a.root")["seed"]
    assert f"seed {seed}" in done.stdout
    shipgen("produce", "--n", 1000, "-o", "b.root", "--bundle", bundle.path, "--seed", seed)
    np.testing.assert_array_equal(read(tmp_path / "a.root")["pz"], read(tmp_path / "b.root")["pz"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--n", "0"], 2, "'0' is not above zero"),
        (["--n", "-5"], 2, "'-5' is not above zero"),
        (["--n", "1e9.5"], 2, "'1e9.5' is not a number"),
        (["--n", "2.5"], 2, "'2.5' is not a whole number"),
        (["--n", "nan"], 2, "'nan' is not a whole number"),
        (["--pot", "-1"], 2, "'-1' is not a finite number above zero"),
        ([], 2, "say how much"),
        (["--n", "10", "--pot", "1e9"], 2, "say how much"),
        (["--n", "10", "--seed", "-1"], 2, "-1 is not in the range"),
        (["--n", "10", "--bundle", "nowhere"], 4, "nowhere is no bundle"),
        (["--n", "10", "-o", "no/out.root"], 3, "does not exist"),
        (["--n", "10", "--compression", "zip"], 3, "no compression 'zip'"),
        (["--n", "10", "--layout", "flat"], 2, "'flat' is not one of 'muonback', 'rntuple'"),
        (["--n", "10", "--device", "tpu"], 2, "'tpu' is not one of"),
        (["--n", "10", "--max-per-file", "0"], 2, "'0' is not above zero"),
        (["--pot", "10"], 3, "ask for more"),
        (["--n", "1e14"], 3, "ask for less, or choose another disk"),
        (["--pot", "1e40"], 3, "are more than 1e+15"),
    ],
)
def test_bad_input_is_one_line(
    shipgen: Run, bundle: Bundle, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = shipgen("produce", "-o", "out.root", "--bundle", bundle.path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_muon_drawn(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Some seed draws no muon around 1; a file without entries would stop FairShip's reader."""
    seed = next(seed for seed in range(100) if not Plan.make((1.0,), n=1, seed=seed).total)
    done = shipgen("produce", "--n", 1, "-o", "out.root", "--seed", seed, "--bundle", bundle.path)
    assert done.returncode == 3
    assert "gave no muon" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out.root").write_text("mine")
    options = ("produce", "--n", 1000, "-o", "out.root", "--seed", 1, "--bundle", bundle.path)
    done = shipgen(*options)
    assert done.returncode == 3
    assert "--force" in done.stderr
    assert (tmp_path / "out.root").read_text() == "mine"
    assert shipgen(*options, "--force").returncode == 0
    assert len(read(tmp_path / "out.root")["id"]) > 900


def test_full_disk(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    """One clear line; with space made, the run goes on where it stopped."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000_000, 8_000_000))

    options = ("produce", "--n", "6e5", "-o", "out.root", "--bundle", bundle.path, "--seed", 1)
    done = shipgen(*options, preexec_fn=limit)
    assert done.returncode == 6
    assert "no space left while writing out.root" in done.stderr
    assert "262,144 of " in done.stderr
    assert "--resume" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"]

    refused = shipgen(*options)
    assert refused.returncode == 3
    assert "was begun and not completed: --resume goes on, --force begins anew" in refused.stderr
    other = shipgen(*options, "--seed", 2, "--resume")
    assert other.returncode == 3
    assert "unfinished work with seed 1, but 2 is asked for" in other.stderr

    resumed = shipgen(*options[:-2], "--resume")  # the seed is the interrupted run's
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "262,144 muons were there from the interrupted run" in resumed.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]
    shipgen(*options[:3], "-o", "whole.root", *options[5:])
    assert_same(tmp_path / "out.root", tmp_path / "whole.root")


def test_full_disk_at_the_start_leaves_nothing(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = shipgen("produce", "--n", "1e6", "-o", "out.root", "--bundle", bundle.path, preexec_fn=limit)
    assert done.returncode == 6
    assert "no space left while writing out.root" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def assert_same(one: Path, other: Path) -> None:
    first, second = read(one), read(other)
    for name, column in first.items():
        np.testing.assert_array_equal(second[name], column)
    facts = [provenance(path) for path in (one, other)]
    for content in facts:
        del content["command"]
    assert facts[0] == facts[1]


def start(bundle: Bundle, folder: Path, *options: object) -> subprocess.Popen[str]:
    command = ["produce", "-o", "out.root", "--seed", "1", "--bundle", str(bundle.path), *map(str, options)]
    return subprocess.Popen(
        [sys.executable, "-m", "shipgen", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_clusters(folder: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until an unfinished production has so many clusters on disk, or has ended."""
    journal = folder / "out.root.work" / "journal"
    deadline = time.monotonic() + 60
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") >= number):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(bundle: Bundle, tmp_path: Path, kind: signal.Signals) -> None:
    process = start(bundle, tmp_path, "--n", "1e9")
    wait_for_clusters(tmp_path, 2, process)
    os.kill(process.pid, kind)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "interrupted" in error
    assert "muons are kept in out.root.work: go on by --resume" in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.root.work"]


def test_force_begins_anew(shipgen: Run, bundle: Bundle, tmp_path: Path) -> None:
    process = start(bundle, tmp_path, "--n", "1e9")
    wait_for_clusters(tmp_path, 1, process)
    process.kill()
    process.communicate()
    done = shipgen("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path, "--force")
    assert done.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]


@pytest.mark.parametrize(("workers", "layout"), [(1, "muonback"), (2, "muonback"), (4, "rntuple")])
def test_killed_and_resumed(bundle: Bundle, tmp_path: Path, workers: int, layout: str) -> None:
    """A run killed again and again ends with the file that an uninterrupted one writes."""
    options = ("--n", "1.2e6", "--layout", layout, "--workers", workers)
    whole = start(bundle, tmp_path, *options)
    whole.communicate(timeout=120)
    (tmp_path / "out.root").rename(tmp_path / "whole.root")
    rng = np.random.default_rng(workers)
    kills = 0
    for goal in (1, 2, 4):
        process = start(bundle, tmp_path, *options, "--resume")
        wait_for_clusters(tmp_path, goal, process)
        time.sleep(rng.uniform(0, 0.05))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    assert kills
    process = start(bundle, tmp_path, *options, "--resume")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.root", "whole.root"]
    if layout == "muonback":
        assert_same(tmp_path / "out.root", tmp_path / "whole.root")
    else:
        columns = [uproot.open(path)["muons"].arrays() for path in sorted(tmp_path.glob("*.root"))]
        for name in columns[0].fields:
            np.testing.assert_array_equal(columns[0][name].to_numpy(), columns[1][name].to_numpy())


def test_split_into_files(shipgen: Run, bundle: Bundle, tmp_path: Path, produced: Path) -> None:
    options = ("produce", "--n", "4e5", "--seed", 1, "--bundle", bundle.path)
    done = shipgen(*options, "-o", "part.root", "--max-per-file", "1.5e5")
    assert (done.returncode, done.stderr) == (0, "")
    paths = [tmp_path / f"part_00{number}.root" for number in range(3)]
    whole = read(produced)
    total = len(whole["id"])
    assert sorted(tmp_path.glob("part*")) == paths
    parts = [read(path) for path in paths]
    assert [len(part["id"]) for part in parts] == [150_000, 150_000, total - 300_000]
    for name, column in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)
    facts = [provenance(path) for path in paths]
    assert sum(content["pot"] for content in facts) == pytest.approx(provenance(produced)["pot"])
    assert [content["file"]["number"] for content in facts] == [0, 1, 2]
    counts = [sum(content["counts"][name] for content in facts) for name in facts[0]["counts"]]
    assert counts == list(provenance(produced)["counts"].values())
    again = shipgen(*options, "-o", "part.root", "--max-per-file", "1.5e5")
    assert again.returncode == 3
    assert "part_000.root exists" in again.stderr


def test_split_files_are_resumed(bundle: Bundle, tmp_path: Path) -> None:
    """What is complete stays, and may even have been taken away."""
    options = ("--n", "2e6", "--max-per-file", "3e5")
    process = start(bundle, tmp_path, *options)
    wait_for_clusters(tmp_path, 6, process)
    process.kill()
    process.communicate()
    done = sorted(path.name for path in tmp_path.glob("out_*.root"))
    assert done[0] == "out_000.root"
    first = (tmp_path / "out_000.root").read_bytes()
    (tmp_path / "out_000.root").unlink()
    process = start(bundle, tmp_path, *options, "--resume")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    (tmp_path / "out_000.root").write_bytes(first)
    whole = MuonGenerator(bundle, n=2e6, seed=1)
    pz = np.concatenate([batch.pz for batch in whole])
    found = [read(path)["pz"] for path in sorted(tmp_path.glob("out_*.root"))]
    np.testing.assert_array_equal(np.concatenate(found), pz)


ROOT_PROGRAM = """
import ROOT
ROOT.EnableImplicitMT(2)
layouts = ("pythia8-Geant4", "out.root", "id", "w"), ("muons", "n.root", "pdg", "weight")
for tree, file, pdg, weight in layouts:
    frame = ROOT.RDataFrame(tree, file)
    found = [frame.Count(), frame.Sum(weight), frame.Sum(pdg), frame.Mean("pz")]
    print(*[value.GetValue() for value in found])
file = ROOT.TFile.Open("out.root")
print(file.Get("pythia8-Geant4").GetAutoFlush())
"""


def test_both_layouts_are_read_by_uproot_and_by_roots_threads(
    shipgen: Run, bundle: Bundle, tmp_path: Path, produced: Path
) -> None:
    options = ("produce", "--n", "4e5", "--seed", 1, "--bundle", bundle.path)
    shipgen(*options, "-o", "n.root", "--layout", "rntuple", "--compression", "lz4:1")
    with uproot.open(tmp_path / "n.root") as file:
        assert file.classnames(cycle=False)["muons"] == "ROOT::RNTuple"
        columns = file["muons"].arrays(library="np")
    batches = list(MuonGenerator(bundle, n=4e5, seed=1))
    for name in ("pdg", "x", "px", "pz"):
        np.testing.assert_array_equal(columns[name], np.concatenate([getattr(b, name) for b in batches]))
    np.testing.assert_array_equal(columns["pz"], read(produced)["pz"])
    z = np.concatenate([batch.z for batch in batches])
    np.testing.assert_allclose(columns["z"], z - bundle.target_start, atol=1e-3)
    done = subprocess.run(
        [sys.executable, "-c", ROOT_PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )
    n, pz = len(columns["pdg"]), columns["pz"].mean(dtype=float)
    expected = [n, n, columns["pdg"].sum(), pytest.approx(pz, rel=1e-9)]
    *frames, cluster = done.stdout.splitlines()
    for line in frames:
        assert [float(word) for word in line.split()] == expected
    # ROOT's threads share the work by whole clusters.
    assert int(cluster) == CHUNK_SIZE
