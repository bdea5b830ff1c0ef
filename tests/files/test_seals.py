"""Files of muons that are not as they were written: noticed, and told as what they are, by all readers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.fuzzing import flip
from helpers.muon_files import muon_columns, write_training
from shipgen.describe.describe import describe
from shipgen.errors import InputError
from shipgen.files.convert import convert, open_muons
from shipgen.files.layouts import PROVENANCE_KEY
from shipgen.files.rootfile import open_root
from shipgen.files.seals import check_open
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produced_file import ProducedFile
from shipgen.production.request import Request, carry_out
from shipgen_export.reading.formats.readers import open_source, read_steps

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

N = 2000


def check_file(path: Path) -> dict[str, Any] | None:
    """Compare all of a ROOT file with what it states."""
    with open_root(path) as file:
        return check_open(file, path)


@pytest.fixture(name="good", scope="module", params=["muonback", "rntuple", "converted", "sample"])
def good_file(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("good")
    path, kind = folder / "good.root", str(request.param)
    if kind == "sample":
        return write_training(path, muon_columns(N))
    layout = "rntuple" if kind == "rntuple" else "muonback"
    carry_out(Request(str(path), n=N, seed=1, bundle=str(bundle.path), layout=layout), lambda _: None)
    if kind == "converted":
        convert(path, folder / "converted.root", "ttree")
        return folder / "converted.root"
    return path


def test_a_good_file(good: Path) -> None:
    stated = check_file(good)
    assert stated is not None
    assert stated["seal"]["begin"] < stated["seal"]["end"] < good.stat().st_size
    assert "  it is as it was written, by its seal and the hash of its muons" in list(describe(good))


def test_every_bit_counts(good: Path, tmp_path: Path) -> None:
    """Flips all over the file; what says neither muons nor facts is sealed as well."""
    data, rng = good.read_bytes(), np.random.default_rng(1)
    damaged = tmp_path / "damaged.root"
    for _ in range(150):
        damaged.write_bytes(flip(data, rng))
        with pytest.raises(InputError, match=r"damaged\.root"):
            check_file(damaged)


@pytest.mark.parametrize("end", [50, 5000, -3000, -1])
def test_a_cut_file(good: Path, tmp_path: Path, end: int) -> None:
    cut = tmp_path / "cut.root"
    cut.write_bytes(good.read_bytes()[:end])
    with pytest.raises(InputError, match=r"cut\.root is (damaged|neither a ROOT file nor arrays)"):
        check_file(cut)


def test_files_put_together_by_cat(good: Path, tmp_path: Path) -> None:
    both, data = tmp_path / "both.root", good.read_bytes()
    both.write_bytes(data + data)
    told = (
        rf"has {len(data):,} bytes behind its end, as of files put together by `cat`: its own are the first"
    )
    with pytest.raises(InputError, match=told):
        check_file(both)


def test_rewritten_by_another_program(good: Path, tmp_path: Path) -> None:
    """What fits into a gap of the file leaves its length, and is not told from damage."""
    other = tmp_path / "other.root"
    other.write_bytes(good.read_bytes())
    with uproot.update(other) as file:
        file["comment"] = "mine"
    if other.stat().st_size != good.stat().st_size:
        assert check_file(other) == check_file(good)
        return
    with pytest.raises(InputError, match="damaged, or another program has rewritten it: its seal does"):
        check_file(other)


def test_two_pot_in_one_file(tmp_path: Path) -> None:
    for number, (pot, other) in enumerate(((1e6, 1e6), (1e6, 1e6 * (1 + 1e-8)), (1e6, 2e6), (1e6, "many"))):
        path = tmp_path / f"{number}.root"
        with uproot.recreate(path) as file:
            file.mktree("pythia8-Geant4", {"px": "f4"}).extend({"px": np.ones(20, "f4")})
            file[PROVENANCE_KEY] = json.dumps({"kind": "muons", "pot": pot})
            file["FileSummary"] = json.dumps({"PoT": other})
        if number == 0:
            assert check_file(path) == {"kind": "muons", "pot": pot}
            continue
        with pytest.raises(InputError, match=r"root is damaged|contradicts itself: its provenance states"):
            check_file(path)


def merged(path: Path, *stated: dict[str, object]) -> Path:
    """What `hadd` leaves: one tree, and what each file said of itself."""
    with uproot.recreate(path) as file:
        file.mktree("pythia8-Geant4", {"px": "f4"}).extend({"px": np.ones(20, "f4")})
        for one in stated:
            file[PROVENANCE_KEY] = json.dumps(one)
    return path


def test_merged_by_hadd(tmp_path: Path) -> None:
    one = {"kind": "muons", "pot": 1000.0, "clusters": {"number": 1, "xxh3": "a"}}
    other = {**one, "clusters": {"number": 1, "xxh3": "b"}}
    lines = list(describe(merged(tmp_path / "two.root", one, other)))
    assert "  TTree pythia8-Geant4: 20 entries, 1 branches" in lines
    text = next(line for line in lines if "by hadd: " in line)
    assert "it was merged from 2 files" in text
    assert "states 1000 POT where their sum is 2000" in text
    assert "copies" not in text
    text = next(line for line in describe(merged(tmp_path / "same.root", one, one)) if "by hadd: " in line)
    assert "1 of the files are copies of others, so that muons are in it more than once" in text
    sample = {"kind": "training-sample", "pot": 5}
    lines = list(describe(merged(tmp_path / "samples.root", sample, {**sample, "pot": 10})))
    assert any("weights of different POT stand side by side" in line for line in lines)
    with pytest.raises(InputError, match="how many POT they stand for is not stated"):
        check_file(merged(tmp_path / "dumb.root", one, {"kind": "muons"}))


def unsealed(path: Path, **changed: object) -> Path:
    """A file of an earlier version, which had no seal, with other facts."""
    n = 100
    columns = {name: np.ones(n, "f4") for name in ("x", "y", "z", "px", "py", "pz", "w")}
    facts = {
        "kind": "muons",
        "layout": "muonback",
        "converted_from": "rntuple",
        "energy_cut": 10.0,
        "pot": 1e5,
        "muons": n,
        "sum_of_weights": float(n),
        "counts": {"muplus_onaxis": 0, "muminus_onaxis": 0, "muplus_offaxis": 40, "muminus_offaxis": 60},
        **{name: value for name, value in changed.items() if name not in columns},
    }
    columns["id"] = np.where(np.arange(n) < 60, 13, -13).astype("f4")
    for name in columns.keys() & changed.keys():
        columns[name][5] = changed[name]
    with uproot.recreate(path) as file:
        file.mktree("pythia8-Geant4", dict.fromkeys(columns, "f4")).extend(columns)
        file[PROVENANCE_KEY] = json.dumps(facts)
    return path


def test_earlier_files_are_read(tmp_path: Path) -> None:
    with open_muons(unsealed(tmp_path / "old.root")) as muons:
        assert sum(len(piece["pdg"]) for piece in muons.columns(("pdg", "weight", "px"))) == 100


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sum_of_weights": 101.0}, "its weights sum to 100, and it says to 101"),
        ({"sum_of_weights": "100"}, "sum_of_weights is '100', no number"),
        (
            {"counts": {"muplus_offaxis": 41, "muminus_offaxis": 59}},
            "40 muons have PDG code -13, and it says",
        ),
        ({"px": np.nan}, "px is not finite in 1 places"),
        ({"w": np.inf}, "weight is not finite in 1 places"),
        ({"id": 11}, "1 PDG codes are not those of muons"),
    ],
)
def test_what_is_stated_is_compared(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    path = unsealed(tmp_path / "old.root", **changed)
    with open_muons(path) as muons, pytest.raises(InputError, match=f"does not hold what it says: {message}"):
        list(muons.columns(("pdg", "weight", "px")))


def test_prepare_compares(tmp_path: Path) -> None:
    source = open_source(unsealed(tmp_path / "old.root", sum_of_weights=5.0))
    with pytest.raises(InputError, match="does not hold what it says: its weights sum to 100"):
        list(read_steps(source))


def test_a_seal_without_what_it_belongs_to(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    carry_out(Request(str(path), n=100, seed=1, bundle=str(bundle.path)), lambda _: None)
    data = path.read_bytes()
    assert data.count(b"\x07shipgen") >= 1
    path.write_bytes(data.replace(b"\x07shipgen", b"\x07shipgeo"))
    with pytest.raises(InputError, match="what it says of itself is not found"):
        check_file(path)
    assert len(MuonGenerator(bundle, n=100, seed=1).plan) == 1
    with pytest.raises(InputError):
        ProducedFile.open(path)
