"""Reading files of simulated muons, against a plain loop over events and hits."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.flat_files import flat_columns, write_flat
from helpers.muon_files import muon_columns, write_cbmsim, write_training
from shipgen.errors import InputError
from shipgen.files.layouts import TARGET_START_2018
from shipgen_export.reading.formats.readers import open_source, read_steps

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = ("x", "y", "z", "px", "py", "pz")
MUON = (13, 0.5, -0.25, -7000.0, 0.1, 0.2, 20.0, 0.01, 0)


def read(path: Path, step: int | str = "64 MB") -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """Return all columns, counts and drops of a file, added up over its steps."""
    columns: dict[str, list[Any]] = {}
    found: dict[str, int] = {}
    dropped: dict[str, Any] = {}
    for part in read_steps(open_source(path), step):
        for name, values in part.columns.items():
            columns.setdefault(name, []).append(values)
        for what, number in part.found.items():
            found[what] = found.get(what, 0) + number
        for entry in part.dropped:
            before = dropped.get(entry.reason, (0, 0.0))
            dropped[entry.reason] = (before[0] + entry.muons, before[1] + (entry.weight or 0.0))
    return {name: np.concatenate(parts) for name, parts in columns.items()}, found, dropped


def random_events(seed: int, n: int) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return tracks and hits: several hits a track, other particles, wrong numbers and PDG codes."""
    rng = np.random.default_rng(seed)
    tracks, hits = [], []
    for _ in range(n):
        event = [
            (
                int(rng.choice([13, -13, 211, 11])),
                *np.float32(rng.normal(size=6)),
                np.float32(rng.random()),
                int(rng.choice([-1, 0])),
            )
            for _ in range(rng.integers(0, 6))
        ]
        tracks.append(event)
        made = []
        for _ in range(rng.integers(0, 8)):
            number = int(rng.integers(-1, len(event) + 1))
            right = 0 <= number < len(event) and rng.random() < 0.8
            made.append((number, event[number][0] if right else int(rng.choice([13, -13, 22]))))
        hits.append(made)
    return tracks, hits


def loop(tracks: list[list[Any]], hits: list[list[Any]]) -> tuple[list[tuple[float, ...]], int, set[Any]]:
    """Match hits to tracks one by one: (muons, hits outside MCTrack, tracks of other PDG code)."""
    muons, outside, other = [], 0, set()
    for number, (event, event_hits) in enumerate(zip(tracks, hits, strict=True)):
        seen = set()
        for track, pdg in event_hits:
            if abs(pdg) != 13:
                continue
            if not 0 <= track < len(event):
                outside += 1
            elif event[track][0] != pdg:
                other.add((number, track))
            else:
                seen.add(track)
        muons += [
            (*event[track][:-1], number, event[0][1], event[0][2], primary(event, seen))
            for track in sorted(seen)
        ]
        other -= {(number, track) for track in seen}
    return muons, outside, other


def primary(event: list[Any], muons: set[int]) -> int:
    """Return whether an event's first track is the beam's: no hadron, one with a mother, one without.

    Where a muon has no mother, tracks were left out, and the first one may be any.
    """
    first = event[0]
    along = first[0] == 2212 and np.hypot(first[4], first[5]) < 1e-3 * abs(first[6])
    lost = any(track and event[track][-1] < 0 for track in muons)
    return 0 if abs(first[0]) < 100 else 2 if first[-1] == -1 and (along or not lost) else 1


def lost(tracks: list[list[Any]], hits: list[list[Any]]) -> list[int]:
    """Return the muons without mother of each event, its first track left aside."""
    found = []
    for event, some in zip(tracks, hits, strict=True):
        inside = [(track, pdg) for track, pdg in some if abs(pdg) == 13 and 0 < track < len(event)]
        muons = {track for track, pdg in inside if event[track][0] == pdg}
        found.append(sum(event[track][-1] < 0 for track in muons))
    return found


@pytest.mark.parametrize("step", [1, 7, "64 MB"])
def test_cbmsim_matches_as_a_loop_does(tmp_path: Path, step: int | str) -> None:
    tracks, hits = random_events(3, 90 if step == 1 else 300)
    path = write_cbmsim(tmp_path / "random.root", tracks, hits)
    columns, found, dropped = read(path, step)
    muons, outside, other = loop(tracks, hits)

    names = ("pdg", *FEATURES, "weight", "group", "primary_x", "primary_y", "primary")
    assert {row[-1] for row in muons} == {0, 1, 2}
    assert len(muons) > (10 if step == 1 else 100)
    np.testing.assert_array_equal(np.stack([columns[name] for name in names], 1), np.array(muons))
    assert found == {
        "hits": sum(map(len, hits)),
        "muon hits": sum(abs(pdg) == 13 for event in hits for _, pdg in event),
        "tracks": sum(map(len, tracks)),
        "without mother": sum(lost(tracks, hits)),
    }
    weight = sum(float(tracks[event][track][-2]) for event, track in other)
    assert dropped["hit of a track that is not in MCTrack (hits counted)"][0] == outside > 0
    assert dropped["PDG code of the track is not the hit's"][0] == len(other) > 0
    assert dropped["PDG code of the track is not the hit's"][1] == pytest.approx(weight, rel=1e-6)


def test_several_hits_are_one_muon(tmp_path: Path) -> None:
    path = write_cbmsim(tmp_path / "f.root", [[MUON, MUON]], [[(1, 13), (1, 13), (1, 13)]])
    columns, found, dropped = read(path)
    assert columns["pdg"].tolist() == [13]
    assert found["muon hits"] == 3
    assert not dropped


def test_events_without_tracks_or_hits(tmp_path: Path) -> None:
    path = write_cbmsim(tmp_path / "f.root", [[], [MUON], [], [MUON]], [[], [(0, 13)], [(0, 13)], []])
    columns, _, dropped = read(path)
    assert columns["group"].tolist() == [1]
    assert [number for number, _ in dropped.values()] == [1]


def test_sisters_of_other_length_are_refused(tmp_path: Path) -> None:
    from shipgen_export.reading.formats.cbmsim import CBMSIM

    path = write_cbmsim(tmp_path / "f.root", [[MUON], [MUON]], [[(0, 13)], [(0, 13)]])
    with uproot.open(path) as file:
        arrays = file["cbmsim"].arrays(list(CBMSIM.branches))
        arrays["MCTrack.fPx"] = [[1.0], [1.0, 2.0]]
    with pytest.raises(ValueError, match=r"MCTrack\.fPx does not have as many values"):
        CBMSIM.step(arrays, 0)


@pytest.mark.parametrize(
    ("summary", "pot", "cut", "notes"),
    [
        ({"PoT": 65041, "EnergyCut": 10, "prodSite": "here"}, 65041.0, 10.0, 0),
        ({"PoT": "1e6"}, 1e6, None, 0),
        ({"PoT": 0}, None, None, 0),
        ({"PoT": None}, None, None, 0),
        ("no JSON", None, None, 1),
        (None, None, None, 0),
    ],
)
def test_file_summary(
    tmp_path: Path, summary: object, pot: float | None, cut: float | None, notes: int
) -> None:
    header = open_source(write_cbmsim(tmp_path / "f.root", [[MUON]], [[(0, 13)]], summary=summary)).header
    assert (header.pot, header.energy_cut, header.target_start) == (pot, cut, None)
    assert len(header.notes) == notes


WRITE_WITH_ROOT = """
import sys, array, ROOT
for path, title in zip(sys.argv[1::2], sys.argv[2::2]):
    file = ROOT.TFile(path, "recreate")
    tree = ROOT.TTree("cbmsim", "")
    count = {name: array.array("i", [0]) for name in ("MCTrack", "vetoPoint")}
    members = {
        "MCTrack.fPdgCode": "I", "MCTrack.fStartX": "F", "MCTrack.fStartY": "F", "MCTrack.fStartZ": "F",
        "MCTrack.fPx": "F", "MCTrack.fPy": "F", "MCTrack.fPz": "F", "MCTrack.fW": "F",
        "MCTrack.fMotherId": "I", "vetoPoint.fTrackID": "I", "vetoPoint.fPdgCode": "I",
    }
    for name, counter in count.items():
        tree.Branch("n" + name, counter, f"n{name}/I")
    space = {name: array.array(kind.lower(), [0] * 4) for name, kind in members.items()}
    for name, kind in members.items():
        tree.Branch(name, space[name], f"{name}[n{name.split('.')[0]}]/{kind}")
    for event in range(5):
        count["MCTrack"][0], count["vetoPoint"][0] = event % 3, 2 * (event % 3 > 0)
        for track in range(4):
            for name, kind in members.items():
                space[name][track] = 10 * event + track if kind == "F" else -13
            space["vetoPoint.fTrackID"][track] = 0
        tree.Fill()
    tree.Write()
    ROOT.TNamed("FileHeader", title).Write()
    file.Close()
"""


@pytest.mark.skipif(find_spec("ROOT") is None, reason="ROOT is not installed")
def test_file_written_by_root(tmp_path: Path) -> None:
    # In a process of its own: ROOT warns on import and does not bear TensorFlow beside it.
    titles = {
        "pot.root": "POT = 33970 with ecut=10.0 V diMu100",
        "charm.root": "POT equivalent = 4.89E+05 with ecut=10",
    }
    arguments = [text for name, title in titles.items() for text in (str(tmp_path / name), title)]
    command = [sys.executable, "-W", "ignore", "-c", WRITE_WITH_ROOT, *arguments]
    subprocess.run(command, check=True, timeout=120)
    columns, _, _ = read(tmp_path / "pot.root")
    assert columns["group"].tolist() == [1, 2, 4]
    assert columns["x"].tolist() == [10, 20, 40]
    assert columns["pdg"].tolist() == [-13, -13, -13]

    header = open_source(tmp_path / "pot.root").header
    boosted = "it was made with rare decays to two muons boosted 100 times"
    assert (header.pot, header.energy_cut, header.notes) == (33970, 10, (boosted,))
    assert header.provenance == {"FileHeader": "POT = 33970 with ecut=10.0 V diMu100"}
    charm = open_source(tmp_path / "charm.root").header
    assert (charm.pot, charm.energy_cut) == (None, 10)
    assert "'POT equivalent = 4.89E+05' in FileHeader is not used" in charm.notes[0]


def test_training_sample(tmp_path: Path) -> None:
    columns = muon_columns(1000)
    # A colon in a name is no separator.
    path = write_training(tmp_path / "a:b.root", columns, pot=5000, seed=7)
    for step in (300, "64 MB"):
        read_back, found, dropped = read(path, step)
        assert (found, dropped) == ({}, {})
        np.testing.assert_array_equal(read_back["group"], columns["proton"])
        np.testing.assert_array_equal(read_back["weight"], columns["weight"])
        for name in FEATURES:
            np.testing.assert_array_equal(read_back[name], columns[name].astype(np.float32))
    header = open_source(path).header
    assert (header.pot, header.energy_cut, header.target_start) == (5000, 10, TARGET_START_2018)
    assert header.provenance is not None
    assert header.provenance["seed"] == 7


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        ({}, "no object shipgen says how the muons were made"),
        ({"kind": "production", "pot": 5}, "its provenance says 'production', not 'training-sample'"),
        ({"kind": "training-sample"}, "gives None protons on target"),
        ({"kind": "training-sample", "pot": -1}, "gives -1 protons on target"),
    ],
)
def test_training_sample_without_usable_provenance(
    tmp_path: Path, provenance: dict[str, Any], message: str
) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(10), provenance=provenance)
    with pytest.raises(InputError, match=message):
        open_source(path)


def test_files_that_are_no_root_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.root does not exist"):
        open_source(tmp_path / "nothing.root")
    with pytest.raises(InputError, match="is a folder: give a ROOT file or arrays"):
        open_source(tmp_path)
    for number, content in enumerate((b"", b"ro", b"pdg,x,y\n13,0,0\n" * 100)):
        path = tmp_path / f"{number}.root"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{number}.root is neither a ROOT file nor arrays"):
            open_source(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(5000))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    # At 0.99 all baskets are there, so that uproot alone would read on.
    with pytest.raises(InputError, match=r"f\.root is damaged or truncated, get it again"):
        read(path)


def damage(path: Path, tree: str) -> Path:
    """Overwrite a part of the momenta."""
    content = bytearray(path.read_bytes())
    with uproot.open(path) as file:
        branch = file[tree]["px"]
        # Behind its key: ROOT's header of a compressed block and the start of the block.
        start = branch.member("fBasketSeek")[0] + branch.basket(0).member("fKeylen")
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    return path


def test_damaged_basket(tmp_path: Path) -> None:
    """Of a file of ours the seal tells, of others what cannot be unpacked."""
    sealed = damage(write_training(tmp_path / "f.root", muon_columns(5000)), "muons")
    with pytest.raises(InputError, match="is damaged, its hash is not the one it states"):
        read(sealed)
    other = damage(write_flat(tmp_path / "g.root", flat_columns(5000)), "pythia8-Geant4")
    with pytest.raises(InputError, match="is damaged or truncated"):
        read(other)


def test_other_trees_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.root"
    with uproot.recreate(path) as file:
        file.mktree("other", {"id": "f4"}).extend({"id": np.zeros(3, np.float32)})
        file.mkrntuple("ntuple", {"pdg": np.dtype("i4")}).extend({"pdg": np.zeros(3, np.int32)})
    with pytest.raises(InputError) as error:
        open_source(path)
    assert "it has other, ntuple (an RNTuple); expected muons (a sample of" in str(error.value)
    assert "or cbmsim (FairShip's MCTrack and vetoPoint)" in str(error.value)
    assert "or pythia8-Geant4 (a flat ntuple for MuonBackGenerator)" in str(error.value)


def test_missing_branch_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write_cbmsim(tmp_path / "f.root", [[MUON]], [[(0, 13)]], hit_branch="muonPoint")
    with pytest.raises(
        InputError, match=r"no branch PlaneHAPoint\.fTrackID or vetoPoint\.fTrackID \(nearest"
    ):
        open_source(path)
    with uproot.recreate(tmp_path / "g.root") as file:
        file.mktree("muons", {"pdg": "i4", "PX": "f4"}).extend({"pdg": np.zeros(1, int), "PX": np.zeros(1)})
    with pytest.raises(InputError, match=r"tree muons has no branch x \(nothing there has a similar name\)"):
        open_source(tmp_path / "g.root")
