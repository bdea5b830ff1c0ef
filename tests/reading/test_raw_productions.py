"""Raw productions of FairShip: protons, cut and rates as a slow count gives them; troubles are named."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.flat_files import flat_columns, write_flat
from helpers.muon_files import PROTON, write_cbmsim
from helpers.web_server import serve
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.reading.formats.fixed_target import FixedTargetRun
from shipgen_export.reading.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.sample.sample import PreparedSample

MUON = (13, 0.0, 0.0, -7000.0, 0.1, 0.2, 20.0, 1.0, 0)
with_root = pytest.mark.skipif(find_spec("ROOT") is None, reason="ROOT is not installed")


def weights(files: list[Path]) -> dict[str, float]:
    """Add up the weights of each category, muon by muon."""
    sums = dict.fromkeys((category.name for category in CATEGORIES), 0.0)
    for file in files:
        for pdg, x, y, *_, weight, _, beam_x, beam_y in json.loads(file.with_suffix(".json").read_text()):
            on_axis = x - beam_x == 0 and y - beam_y == 0
            for category in CATEGORIES:
                if category.pdg == pdg and category.on_axis == on_axis:
                    sums[category.name] += weight
    return sums


def check(sample: PreparedSample, files: list[Path], pot: float | None, cut: float | None) -> str:
    """Compare with the slow count; return the warnings."""
    index = sample.index
    assert (index["pot"], index["energy_cut"]) == (pot, cut)
    found = {name: entry["weight"] for name, entry in index["categories"].items()}
    expected = weights(files)
    assert found == pytest.approx(expected, rel=1e-6)
    if pot is not None:
        assert {name: weight / index["pot"] for name, weight in found.items()} == pytest.approx(
            {name: weight / pot for name, weight in expected.items()}, rel=1e-6
        )
    return "\n".join(index["warnings"])


@with_root
@pytest.mark.parametrize(
    ("name", "pot", "cut", "says"),
    [
        ("2018/raw", 12000, 10, []),
        ("2018/charm", None, 10, ["stand for a spill", "up to 326.16 in charm.root do not stand for"]),
        (
            "2018/boosted",
            None,
            1,
            ["two muons boosted 100 times", "boosted 100 times, but all weights are 1"],
        ),
        ("2018/onia", None, 10, ["J/psi and Upsilon that all decay to muons, with weight 1"]),
        ("2026/raw", 33970, 10, ["rare decays to two muons boosted 100 times"]),
        ("2026/twice", None, 10, ["but all weights are 1", "scatter by 7.", "were they smeared twice?"]),
        ("2026/split", 33970, 10, ["kaon_pion_splits 2: kaons and pions were split", "2.8 %"]),
        ("2026/heavy", None, 10, ["its nev counts pairs of charm, not protons", "a spill of 4e+13 POT"]),
        ("2026/drawn", 2e6, 10, ["drawn by shipgen's source: training on them adds no knowledge"]),
    ],
)
def test_raw_production(
    written: Path,
    tmp_path: Path,
    name: str,
    pot: float | None,
    cut: float,
    says: list[str],
) -> None:
    path = written / f"{name}.root"
    text = check(prepare([path], tmp_path / "out", cores=1), [path], pot, cut)
    for each in says:
        assert each in text
    assert says or "raw.root" not in text
    assert ("smeared twice" in text) == (name == "2026/twice")


@with_root
def test_files_of_a_production_add_up(written: Path, tmp_path: Path) -> None:
    """Apart or merged by ROOT, where each file has two equal headers."""
    files = [written / "2026" / f"{name}.root" for name in ("raw", "again")]
    check(prepare(files, tmp_path / "apart", cores=1), files, 2 * 33970, 10)
    merged = prepare([written / "2026" / "merged.root"], tmp_path / "merged", cores=1)
    assert "it was merged from 2 files: their POT are added up" in check(merged, files, 2 * 33970, 10)


@with_root
def test_no_production(written: Path, tmp_path: Path) -> None:
    """The vetoPoint of the decay vessel's detector has hits everywhere."""
    with pytest.raises(InputError, match=r"vessel\.root: .*in no plane behind the absorber; this is no"):
        prepare([written / "2018" / "vessel.root"], tmp_path / "out", cores=1)


@with_root
def test_tracks_without_mothers(written: Path, tmp_path: Path) -> None:
    """A hadron that comes first because the beam's proton was left out does not tell where the beam was."""
    path = written / "2026" / "orphans.root"
    index = prepare([path], tmp_path / "out", cores=1).index
    assert (
        "muons have no mother in the file, as in productions that did not store all tracks (Mbias2025)"
        in ("\n".join(index["warnings"]))
    )
    with uproot.open(path) as file:
        first = file["cbmsim"]["MCTrack.fPdgCode"].array()[:, 0]
        event = json.loads(path.with_suffix(".json").read_text())
    lost = [row for row in event if first[row[8]] == 321]
    dropped = [each["muons"] for each in index["dropped"] if "no usable primary track" in each["reason"]]
    assert dropped == [len(lost)]
    assert lost


def test_options_of_a_run() -> None:
    run = FixedTargetRun.of_summary(
        {"nev": 1000, "ecut": 5.0, "pot": 4e13, "beam_smear": 0.0, "beam_paint": 50}
    )
    assert (run.protons, run.energy_cut, run.spread) == (1000, 5, pytest.approx(5 / 2**0.5))
    # What the collaboration states of a production wins; `pot` is never taken.
    run = FixedTargetRun.of_summary({"PoT": 7, "EnergyCut": 1, "nev": 1000, "ecut": 5, "pot": 4e13})
    assert (run.protons, run.energy_cut) == (7, 1)
    assert FixedTargetRun.of_summary({"pot": 4e13}) == FixedTargetRun.of_summary(None) == FixedTargetRun()
    for option in ("charm", "beauty"):
        run = FixedTargetRun.of_summary({"nev": 1000, "ecut": 5, "pot": 4e13, option: True})
        assert (run.protons, run.spill) == (None, True)
    run = FixedTargetRun.of_summary({"nev": 1000, "multiple_kpi_splits": True, "kaon_pion_splits": 0})
    assert (run.protons, run.notes) == (1000, ())


@pytest.mark.parametrize(
    ("title", "protons", "boost", "uncounted"),
    [
        ("POT = 1000 with ecut=10.0", 1000, 1, False),
        ("POT = 1000 with ecut=10.0 V diMu50.0 X20.0", 1000, 50, False),
        ("POT = 1000 with ecut=10.0 J V", 1000, 1, True),
        ("POT = 1000 with ecut=10.0 T", 1000, 1, True),
        ("POT = 1000 with ecut=10.0 V shipgen", 1000, 1, False),
    ],
)
def test_title_of_a_run(title: str, protons: float | None, boost: float, uncounted: bool) -> None:
    run = FixedTargetRun.of_title(title)
    assert (run.protons, run.boost, run.uncounted, run.energy_cut) == (protons, boost, uncounted, 10)
    assert run.drawn == ("shipgen" in title)


def test_muons_drawn_beside_simulated_ones(tmp_path: Path) -> None:
    """A run with our source and another generator keeps the macro's words; our provenance is in it, too."""
    path = write_cbmsim(tmp_path / "f.root", [[PROTON, MUON]], [[(1, 13)]], summary={"nev": 9, "ecut": 10.0})
    assert prepare([path], tmp_path / "a", cores=1).index["pot"] == 9
    with uproot.update(path) as file:
        file["shipgen"] = '{"kind": "events", "pot": 5}'
    index = prepare([path], tmp_path / "b", cores=1).index
    assert index["pot"] is None
    assert any("a part of its muons was drawn by shipgen's source" in text for text in index["warnings"])


def test_flat_muons_in_an_rntuple(tmp_path: Path) -> None:
    """What uproot writes for a dictionary gives the same as a TTree, in steps of any size."""
    columns = flat_columns()
    tree = write_flat(tmp_path / "tree.root", columns)
    with uproot.recreate(tmp_path / "ntuple.root") as file:
        file["pythia8-Geant4"] = columns
    first = prepare([tree], tmp_path / "a", cores=1).index["categories"]
    for number, step in enumerate((100, "64 MB")):
        found = prepare([tmp_path / "ntuple.root"], tmp_path / str(number), cores=1, step=step).index
        for name, entry in found["categories"].items():
            assert entry["sha256"] == first[name]["sha256"]


def test_codes_in_pythiaid(tmp_path: Path) -> None:
    """The published tool's own output has ``id`` 0 and doubles."""
    columns: dict[str, Any] = {name: values.astype(np.float64) for name, values in flat_columns().items()}
    usual = prepare([write_flat(tmp_path / "usual.root", columns)], tmp_path / "a", cores=1).index
    columns = {**columns, "id": np.zeros(len(columns["id"])), "pythiaid": columns["id"]}
    index = prepare([write_flat(tmp_path / "odd.root", columns)], tmp_path / "b", cores=1).index
    assert "odd.root: its id is 0 everywhere: the PDG codes are taken from pythiaid" in index["warnings"]
    for name, entry in index["categories"].items():
        assert entry["sha256"] == usual["categories"][name]["sha256"]


def test_files_of_a_web_server(tmp_path: Path) -> None:
    write_flat(tmp_path / "here.root", flat_columns())
    first = prepare([tmp_path / "here.root"], tmp_path / "a", cores=1).index["categories"]
    with serve(tmp_path) as address:
        index = prepare([f"{address}/here.root"], tmp_path / "b", cores=1).index
        with pytest.raises(InputError, match=r"/none\.root cannot be opened.*check address and access"):
            prepare([f"{address}/none.root"], tmp_path / "c", cores=1)
    assert index["sources"][0]["name"] == "here.root"
    for name, entry in index["categories"].items():
        assert entry["sha256"] == first[name]["sha256"]
