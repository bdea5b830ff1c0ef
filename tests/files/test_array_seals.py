"""Files of arrays that are not as they were written: noticed by all readers, and told as what they are."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

import shipgen.describe.muon_files
from shipgen.describe.describe import describe
from shipgen.errors import InputError
from shipgen.files.arrays.choose import choose_layout
from shipgen.files.arrays.foreign import open_array_muons
from shipgen.files.arrays.write import array_writer, blocks_of
from shipgen.files.convert import convert, open_muons
from shipgen.files.layouts import PROVENANCE_KEY
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

ENDINGS = ("npy", "npz", "h5", "parquet")


@pytest.fixture(name="good", scope="module", params=ENDINGS)
def good_file(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("good") / f"good.{request.param}"
    produce(MuonGenerator(bundle, n=500, seed=1), path, layout=choose_layout(path.name, frame="fairship"))
    return path


def refused(path: Path, message: str) -> None:
    """All ways to open a file refuse it."""
    with pytest.raises(InputError, match=message), open_muons(path):
        pytest.fail("it was opened")
    with pytest.raises(InputError, match=message), open_array_muons(path):
        pytest.fail("it was opened")


def places(data: bytes, text: bytes) -> int:
    """Return where the file says `text`, in whatever encoding its kind has."""
    wide = text.decode().encode("utf-32-le")
    found = [place for place in (data.find(text), data.find(wide)) if place >= 0]
    assert found
    return found[0]


@pytest.mark.parametrize("what", ['"target_start"', '"pot": ', '"PoT": ', '"units"', '"energy_cut"'])
def test_a_flip_in_what_it_says_of_itself(good: Path, tmp_path: Path, what: str) -> None:
    """In names, and in the digits that follow them."""
    data = good.read_bytes()
    damaged = tmp_path / good.name
    place = places(data, what.encode())
    wide = 4 if good.suffix == ".npy" else 1
    for offset in (2, len(what) + 1, len(what) + 12):
        content = bytearray(data)
        content[place + wide * offset] ^= 1
        damaged.write_bytes(content)
        refused(damaged, rf"{good.name} is damaged")
    damaged.write_bytes(data)
    with open_muons(damaged) as muons:
        assert muons.layout.z.target_start == pytest.approx(-70.845 * 100)


def test_other_names_of_what_is_stored(good: Path, tmp_path: Path) -> None:
    """Where what it says, or a column, has another name, it is not taken for somebody else's file."""
    data, damaged = good.read_bytes(), tmp_path / good.name
    for name in ("shipgen", "FileSummary"):
        content = data
        for code in ("ascii", "utf-32-le"):
            content = content.replace(name.encode(code), ("x" * len(name)).encode(code))
        assert content != data
        damaged.write_bytes(content)
        refused(damaged, rf"{good.name} is damaged")
    if good.suffix == ".h5":
        damaged.write_bytes(data)
        with h5py.File(damaged, "r+") as file:
            for old, new in (("px", "other"), ("py", "px"), ("other", "q")):
                file.move(old, new)
        refused(damaged, "its seal does not fit")


def test_files_of_earlier_versions_have_no_seal(good: Path, tmp_path: Path) -> None:
    old, data = tmp_path / good.name, good.read_bytes()
    if good.suffix == ".npz":
        with zipfile.ZipFile(good) as archive, zipfile.ZipFile(old, "w") as copy:
            for name in archive.namelist():
                copy.writestr(name, archive.read(name))
    elif good.suffix == ".npy":
        with good.open("rb") as file:
            rows, said = np.load(file), json.loads(str(np.load(file)))
        del said["muon_seal"]
        with old.open("wb") as file:
            np.save(file, rows)
            np.save(file, np.array(json.dumps(said)))
    else:
        old.write_bytes(data.replace(b"muon_seal", b"muon_meal"))
    with open_muons(old) as muons:
        assert len(muons) == sum(len(piece["z"]) for piece in muons.columns(["z"]))


def contradicting(path: Path, good: Path, provenance: dict[str, Any], summary: dict[str, Any]) -> None:
    """Write the muons of a file with other statements, sealed."""
    with open_muons(good) as muons, array_writer(path, muons.layout, len(muons)) as file:
        for columns in muons.columns([branch.column for branch in muons.layout.branches]):
            file.append(blocks_of(muons.layout, muons.layout.fill(columns, {}, 0.0)))
        texts = {
            PROVENANCE_KEY: {**muons.provenance, **provenance},
            "FileSummary": {**muons.summary, **summary},
        }
        file.finish({name: json.dumps(content) for name, content in texts.items()})


def test_two_pot_in_one_file(good: Path, tmp_path: Path) -> None:
    path = tmp_path / good.name
    contradicting(path, good, {}, {})
    with open_muons(path) as muons:
        pot = muons.provenance["pot"]
        assert muons.summary["PoT"] == pytest.approx(pot, rel=1e-12)
    contradicting(path, good, {}, {"PoT": pot * (1 + 1e-8)})
    refused(path, "contradicts itself: its provenance states")
    contradicting(path, good, {"pot": 2 * pot}, {})
    refused(path, "contradicts itself: its provenance states")


def test_bytes_behind_the_end(good: Path, tmp_path: Path) -> None:
    data, longer = good.read_bytes(), tmp_path / good.name
    longer.write_bytes(data + b"12345")
    refused(longer, "is damaged" if good.suffix == ".parquet" else "has 5 bytes behind its end")
    longer.write_bytes(data + data)
    behind = f"has {len(data):,} bytes behind its end, as of files put together by `cat`"
    refused(longer, "together by `cat`: give each" if good.suffix == ".parquet" else behind)


@pytest.mark.parametrize("ending", ["npy", "npz", "h5"])
def test_bytes_behind_the_end_of_arrays_of_others(tmp_path: Path, ending: str) -> None:
    path, rows = tmp_path / f"theirs.{ending}", np.ones((9, 8))
    if ending == "h5":
        with h5py.File(path, "w", libver="latest") as file:
            file["rows"] = rows
    else:
        (np.save if ending == "npy" else np.savez)(path, rows)
    with open_array_muons(path) as muons:
        assert len(muons) == 9
    data = path.read_bytes()
    for more in (b"12345", data):
        path.write_bytes(data + more)
        with (
            pytest.raises(InputError, match=f"has {len(more):,} bytes behind its end"),
            open_array_muons(path),
        ):
            pytest.fail("it was opened")


def test_converted_files_are_sealed_anew(good: Path, tmp_path: Path) -> None:
    for ending in ENDINGS:
        again = tmp_path / f"again.{ending}"
        convert(good, again, choose_layout(again.name))
        with open_muons(again) as muons:
            assert "frame" in muons.provenance


def test_info_reads_checksums(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = "  it is as it was written, by its seal and the checksums of its muons"
    assert written in list(describe(good))
    damaged = tmp_path / good.name
    content = bytearray(good.read_bytes())
    place = len(content) // 3
    if good.suffix == ".h5":
        # Between its parts HDF5 leaves room that holds nothing.
        with h5py.File(good) as file:
            place = file["px"].id.get_chunk_info(0).byte_offset + 100
    content[place] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(InputError, match=f"{good.name} is damaged"):
        list(describe(damaged))
    monkeypatch.setattr(shipgen.describe.muon_files, "_QUICK", 1000)
    assert any("were not compared with their checksums" in line for line in describe(good))
    assert written in list(describe(good, check=True))
    with pytest.raises(InputError, match=f"{good.name} is damaged"):
        list(describe(damaged, check=True))


def test_messages_of_what_is_no_file_of_ours(tmp_path: Path) -> None:
    rows = np.ones((9, 8))
    np.save(tmp_path / "six.npy", rows[:, :6])
    np.save(tmp_path / "theirs.npy", rows)
    np.savez(tmp_path / "header.npz", px=np.ones(5000))
    content = bytearray((tmp_path / "header.npz").read_bytes())
    content[content.index(b"False")] ^= 1
    (tmp_path / "header.npz").write_bytes(content)
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.npz").write_bytes(b"px py pz")
    for name, message in (
        ("six.npy", r"six.npy: an array of 6 columns: say what they are \(`shipgen convert --from-columns`"),
        ("theirs.npy", "; arrays of others: say --from-unit, --from-frame to `shipgen convert`"),
        ("header.npz", "array px does not begin as an array does"),
        ("empty.npy", "empty.npy is neither a ROOT file nor arrays"),
        ("text.npz", "text.npz is neither a ROOT file nor arrays"),
        ("none.npy", "none.npy does not exist: give a ROOT file or arrays"),
    ):
        with pytest.raises(InputError, match=message) as told, open_muons(tmp_path / name):
            pytest.fail("it was opened")
        assert "malformed" not in str(told.value)
        assert "ast" not in str(told.value).split(name)[1]
