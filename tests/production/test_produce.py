"""`shipgen produce` as its users run it: what a production gives, the file read by uproot and by ROOT."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.production_runs import N, produced_file, provenance, read, run_inside  # noqa: F401
from shipgen.files.layouts import MUONBACK, RNTUPLE, TTREE
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.plan import Plan
from shipgen.muons.categories import CATEGORIES
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.output_files import Production
from shipgen.production.preflight import bytes_per_muon
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle


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
    assert facts["command"].startswith("shipgen produce -o out.root --seed 1")
    assert facts["command"].endswith(" --n 4e5")
    summary = json.loads(str(uproot.open(produced)["FileSummary"]))
    assert summary == {"PoT": facts["pot"], "EnergyCut": 10.0, "prodSite": "shipgen"}


def test_root_reads_it_as_fairship_does(produced: Path) -> None:
    program = Path(__file__).parents[1] / "helpers" / "read_like_fairship.py"
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


def test_same_command_same_muons(inside: Run, bundle: Bundle, tmp_path: Path, produced: Path) -> None:
    options = ("produce", "--n", "4e5", "--bundle", bundle.path)
    inside(*options, "-o", "again.root", "--seed", 1, "--workers", 1)
    inside(*options, "-o", "other.root", "--seed", 2)
    first, again, other = (
        read(path) for path in (produced, tmp_path / "again.root", tmp_path / "other.root")
    )
    for name, column in first.items():
        np.testing.assert_array_equal(again[name], column)
    assert not np.array_equal(first["pz"][:1000], other["pz"][:1000])


def test_exact_and_pot(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = inside("produce", "--pot", "1e8", "--exact", "-o", "o.root", "--seed", 4, "--bundle", bundle.path)
    assert done.returncode == 0
    assert len(read(tmp_path / "o.root")["id"]) == round(1e8 * bundle.rate)
    assert provenance(tmp_path / "o.root")["pot"] == 1e8


def test_a_drawn_seed_is_printed_and_reproduces(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = inside("produce", "--n", 1000, "-o", "a.root", "--bundle", bundle.path)
    seed = provenance(tmp_path / "a.root")["seed"]
    assert f"seed {seed}" in done.stdout
    inside("produce", "--n", 1000, "-o", "b.root", "--bundle", bundle.path, "--seed", seed)
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
        (["--n", "10", "--layout", "flat"], 2, "'flat' is not one of 'muonback'"),
        (["--n", "10", "--device", "tpu"], 2, "'tpu' is not one of"),
        (["--n", "10", "--max-per-file", "0"], 2, "'0' is not above zero"),
        (["--pot", "10"], 3, "ask for more"),
        (["--n", "1e14"], 3, "ask for less, or choose another disk"),
        (["--pot", "1e40"], 3, "are more than 1e+15"),
    ],
)
def test_bad_input_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = inside("produce", "-o", "out.root", "--bundle", bundle.path, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_muon_drawn(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Some seed draws no muon around 1; a file without entries would stop FairShip's reader."""
    seed = next(seed for seed in range(100) if not Plan.make((1.0,), n=1, seed=seed).total)
    for options in ((), ("--resume",), ("--resume", "--max-per-file", 10)):
        request = ("produce", "--n", 1, "-o", "out.root", "--seed", seed, "--bundle", bundle.path)
        done = inside(*request, *options)
        assert done.returncode == 3
        assert "gave no muon" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out.root").write_text("mine")
    options = ("produce", "--n", 1000, "-o", "out.root", "--seed", 1, "--bundle", bundle.path)
    for resume in ((), ("--resume",)):
        done = inside(*options, *resume)
        assert done.returncode == 3
        assert "--force" in done.stderr
    assert (tmp_path / "out.root").read_text() == "mine"
    assert inside(*options, "--force").returncode == 0
    assert len(read(tmp_path / "out.root")["id"]) > 900


def test_names_of_the_bookkeeping_are_names_like_others(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    # Of an ending that is none of a file of muons, so that the layout is said.
    options = ("--n", 1000, "--seed", 1, "--layout", "muonback", "--bundle", bundle.path)
    for name in ("journal", "lock", "work.json"):
        done = inside("produce", "-o", name, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(read(tmp_path / name)["id"]) > 900


def test_uncompressed_rntuple(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    """Of several chunks a worker, whose memory is used again."""
    options = ("--n", "1.5e6", "--layout", "rntuple", "--compression", "none", "--workers", 2)
    done = inside("produce", "-o", "n.root", "--seed", 1, "--bundle", bundle.path, *options)
    assert (done.returncode, done.stderr) == (0, "")
    columns = uproot.open(tmp_path / "n.root")["events"].arrays(library="np")
    batches = list(MuonGenerator(bundle, n=1.5e6, seed=1))
    for name in ("pdg", "x", "y", "px", "py", "pz", "weight"):
        np.testing.assert_array_equal(columns[name], np.concatenate([getattr(b, name) for b in batches]))


def test_lack_of_memory_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Production, "encode", fail)
    done = inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path)
    assert (done.returncode, done.stderr) == (1, "shipgen: not enough memory: fewer --workers take less\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", [MUONBACK, TTREE, RNTUPLE], ids=lambda layout: layout.name)
def test_size_of_a_file_is_foreseen(bundle: Bundle, tmp_path: Path, layout: Any) -> None:
    generator = MuonGenerator(bundle, n=262_144, seed=1)
    for number, compression in enumerate(("none", "lz4:1", "zstd:1")):
        path = tmp_path / f"{number}.root"
        produce(generator, path, layout=layout, compression=compression)
        found = path.stat().st_size / generator.plan.total
        # Other networks' muons compress a little worse or better.
        assert found == pytest.approx(bytes_per_muon(layout, compression), rel=0.25)


ROOT_PROGRAM = """
import ROOT
ROOT.EnableImplicitMT(2)
layouts = ("pythia8-Geant4", "out.root", "id", "w"), ("events", "n.root", "pdg", "weight")
for tree, file, pdg, weight in layouts:
    frame = ROOT.RDataFrame(tree, file)
    found = [frame.Count(), frame.Sum(weight), frame.Sum(pdg), frame.Mean("pz")]
    print(*[value.GetValue() for value in found])
file = ROOT.TFile.Open("out.root")
print(file.Get("pythia8-Geant4").GetAutoFlush())
"""


def test_both_layouts_are_read_by_uproot_and_by_roots_threads(
    inside: Run, bundle: Bundle, tmp_path: Path, produced: Path
) -> None:
    options = ("produce", "--n", "4e5", "--seed", 1, "--bundle", bundle.path)
    inside(*options, "-o", "n.root", "--layout", "rntuple", "--compression", "lz4:1")
    (tmp_path / "out.root").symlink_to(produced)
    with uproot.open(tmp_path / "n.root") as file:
        assert file.classnames(cycle=False)["events"] == "ROOT::RNTuple"
        columns = file["events"].arrays(library="np")
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
