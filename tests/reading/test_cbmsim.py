"""Files with the classes of both generations of FairShip, written by ROOT, against plain loops over hits."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward
import numpy as np
import pytest
import uproot

from shipgen.cli import run
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.reading.formats import cbmsim
from shipgen_export.reading.prepare import prepare
from shipgen_export.sample.sample import PreparedSample

with_root = pytest.mark.skipif(find_spec("ROOT") is None, reason="ROOT is not installed")
CASES = [("2018", "spill"), ("2018", "smeared"), ("2026", "plane"), ("2026", "still")]


def expected(rows: list[list[float]], category: Any) -> tuple[list[Any], list[float], list[float]]:
    """Assign the muons of a loop to a category relative to their event's first track, one by one."""
    features, weights, events = [], [], []
    for pdg, start_x, start_y, z, px, py, pz, weight, event, beam_x, beam_y in rows:
        x, y = start_x - beam_x, start_y - beam_y
        if pdg != category.pdg or (x == 0 and y == 0) != category.on_axis:
            continue
        values = {"x": x, "y": y, "z": z, "px": px, "py": py, "pz": pz}
        features.append([np.float32(values[name]) for name in category.features])
        weights.append(weight)
        events.append(event)
    return features, weights, events


def check(sample: PreparedSample, rows: list[list[float]]) -> None:
    first = min(row[8] for row in rows)
    for category in CATEGORIES:
        features, weights, events = expected(rows, category)
        assert len(features) > 5
        loaded = sample.load(category.name)
        np.testing.assert_array_equal(loaded.features, np.array(features, np.float32))
        np.testing.assert_array_equal(loaded.weights, weights)
        np.testing.assert_array_equal(loaded.group, np.array(events) - first)


@with_root
@pytest.mark.parametrize(("generation", "name"), CASES)
@pytest.mark.parametrize("step", [37, "64 MB"])
def test_muons_are_those_of_a_loop(
    written: Path, tmp_path: Path, generation: str, name: str, step: int | str
) -> None:
    path = written / generation / f"{name}.root"
    rows = json.loads(path.with_suffix(".json").read_text())
    sample = prepare([path], tmp_path / "out", step=step, cores=1)
    check(sample, rows)
    smeared = name in {"smeared", "plane"}
    beam = sample.index["beam"]
    assert beam["case"].startswith("smeared" if smeared else "at the origin")
    assert sample.index["target_start"] == (-7084.5 if generation == "2018" else 0)
    assert sample.index["target_start_assumed"] == (generation == "2018")
    if not smeared:
        assert "file" not in beam
        return
    # Each event with a muon once; 1.6 cm wide.
    places = np.load(tmp_path / "out" / "beam.npy")
    events = {row[8]: row[9:] for row in rows}
    np.testing.assert_array_equal(places, list(events.values()))
    assert beam["events"] == len(places)
    assert beam["x"]["mean"] == pytest.approx(places[:, 0].mean(), rel=1e-12)
    assert beam["y"]["standard_deviation"] == pytest.approx(places[:, 1].std(), rel=1e-9)
    assert beam["r"]["quantiles"]["0.5"] == pytest.approx(np.median(np.hypot(*places.T)))
    assert beam["x"]["standard_deviation"] == pytest.approx(1.6, rel=0.2)


@with_root
def test_normalisation_of_both_generations(written: Path, tmp_path: Path) -> None:
    spill, plane = written / "2018" / "spill.root", written / "2026" / "plane.root"
    index = prepare([spill], tmp_path / "1", cores=1).index
    assert index["pot"] is None
    assert any("weights up to 768.75 in spill.root do not stand" in text for text in index["warnings"])
    assert index["sources"][0]["weights"] == "not for the POT simulated, for a spill perhaps"
    assert (index["sources"][0]["pot"], index["energy_cut"]) == (65041, 10)
    index = prepare([spill], tmp_path / "2", pot=5e13, cores=1).index
    assert index["weight_unit"] == "per 5e+13 POT"
    index = prepare([plane], tmp_path / "3", cores=1).index
    assert (index["pot"], index["energy_cut"]) == (33970, 10)
    assert index["sources"][0]["weights"] == "for the POT that the file states"
    with pytest.raises(InputError, match=r"plane\.root FairShip's MCTrack and PlaneHAPoint: their weights"):
        prepare([spill, plane], tmp_path / "4")


@with_root
def test_two_files_with_different_beams_join(written: Path, tmp_path: Path) -> None:
    paths = [written / "2026" / f"{name}.root" for name in ("plane", "still")]
    sample = prepare(paths, tmp_path / "out", cores=1)
    assert sample.index["pot"] == 33970 + 1000
    assert "smeared" in sample.index["beam"]["case"]
    assert "at the origin" in sample.index["beam"]["case"]
    numbers = [json.loads(path.with_suffix(".json").read_text()) for path in paths]
    assert sum(entry["muons"] for entry in sample.index["categories"].values()) == sum(map(len, numbers))


@with_root
def test_broken_parents_leave_the_choice_to_the_user(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written / "2026" / "broken.root"
    rows = json.loads(path.with_suffix(".json").read_text())
    assert run(["prepare", str(path), "-o", str(tmp_path / "out")]) == InputError.exit_code
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert "broken.root: where the beam was cannot be told" in message
    assert "its primary tracks have mothers; choose --beam origin" in message
    assert "--beam primary" in message

    assert run(["prepare", str(path), "-o", str(tmp_path / "out"), "--beam", "primary"]) == 0
    out = capsys.readouterr().out
    assert "beam unknown; x and y relative to the start of the event's primary track, as asked for" in out
    check(PreparedSample.open(tmp_path / "out"), rows)

    sample = prepare([path], tmp_path / "origin", beam="origin", cores=1)
    assert {category.on_axis for category in sample.categories} == {False}
    assert sample.index["beam"]["xy"] == "as they are"


@with_root
def test_asking_for_the_origin_of_a_smeared_beam_warns(written: Path, tmp_path: Path) -> None:
    path = written / "2026" / "plane.root"
    index = prepare([path], tmp_path / "out", beam="origin", cores=1).index
    assert any("though its primary tracks do not start at x = y = 0" in text for text in index["warnings"])


def fairship_file() -> Path | None:
    """Return a file that FairShip wrote in 2019, if this machine has it."""
    beside = Path(__file__).parents[3] / "shared" / "data" / "fairship_2019_cbmsim.root"
    path = Path(os.environ.get("SHIPGEN_FAIRSHIP_FILE", beside))
    return path if path.is_file() else None


@pytest.mark.skipif(fairship_file() is None, reason="SHIPGEN_FAIRSHIP_FILE names no file of FairShip")
def test_file_written_by_fairship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fairship_file()
    assert path is not None
    # A simulation of the decay vessel: no muon behind the absorber.
    with pytest.raises(InputError, match=r"lie at z from -6993.* in no plane behind the absorber"):
        prepare([path], tmp_path / "out", beam="origin")
    monkeypatch.setattr(cbmsim, "_THICKNESS", np.inf)
    # Muons from a gun: there is no proton.
    with pytest.raises(InputError, match="there is no usable primary track; choose --beam origin"):
        prepare([path], tmp_path / "out")
    sample = prepare([path], tmp_path / "out", beam="origin", step=333, cores=1)

    members = ["fPdgCode", "fStartX", "fStartY", "fStartZ", "fPx", "fPy", "fPz", "fW"]
    rows = []
    with uproot.open(path) as file:
        names = [f"MCTrack.{name}" for name in members]
        arrays = file["cbmsim"].arrays([*names, "vetoPoint.fTrackID", "vetoPoint.fPdgCode"])
    for number, event in enumerate(awkward.to_list(arrays)):
        tracks = list(zip(*(event[name] for name in names), strict=True))
        hits = zip(event["vetoPoint.fTrackID"], event["vetoPoint.fPdgCode"], strict=True)
        seen = {track for track, pdg in hits if abs(pdg) == 13 and tracks[track][0] == pdg}
        rows += [[*tracks[track], number, 0, 0] for track in sorted(seen)]
    assert len(rows) == 1000
    loaded = sample.load("muminus_offaxis")
    features, weights, events = expected(rows, loaded.category)
    assert len(features) == 1000
    np.testing.assert_array_equal(loaded.features, np.array(features, np.float32))
    np.testing.assert_array_equal(loaded.weights, weights)
    np.testing.assert_array_equal(loaded.group, events)
    assert sample.index["sources"][0]["found"] == {
        "hits": 6597,
        "muon hits": 6597,
        "tracks": 2000,
        "without mother": 1000,
    }
