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
        (["--n", "10", "--layout", "flat"], 2, "'flat' is not 'muonback'"),
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
    """Seed 1 draws no muon around 1; a file without entries would stop FairShip's reader."""
    done = shipgen("produce", "--n", 1, "-o", "out.root", "--seed", 1, "--bundle", bundle.path)
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
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = shipgen(
        "produce", "--n", "1e6", "-o", "out.root", "--bundle", bundle.path, "--seed", 1, preexec_fn=limit
    )
    assert done.returncode == 6
    assert "no space left while writing out.root" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(bundle: Bundle, tmp_path: Path, kind: signal.Signals) -> None:
    command = ["produce", "--n", "1e8", "-o", "out.root", "--seed", "1", "--bundle", str(bundle.path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "shipgen", *command], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    part = tmp_path / "out.root.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, kind)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.count("\n") == 1
    assert "interrupted" in error
    assert list(tmp_path.iterdir()) == []
