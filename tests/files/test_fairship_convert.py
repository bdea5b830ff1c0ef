"""Conversions between layouts: nothing is lost, and arrays have what the file has."""

from __future__ import annotations

import json
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow.parquet
import pytest
import uproot
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

import shipgen.files.arrays.fields
from shipgen import MuonGenerator
from shipgen.commands.convert import command
from shipgen.errors import InputError, MissingExtraError
from shipgen.files.arrays.choose import ARRAY_LAYOUTS
from shipgen.files.cluster_file import ClusterFile
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.convert import CONVERSIONS, convert, open_muons
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Columns

#: More than two of the pieces that tests convert in.
N = 5000


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipgen.files.arrays.fields, "CHUNK_SIZE", 2000)
        yield


ARRAYS = list(ARRAY_LAYOUTS)


@pytest.fixture(scope="module")
def files(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same muons in every layout: straight from the generator, and arrays of them."""
    folder = tmp_path_factory.mktemp("layouts")
    generator = MuonGenerator(bundle, n=N, seed=1)
    for name, layout in OUTPUT_LAYOUTS.items():
        produce(generator, folder / f"{name}.root", layout=layout, compression="lz4:1")
    for kind in ARRAYS:
        assert convert(folder / "ttree.root", folder / f"{kind}.root", kind) == generator.plan.total
    return folder


def read(path: Path, layout: str) -> dict[str, np.ndarray]:
    """Read a file without shipgen."""
    columns: dict[str, np.ndarray]
    if layout == "npz":
        with np.load(path, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive if name not in ("shipgen", "FileSummary")}
    elif layout == "npy":
        with path.open("rb") as raw:
            table, said = np.load(raw), json.loads(str(np.load(raw)))
        columns = dict(zip(said["columns"], table.T, strict=True))
    elif layout == "hdf5":
        with h5py.File(path) as file:
            columns = {name: file[name][:] for name in file}
    elif layout == "parquet":
        table = pyarrow.parquet.read_table(path)
        columns = {name: table[name].to_numpy() for name in table.column_names}
    else:
        columns = uproot.open(path)[OUTPUT_LAYOUTS[layout].tree].arrays(library="np")
    return columns


def facts(path: Path, layout: str, name: str = "shipgen") -> dict[str, Any]:
    if layout == "npz":
        text = str(np.load(path, allow_pickle=False)[name])
    elif layout == "npy":
        with path.open("rb") as raw:
            np.load(raw)
            text = json.dumps(json.loads(str(np.load(raw)))[name])
    elif layout == "hdf5":
        with h5py.File(path) as file:
            text = file.attrs[name]
    elif layout == "parquet":
        text = pyarrow.parquet.read_schema(path).metadata[name.encode()].decode()
    else:
        text = str(uproot.open(path)[name])
    content: dict[str, Any] = json.loads(text)
    return content


def assert_same(path: Path, other: Path, layout: str) -> None:
    """Two files hold the same numbers, to the last bit."""
    expected, found = read(path, layout), read(other, layout)
    assert {name: column.dtype for name, column in found.items()} == {
        name: column.dtype for name, column in expected.items()
    }
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


#: From FairShip's metres in float32 to all that resolve no less, and among those in cm.
EXACT = [
    *(("muonback", there) for there in CONVERSIONS),
    *(("muonback2019", there) for there in CONVERSIONS if there != "muonback"),
    *((here, there) for here in ("ttree", "rntuple", *ARRAYS) for there in ("ttree", "rntuple", *ARRAYS)),
]


@pytest.mark.parametrize(("here", "there"), EXACT)
def test_there_and_back_is_exact(files: Path, tmp_path: Path, here: str, there: str) -> None:
    there_as, here_as = ({} if name in ARRAYS else {"compression": "none"} for name in (there, here))
    convert(files / f"{here}.root", tmp_path / "there", there, **there_as)
    assert convert(tmp_path / "there", tmp_path / "back", here, **here_as) > N - 400
    assert_same(files / f"{here}.root", tmp_path / "back", here)
    for name in ("pot", "seed", "counts", "bundle", "units", "target_start", "layout"):
        assert facts(tmp_path / "back", here)[name] == facts(files / f"{here}.root", here)[name]


#: Numbers as FairShip's flat layout holds them: metres, GeV.
MUONS = st.integers(1, 30).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            name: stnp.arrays("f4", n, elements=st.floats(low, high, width=32, allow_subnormal=False))
            for name, (low, high) in {
                "x": (-8, 8),
                "y": (-8, 8),
                "z": (-70.875, -64.0),
                "px": (-100, 100),
                "py": (-100, 100),
                "pz": (-400, 400),
                "w": (0, 2.0**40),
            }.items()
        }
        | {"id": stnp.arrays("f4", n, elements=st.sampled_from([13.0, -13.0]))}
    )
)


def write_muonback(path: Path, stored: Columns) -> int:
    """Write such numbers as `shipgen produce` would."""
    constants = {"energy_cut": 10.0}
    n = len(stored["id"])
    provenance = {"kind": "muons", "layout": "muonback", "muons": n, **constants}
    with ClusterFile(path, MUONBACK, None) as file:
        file.append(ClusterEncoder(MUONBACK, constants, 0.0, None)(MUONBACK.columns(stored)))
        file.finish({"shipgen": json.dumps(provenance), "FileSummary": json.dumps({"PoT": 1.5})})
    return n


@given(stored=MUONS, there=st.sampled_from(list(CONVERSIONS)))
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_float32_comes_back(tmp_path: Path, stored: dict[str, np.ndarray], there: str) -> None:
    paths = [tmp_path / name for name in ("first", "there", "back")]
    for path in paths:
        path.unlink(missing_ok=True)
    n = write_muonback(paths[0], stored)
    assert convert(paths[0], paths[1], there) == convert(paths[1], paths[2], "muonback") == n
    back = read(paths[2], "muonback")
    for name, column in stored.items():
        np.testing.assert_array_equal(back[name], column)
    assert facts(paths[2], "muonback", "FileSummary") == {"PoT": 1.5}


@pytest.mark.parametrize("layout", list(OUTPUT_LAYOUTS))
@pytest.mark.parametrize("source", ["ttree", "npz"])
def test_what_is_converted_is_what_is_produced(files: Path, tmp_path: Path, layout: str, source: str) -> None:
    """From what has all digits: the numbers and what the file says of itself."""
    convert(files / f"{source}.root", tmp_path / "out", layout)
    produced, converted = files / f"{layout}.root", tmp_path / "out"
    expected, found = read(produced, layout), read(converted, layout)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1.2e-7)
    said, told = facts(produced, layout), facts(converted, layout)
    for only_arrays in ("frame", "columns"):
        assert only_arrays not in told
    assert facts(produced, layout, "FileSummary") == facts(converted, layout, "FileSummary")
    assert told.pop("converted_from") == source
    # Of the bytes of each.
    assert {"clusters", "seal"} <= told.keys()
    for own in ("clusters", "seal"):
        told.pop(own, None)
        said.pop(own, None)
    assert told == said


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(files: Path, bundle: Bundle, kind: str) -> None:
    tree, found = read(files / "ttree.root", "ttree"), read(files / f"{kind}.root", kind)
    types = dict.fromkeys(("px", "py", "pz", "w"), "f4") | dict.fromkeys("xyz", "f8") | {"pdg": "i4"}
    types = dict.fromkeys(types, "f8") if kind == "npy" else types
    assert {name: column.dtype.str[1:] for name, column in found.items()} == types
    for name, column in found.items():
        np.testing.assert_array_equal(column, tree["id" if name == "pdg" else name])
    content = facts(files / f"{kind}.root", kind)
    assert content["pot"] == pytest.approx(N / bundle.rate)
    assert content["target_start"] == {"value": 0.0, "unit": "cm"}
    assert content["units"] == dict.fromkeys(("px", "py", "pz"), "GeV") | dict.fromkeys("xyz", "cm")


def test_more_than_a_chunk(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipgen.files.arrays.fields, "CHUNK_SIZE", CHUNK_SIZE)
    produce(MuonGenerator(bundle, n=3e5, seed=1), tmp_path / "first", compression="lz4:1")
    convert(tmp_path / "first", tmp_path / "there", "npz")
    convert(tmp_path / "there", tmp_path / "back", "muonback", compression="lz4:1")
    assert_same(tmp_path / "first", tmp_path / "back", "muonback")


@pytest.mark.parametrize("layout", ["rntuple", *ARRAYS])
def test_fields_of_other_names(files: Path, tmp_path: Path, layout: str) -> None:
    names = {"pdg": "particle", "x": "vx"}
    convert(files / "ttree.root", tmp_path / "there", layout, names=names)
    found, plain = read(tmp_path / "there", layout), read(files / f"{layout}.root", layout)
    assert set(found) == {names.get(name, name) for name in plain}
    for name, column in plain.items():
        np.testing.assert_array_equal(found[names.get(name, name)], column)
    assert facts(tmp_path / "there", layout)["units"]["vx"] == "cm"
    convert(tmp_path / "there", tmp_path / "back", "ttree")
    assert_same(files / "ttree.root", tmp_path / "back", "ttree")
    assert "names" not in facts(tmp_path / "back", "ttree")


def test_command(files: Path, tmp_path: Path) -> None:
    arguments = [str(files / "muonback.root"), str(tmp_path / "out.npz"), "--layout", "npz"]
    done = CliRunner().invoke(command, [*arguments, "--field", "pdg=id", "--field", "w=weight"])
    assert (done.exit_code, done.exception) == (0, None)
    assert done.output.endswith("muons as npz\n")
    assert {"id", "weight"} < set(read(tmp_path / "out.npz", "npz"))
    again = CliRunner().invoke(command, arguments)
    assert isinstance(again.exception, InputError)
    assert "--force" in str(again.exception)
    assert CliRunner().invoke(command, [*arguments, "--force"]).exit_code == 0


def test_refusals(files: Path, tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree(MUONBACK.tree, MUONBACK.branch_types())
    (tmp_path / "text").write_text("px py pz")
    np.savez(tmp_path / "own.npz", px=np.zeros(3))
    ttree = files / "ttree.root"
    cases: tuple[tuple[Path, str, dict[str, str], str], ...] = (
        (files / "none.root", "ttree", {}, "does not exist"),
        (tmp_path / "other.root", "ttree", {}, "is not made by `shipgen produce`"),
        (tmp_path / "own.npz", "ttree", {}, "is not made by `shipgen produce`"),
        (tmp_path / "text", "ttree", {}, "is neither a ROOT file nor arrays"),
        (ttree, "pickle", {}, "no layout 'pickle': choose from muonback"),
        (ttree, "muonback", {"id": "pdg"}, "FairShip finds the fields of layout muonback by their names"),
        (ttree, "rntuple", {"id": "pdg"}, "layout rntuple has no field 'id': choose from pdg, weight"),
        (ttree, "rntuple", {"pdg": "p d g"}, "'p d g' is no name for a field"),
        (ttree, "npz", {"pdg": "shipgen"}, "'shipgen' is no name for a field"),
        (ttree, "npz", {"px": "py"}, "two fields would have the same name"),
    )
    before = set(tmp_path.iterdir())
    for source, layout, names, message in cases:
        with pytest.raises(InputError, match=message):
            convert(source, tmp_path / "out", layout, names=names)
    assert isinstance(
        CliRunner().invoke(command, [str(ttree), "out", "--layout", "npz", "--field", "a"]).exception,
        InputError,
    )
    assert set(tmp_path.iterdir()) == before


def damage(path: Path, kind: str) -> None:
    """Take an array away, or half of its muons; Parquet's columns have one length by themselves."""
    if kind == "npz":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if name != "py.npy"}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    elif kind == "npy":
        with path.open("rb") as raw:
            table, said = np.load(raw), np.load(raw)
        with path.open("wb") as raw:
            np.save(raw, table[:, 1:])
            np.save(raw, said)
    elif kind == "hdf5":
        with h5py.File(path, "r+") as file:
            del file["py"]
    else:
        table = pyarrow.parquet.read_table(path)
        pyarrow.parquet.write_table(table.drop_columns(["py"]), path)


@pytest.mark.parametrize("kind", ARRAYS)
def test_damaged_arrays_and_missing_packages(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {name: np.ones(10, "f4") for name in ("x", "y", "z", "px", "py", "pz", "w")}
    stored["id"] = np.full(10, 13, "f4")
    write_muonback(tmp_path / "first", stored)
    for name in ("cut", "less", "whole"):
        convert(tmp_path / "first", tmp_path / name, kind)
    content = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    damage(tmp_path / "less", kind)
    for name in ("cut", "less"):
        with pytest.raises(InputError, match=f"{name} is damaged or truncated"):
            convert(tmp_path / name, tmp_path / "out", "muonback")
    package = {"hdf5": "h5py", "parquet": "pyarrow.parquet"}.get(kind)
    if package:
        monkeypatch.setitem(sys.modules, package, None)
        for source, layout in (("whole", "muonback"), ("first", kind)):
            with pytest.raises(MissingExtraError, match="its extra 'arrays'"):
                convert(tmp_path / source, tmp_path / "out", layout)
    assert not list(tmp_path.glob("out*"))


def test_a_file_that_lost_muons_is_refused(tmp_path: Path) -> None:
    stored = {name: np.ones(10, "f4") for name in ("x", "y", "z", "px", "py", "pz", "w")}
    stored["id"] = np.full(10, 13, "f4")
    write_muonback(tmp_path / "first", stored)
    convert(tmp_path / "first", tmp_path / "whole", "parquet")
    table = pyarrow.parquet.read_table(tmp_path / "whole")
    pyarrow.parquet.write_table(table.slice(0, 4), tmp_path / "less")
    with (
        pytest.raises(InputError, match="less has 4 muons and says it has 10: get it again"),
        open_muons(tmp_path / "less"),
    ):
        pass


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", shipgen=np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="is damaged or truncated"):
        convert(tmp_path / "evil.npz", tmp_path / "out", "muonback")
