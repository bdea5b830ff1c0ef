"""Conversions between layouts: nothing is lost, and arrays have what the file has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import uproot
from click.testing import CliRunner

from shipgen import MuonGenerator
from shipgen.commands.convert import command
from shipgen.convert import convert
from shipgen.errors import InputError
from shipgen.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle import Bundle

#: More than a cluster.
N = 300_000


@pytest.fixture(scope="module")
def files(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same muons in every layout, straight from the generator."""
    folder = tmp_path_factory.mktemp("layouts")
    generator = MuonGenerator(bundle, n=N, seed=1)
    for name, layout in OUTPUT_LAYOUTS.items():
        produce(generator, folder / f"{name}.root", layout=layout, compression="lz4:1")
    return folder


def read(path: Path, layout: str) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = uproot.open(path)[OUTPUT_LAYOUTS[layout].tree].arrays(library="np")
    return columns


def facts(path: Path, name: str = "shipgen") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(str(uproot.open(path)[name]))
    return content


@pytest.mark.parametrize("layout", ["muonback2019", "ttree"])
def test_there_and_back_is_exact(files: Path, tmp_path: Path, layout: str) -> None:
    convert(files / "muonback.root", tmp_path / "there.root", layout)
    assert convert(tmp_path / "there.root", tmp_path / "back.root", "muonback") > N - 3000
    first, back = read(files / "muonback.root", "muonback"), read(tmp_path / "back.root", "muonback")
    assert list(back) == list(first)
    for name, column in first.items():
        assert back[name].dtype == column.dtype == np.float32
        np.testing.assert_array_equal(back[name], column)


@pytest.mark.parametrize("layout", list(OUTPUT_LAYOUTS))
def test_what_is_converted_is_what_is_produced(files: Path, tmp_path: Path, layout: str) -> None:
    """From the tree in float64, which has all digits."""
    convert(files / "ttree.root", tmp_path / "out.root", layout)
    produced, converted = files / f"{layout}.root", tmp_path / "out.root"
    expected, found = read(produced, layout), read(converted, layout)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1.2e-7)
    said, told = facts(produced), facts(converted)
    assert facts(produced, "FileSummary") == facts(converted, "FileSummary")
    assert told.pop("converted_from") == "ttree"
    assert told == said


def test_arrays(files: Path, tmp_path: Path, bundle: Bundle) -> None:
    convert(files / "ttree.root", tmp_path / "muons.npz", "npz")
    convert(files / "ttree.root", tmp_path / "muons.h5", "hdf5")
    tree = read(files / "ttree.root", "ttree")
    with (
        np.load(tmp_path / "muons.npz", allow_pickle=False) as archive,
        h5py.File(tmp_path / "muons.h5") as file,
    ):
        for name in ("px", "py", "pz", "x", "y", "z", "pdg", "w"):
            source = tree["id" if name == "pdg" else name].astype(np.int32 if name == "pdg" else np.float32)
            np.testing.assert_array_equal(archive[name], source)
            np.testing.assert_array_equal(file[name][:], source)
            assert archive[name].dtype == file[name].dtype == source.dtype
        for text in (str(archive["shipgen"]), file.attrs["shipgen"]):
            content = json.loads(text)
            assert content["pot"] == pytest.approx(N / bundle.rate)
            assert content["target_start"] == {"value": 0.0, "unit": "cm"}
            assert content["units"]["z"] == "cm"


def test_command(files: Path, tmp_path: Path) -> None:
    arguments = [str(files / "muonback.root"), str(tmp_path / "out.npz"), "--layout", "npz"]
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, done.exception) == (0, None)
    assert done.output.endswith("muons as npz\n")
    again = CliRunner().invoke(command, arguments)
    assert isinstance(again.exception, InputError)
    assert "--force" in str(again.exception)
    assert CliRunner().invoke(command, [*arguments, "--force"]).exit_code == 0


def test_refusals(files: Path, tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "other.root") as file:
        file.mktree(MUONBACK.tree, MUONBACK.branch_types())
    cases = (
        (files / "none.root", "ttree", "does not exist"),
        (tmp_path / "other.root", "ttree", "is not made by `shipgen produce`"),
        (files / "ttree.root", "pickle", "no layout 'pickle': choose from muonback"),
    )
    for source, layout, message in cases:
        with pytest.raises(InputError, match=message):
            convert(source, tmp_path / "out", layout)
    assert [path.name for path in tmp_path.iterdir()] == ["other.root"]
