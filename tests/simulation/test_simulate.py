"""Simulated samples: the same whatever the cores, sound muons, readable files, clear errors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from helpers.processes import children, gone
from shipgen.errors import InputError
from shipgen.files.layouts import (
    FILE_SUMMARY_KEY,
    KIND_TRAINING,
    PROVENANCE_KEY,
    TRAINING,
    VARIATION_COLUMNS,
)
from shipgen_export.sample.sample import effective_size
from shipgen_export.simulation.muon_counts import parent_name
from shipgen_export.simulation.particles import Process
from shipgen_export.simulation.sample_facts import GENERATORS, code_digest
from shipgen_export.simulation.simulate import SimulationReport, even_blocks, simulate
from shipgen_export.simulation.target import read_target
from shipgen_export.simulation.variations import VARIATIONS, variation_column

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Two blocks, the last one smaller; settings of most runs here.
BLOCK, PROTONS = 60, 119

Columns = dict[str, np.ndarray]


def read(path: Path) -> Columns:
    with uproot.open(path) as file:
        return dict(file[TRAINING.tree].arrays(library="np"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulationReport]:
    """A run on one core."""
    path = tmp_path_factory.mktemp("samples") / "one.root"
    return path, simulate(path, protons=PROTONS, seed=7, cores=1, block_protons=BLOCK, command="the command")


@pytest.fixture(scope="module")
def columns(sample: tuple[Path, SimulationReport]) -> Columns:
    return read(sample[0])


def test_the_two_blocks_here_are_as_they_are_in_a_run() -> None:
    assert even_blocks(PROTONS, BLOCK) == BLOCK


def test_asking_for_muons_stops_soon_behind_that_many(columns: Columns, tmp_path: Path) -> None:
    """The first block tells how many protons it takes; then come more until there are enough."""
    first = int((columns["proton"] < BLOCK).sum())
    wanted = 2 * first
    report = simulate(tmp_path / "some.root", muons=wanted, seed=7, cores=1, block_protons=BLOCK)
    assert (report.found, report.blocks) in {(0, blocks) for blocks in range(2, 6)}
    some = read(tmp_path / "some.root")
    assert report.tally.muons == len(some["pdg"]) >= wanted
    assert report.tally.muons < 1.5 * wanted
    for name in set(columns) - {"weight"}:
        np.testing.assert_array_equal(some[name][:first], columns[name][:first], err_msg=name)
    assert len(np.unique(some["proton"])) <= report.protons
    # Per proton on target: their number is another.
    expected = columns["weight"][:first] * PROTONS / report.protons
    np.testing.assert_allclose(some["weight"][:first], expected, rtol=1e-12)


def test_muons_are_sound(columns: Columns) -> None:
    assert len(columns["pdg"]) > 25 * PROTONS
    assert set(np.unique(columns["pdg"])) == {-13, 13}
    for name, column in columns.items():
        assert np.isfinite(column).all(), name
    assert (columns["weight"] > 0).all()
    momentum = np.sqrt(sum(columns[name].astype(np.float64) ** 2 for name in ("px", "py", "pz")))
    assert momentum.min() >= 10
    assert momentum.max() < 400
    assert (columns["pz"] > 0).all()
    assert set(np.unique(columns["proton"])) <= set(range(PROTONS))
    assert set(np.unique(columns["process"])) <= set(Process)


def test_muons_start_inside_the_slabs(columns: Columns) -> None:
    target = read_target()
    assert columns["z"].min() >= target.start == 0
    assert columns["z"].max() <= target.end
    assert np.hypot(columns["x"], columns["y"]).max() < 50


def test_prompt_muons_start_exactly_on_the_axis(columns: Columns) -> None:
    on_axis = (columns["x"] == 0) & (columns["y"] == 0)
    # A single zero coordinate does not happen.
    assert ((columns["x"] == 0) == on_axis).all()
    assert ((columns["y"] == 0) == on_axis).all()
    heavy = np.isin(columns["process"], [Process.CHARM, Process.BEAUTY, Process.JPSI])
    late = np.isin(columns["process"], [Process.DECAY, Process.PHOTON_CONVERSION])
    assert on_axis[heavy].all()
    assert not on_axis[late].any()
    assert 0.2 < columns["weight"][on_axis].sum() / columns["weight"].sum() < 0.45
    # All of a proton's prompt muons share its vertex.
    protons, z = columns["proton"][on_axis], columns["z"][on_axis]
    for proton in np.unique(protons):
        assert len(np.unique(z[protons == proton])) == 1


def test_weights_are_per_proton_and_none_is_huge(columns: Columns) -> None:
    weight = columns["weight"]
    assert weight.sum() == pytest.approx(1.08e-3, rel=0.25)
    assert effective_size(weight) > 0.5 * len(weight)
    assert weight.max() < 20 * weight.mean()


def test_processes_go_with_their_parents(columns: Columns) -> None:
    kind = np.abs(columns["parent"])
    assert set(kind[columns["process"] == Process.DECAY]) == {211, 321, 130}
    assert set(kind[columns["process"] == Process.PHOTON_CONVERSION]) == {22}
    charm = {parent_name(int(code)) for code in kind[columns["process"] == Process.CHARM]}
    assert charm == {"charm"}


def test_the_file_says_how_it_was_made(sample: tuple[Path, SimulationReport]) -> None:
    path, report = sample
    with uproot.open(path) as file:
        provenance = json.loads(str(file[PROVENANCE_KEY]))
        summary = json.loads(str(file[FILE_SUMMARY_KEY]))
        tree = file[TRAINING.tree]
        types = {branch.name: branch.interpretation.from_dtype.newbyteorder("=") for branch in tree.branches}
        weight = tree["weight"].array(library="np").sum()
    assert types == TRAINING.branch_types()
    assert (provenance["kind"], provenance["generator"]) == (
        KIND_TRAINING,
        f"{GENERATORS['data']}, target ship2025",
    )
    assert (provenance["pot"], provenance["weight_unit"]) == (PROTONS, "per POT")
    target = read_target()
    assert provenance["target_start"] == provenance["target"]["edges"][0] == 0
    # All that the slabs are made of: enough to make the target's file again.
    assert provenance["target"] == {**json.loads(json.dumps(asdict(target))), "end": target.end}
    assert len(provenance["target"]["slab_materials"]) == len(provenance["target"]["edges"]) - 1
    densities = {material["name"]: material["density"] for material in provenance["target"]["materials"]}
    assert densities["tungsten"] == 19.3
    # FairShip's cut is in kinetic energy: sqrt(p^2 + m^2) - m at 10 GeV.
    assert provenance["momentum_cut"] == 10
    assert provenance["energy_cut"] == pytest.approx(9.894900, abs=1e-6)
    assert provenance["hadron_energy_cut"] == pytest.approx(10.000558, abs=1e-6)
    assert provenance["block_protons"] == BLOCK
    assert provenance["code"] == code_digest()
    assert (provenance["seed"], provenance["command"]) == (7, "the command")
    assert "measured yields" in provenance["hadrons"]
    assert set(provenance["variations"]) == set(VARIATION_COLUMNS) == set(map(variation_column, VARIATIONS))
    assert {"shipgen", "pythia8mc", "numpy", "python"} <= set(provenance["versions"])
    assert provenance["sum_of_weights"] == pytest.approx(weight)
    for group in ("by_category", "by_process", "by_parent"):
        assert sum(entry["muons"] for entry in provenance[group].values()) == report.tally.muons
        assert sum(entry["weight"] for entry in provenance[group].values()) == pytest.approx(weight)
    # Four events a proton; a few may fail.
    assert 0.98 * 4 * PROTONS <= provenance["normalisation"]["CHARM"]["events"] <= 4 * PROTONS
    assert provenance["normalisation"]["BEAUTY"]["rate"] == 1.6e-7
    assert summary == {
        "PoT": PROTONS,
        "EnergyCut": provenance["energy_cut"],
        "prodSite": "shipgen simulate",
    }


@pytest.mark.parametrize("amount", [{}, {"protons": 1, "muons": 1}])
def test_how_much_is_said_once(tmp_path: Path, amount: dict[str, int]) -> None:
    with pytest.raises(InputError, match="how much"):
        simulate(tmp_path / "none.root", **amount)


def test_a_run_that_can_give_no_muon_says_so(tmp_path: Path) -> None:
    """However long it ran: the cut is above the beam, or the slabs stop all that the beam can make."""
    with pytest.raises(InputError, match="no muon has the momentum cut of 400 GeV: the beam has 400 GeV"):
        simulate(tmp_path / "none.root", muons=10, momentum_cut=400.0)
    wall = tmp_path / "wall.toml"
    slabs = '[[slabs]]\nmaterial = "tungsten"\nthicknesses = [20000.0]\n'
    wall.write_text(f'name = "wall"\ndescription = "too thick"\nstart = 0.0\n{slabs}', encoding="utf-8")
    with pytest.raises(InputError, match="no muon comes out of the target wall: its slabs take"):
        simulate(tmp_path / "none.root", muons=10, target=wall)
    with pytest.raises(InputError, match="no muon came out of the first 2 protons: say how much by protons"):
        simulate(tmp_path / "none.root", muons=10, momentum_cut=399.0, block_protons=2)
    assert [path.name for path in tmp_path.iterdir()] == ["wall.toml"]


def test_no_muon_at_all_is_an_error_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no muon came out of 1 protons"):
        simulate(tmp_path / "none.root", protons=1, momentum_cut=399.0)
    assert list(tmp_path.iterdir()) == []


def test_survival_and_variations_are_columns(sample: tuple[Path, SimulationReport]) -> None:
    """Factors of what a muon has nothing to do with are 1, and the survival is in the weight."""
    columns = read(sample[0])
    survival, energy = columns["survival"], np.sqrt(sum(columns[f"p{axis}"] ** 2 for axis in "xyz"))
    assert survival.min() >= 0.005
    assert survival.max() <= 1
    assert survival[energy > 40].min() > 0.99
    charm = columns["process"] == Process.CHARM
    assert set(columns["vary_charm"][charm]) == {np.float32(1.2)}
    assert set(columns["vary_charm"][~charm]) == {np.float32(1)}
    for name in ("pions", "kaons", "charge", "nuclei", "projectiles", "hadrons"):
        assert set(columns[f"vary_{name}"][charm]) == {np.float32(1)}
    pions = np.abs(columns["parent"]) == 211
    steps = np.log(columns["vary_pions"][pions].astype(np.float64)) / np.log(1.1)
    assert np.allclose(steps, steps.round(), atol=1e-4)
    assert steps.max() >= 2


def test_pythias_hadrons_are_a_choice_of_weights(
    sample: tuple[Path, SimulationReport], tmp_path: Path
) -> None:
    """The muons are the same, and each choice states the other one as a variation."""
    simulate(tmp_path / "pythia.root", protons=PROTONS, seed=7, block_protons=BLOCK, hadrons="pythia")
    data, pythia = read(sample[0]), read(tmp_path / "pythia.root")
    for name in data:
        if name not in ("weight", "vary_hadrons"):
            assert np.array_equal(data[name], pythia[name]), name
    assert np.allclose(data["weight"] * data["vary_hadrons"], pythia["weight"], rtol=1e-6)
    assert np.allclose(pythia["weight"] * pythia["vary_hadrons"], data["weight"], rtol=1e-6)
    assert not np.allclose(pythia["weight"], data["weight"], rtol=0.1)
    with pytest.raises(InputError, match="of data or pythia, not of 'both'"):
        simulate(tmp_path / "both.root", protons=PROTONS, hadrons="both")


def test_the_command_prints_a_table(
    shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    result = shipgen("simulate", "-o", "a.root", "--protons", "50", "--pmin", "20", "--cores", "2")
    assert (result.returncode, result.stderr) == (0, "")
    for word in (
        "of 50 protons on target",
        "muons per proton",
        "effective",
        "muplus_offaxis",
        "pi ",
    ):
        assert word in result.stdout
    columns = read(tmp_path / "a.root")
    assert np.sqrt(sum(columns[name].astype(np.float64) ** 2 for name in ("px", "py", "pz"))).min() >= 20
    with uproot.open(tmp_path / "a.root") as file:
        provenance = json.loads(str(file[PROVENANCE_KEY]))
    # A muon's energy at the cut.
    assert provenance["hadron_energy_cut"] == pytest.approx(20.000279, abs=1e-6)
    assert provenance["command"].endswith("simulate -o a.root --protons 50 --pmin 20 --cores 2")
    # All in one block: the second core had nothing to do.
    assert re.search(r"\d s on 1 core, [\d,]+ muons/s a core\n$", result.stdout)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "--protons N or --muons N"),
        (["--protons", "10", "--muons", "10"], 2, "--protons N or --muons N"),
        (["--protons", "10", "--pmin", "0.5"], 3, "0.5 GeV is below 1 GeV"),
        (["--protons", "10", "--pmin", "nan"], 2, "finite"),
        (["--protons", "0"], 2, "above zero"),
        (["--protons", "10", "--cores", "0"], 2, "workers"),
        (["--protons", "10", "-o", "there.root"], 3, "there.root exists"),
        (["--protons", "10", "-o", "no/folder.root"], 3, "does not exist"),
        (["--protons", "10", "--target", "none.toml"], 3, "none.toml"),
    ],
)
def test_wrong_options_are_one_line(
    shipgen: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    options: list[str],
    code: int,
    said: str,
) -> None:
    (tmp_path / "there.root").touch()
    result = shipgen("simulate", "-o", "out.root", *options)
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there.root"]


#: The command line with small blocks, which is not an option of it.
SMALL_BLOCKS = f"""
import sys
from shipgen.cli import run
from shipgen_export.simulation.simulate import simulate
if __name__ == "__main__":
    simulate.__kwdefaults__["block_protons"] = {BLOCK}
    sys.exit(run(sys.argv[1:]))
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Run the command line with small blocks, in a session of its own."""
    script = folder.with_suffix(".py")
    script.write_text(SMALL_BLOCKS, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )


@pytest.mark.parametrize(("how", "cores"), [(signal.SIGINT, 1), (signal.SIGKILL, 2)])
def test_a_stopped_run_goes_on(columns: Columns, tmp_path: Path, how: signal.Signals, cores: int) -> None:
    """After Ctrl-C or a hard kill the rest is simulated, and the muons are those of an uninterrupted run.

    A block that the machine's crash left damaged is simulated anew. Two cores make both blocks then, and
    the same muons as one.
    """
    folder = tmp_path / "run"
    folder.mkdir()
    amount = ["simulate", "-o", "a.root", "--protons", str(PROTONS)]
    work = folder / "a.root.work"
    with start(folder, *amount, "--cores", "1", "--seed", "7") as process:
        until = time.monotonic() + 60
        while not (work / f"block-000000-{BLOCK}.npz").is_file() and time.monotonic() < until:
            time.sleep(0.02)
        workers = children(process.pid)
        (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
        _, errors = process.communicate(timeout=60)
    assert gone(workers)
    assert not (folder / "a.root").exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        said = f"{BLOCK} simulated protons are kept in a.root.work: run the same command again to go on"
        assert errors == f"shipgen: interrupted; {said}\n"
        with pytest.raises(InputError, match="unfinished work with seed 7, but 8 is asked for"):
            simulate(folder / "a.root", protons=PROTONS, seed=8, block_protons=BLOCK)
        with pytest.raises(InputError, match=r"unfinished work with momentum_cut 10\.0, but 12"):
            simulate(folder / "a.root", protons=PROTONS, momentum_cut=12.0, block_protons=BLOCK)
    else:
        block = work / f"block-000000-{BLOCK}.npz"
        block.write_bytes(block.read_bytes()[:5000])
    # The seed is that of the unfinished work.
    with start(folder, *amount, "--cores", str(cores)) as process:
        out, errors = process.communicate(timeout=150)
    assert (process.returncode, errors) == (0, "")
    assert "seed 7" in out
    taken = f"{BLOCK} protons taken from an interrupted run"
    assert (taken in out) == (how == signal.SIGINT)
    assert [path.name for path in folder.iterdir()] == ["a.root"]
    again = read(folder / "a.root")
    assert again.keys() == columns.keys()
    for name, column in columns.items():
        np.testing.assert_array_equal(again[name], column, err_msg=name)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_before_its_first_block_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    arguments = ["simulate", "-o", "a.root", "--protons", "1e6", "--cores", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "shipgen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        until = time.monotonic() + 60
        while len(workers := children(process.pid)) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        # In the middle of their start, the moment with most to clean up.
        time.sleep(1.0)
        # As a terminal does it: to all at once. A batch system's SIGTERM goes to the parent alone.
        (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
        try:
            out, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert errors.startswith("shipgen: interrupted")
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert gone(workers)
