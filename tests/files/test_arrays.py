"""Files of arrays: those of shield codes, those of anybody, and what is wrong with some."""

from __future__ import annotations

import gzip
import os
import pickle
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import uproot

import shipgen.files.arrays.fields
from shipgen import MuonGenerator
from shipgen.cli import run
from shipgen.errors import InputError
from shipgen.files.arrays.choose import choose_layout
from shipgen.files.arrays.foreign import open_array_muons
from shipgen.files.convert import CONVERSIONS, convert, convert_arrays
from shipgen.files.layouts import RNTUPLE
from shipgen.muons.columns import ROW
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

N = 5000
ENDINGS = ("h5", "npy", "npz", "parquet")


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipgen.files.arrays.fields, "CHUNK_SIZE", 2000)
        yield


@pytest.fixture(scope="module")
def root(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same muons in an RNTuple: positions in float64 from the target's start."""
    path = tmp_path_factory.mktemp("arrays") / "muons.root"
    produce(MuonGenerator(bundle, n=N, seed=1, exact=True), path, layout=RNTUPLE)
    return path


@pytest.fixture(scope="module")
def muons(root: Path) -> dict[str, np.ndarray]:
    return dict(uproot.open(root)["events"].arrays(library="np"))


@pytest.fixture(scope="module")
def rows(muons: dict[str, np.ndarray]) -> np.ndarray:
    """What a shield code holds: metres, z = 0 at the shield's entrance, 2.14 m behind the target's start."""
    columns = {name: muons[name].astype(float) for name in ROW}
    for name in "xyz":
        columns[name] = columns[name] / 100
    columns["z"] = columns["z"] - 2.14
    return np.column_stack([columns[name] for name in ROW])


def read_all(path: Path, **said: Any) -> dict[str, np.ndarray]:
    with open_array_muons(path, **said) as found:
        pieces = list(found.pieces())
        assert len(found) == sum(len(piece["z"]) for piece in pieces)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in ROW}


def assert_muons(found: dict[str, np.ndarray], muons: dict[str, np.ndarray]) -> None:
    for name in ROW:
        np.testing.assert_allclose(found[name], muons[name], rtol=1e-12, atol=1e-11, err_msg=name)


def as_their_readers(path: Path) -> np.ndarray:
    """Read a file as the public codes do, into (N, 8)."""
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")[:None, :8]
    if path.suffix == ".npz":
        return np.load(path)["muons"]
    if path.suffix == ".parquet":
        return pd.read_parquet(path)[list(ROW)].to_numpy()
    with h5py.File(path) as file:
        return np.stack([file[name][:] for name in ROW], axis=1)


@pytest.mark.parametrize("ending", ENDINGS)
def test_shield_codes_find_what_they_expect(
    root: Path, rows: np.ndarray, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"muons.{ending}"
    convert(root, path, choose_layout(path.name, "shield"))
    np.testing.assert_allclose(as_their_readers(path), rows, rtol=1e-14, atol=1e-15)
    convert(path, tmp_path / "back.root", RNTUPLE)
    back, first = uproot.open(tmp_path / "back.root")["events"], uproot.open(root)["events"]
    for name in ("px", "py", "pz", "weight", "pdg"):
        np.testing.assert_array_equal(back[name].array(), first[name].array())
    # What generators make has no more digits than float32.
    for name in "xy":
        assert (
            back[name].array(library="np").astype("f4") == first[name].array(library="np").astype("f4")
        ).all()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("unit", "frame"), [("m", "target"), ("cm", "shield"), ("m", "fairship"), ("cm", "global")]
)
def test_unit_and_frame_are_chosen_and_stated(
    root: Path, muons: dict[str, np.ndarray], tmp_path: Path, ending: str, unit: str, frame: str
) -> None:
    path = tmp_path / f"muons.{ending}"
    convert(root, path, choose_layout(path.name, unit=unit, frame=frame))
    with open_array_muons(path) as found:
        assert (found.unit, found.assumed) == (unit, ())
        start = {"target": 0, "global": 0, "shield": -214, "fairship": -7084.5}[frame]
        assert found.target_start == pytest.approx(start * {"cm": 1, "m": 0.01}[unit], rel=1e-15)
        assert not found.warnings()
    assert_muons(read_all(path), muons)
    for said in (
        {"unit": "cm" if unit == "m" else "m"},
        {"frame": "shield" if frame != "shield" else "target"},
    ):
        with pytest.raises(InputError, match="says that its"):
            read_all(path, **said)


def test_layout_follows_from_the_name() -> None:
    assert choose_layout("out.root").name == choose_layout("out").name == "muonback"
    assert choose_layout("a/b.H5").kind == choose_layout("b.hdf5").kind == "hdf5"
    assert choose_layout("out", "npz").name == "npz"
    assert choose_layout("a.xyz", "ttree").name == "ttree"
    for name, layout, said, message in (
        (
            "m.npz",
            "muonback",
            {},
            "m.npz would be a file of npz arrays by its name, and layout muonback is a ROOT",
        ),
        ("m.root", "npz", {}, "m.root would be a ROOT file by its name"),
        ("m.root", "shield", {}, "layout shield is one of arrays"),
        ("m", "shield", {}, "layout shield is one of arrays"),
        ("m.pkl.gz", None, {}, "pickles are read, not written"),
        ("m.csv", None, {}, ".csv is no file of muons here"),
        ("a.xyz", None, {}, "a.xyz: .xyz is no ending of files of muons, .*; name it .root, .npz, .npy, "),
        ("m.root", None, {"unit": "m"}, "unit and frame of layout muonback are fixed"),
        ("m.npy", None, {"unit": "mm"}, "unit = 'mm' is none for lengths: choose from cm, m"),
        ("m.npy", None, {"frame": "cave"}, "frame = 'cave' is none: choose from target"),
        ("m.npy", "none", {}, "no layout 'none': choose from muonback"),
    ):
        with pytest.raises(InputError, match=message):
            choose_layout(name, layout, **said)


def named(rows: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(ROW, rows.T, strict=False))


def write_h5(path: Path, columns: dict[str, np.ndarray]) -> None:
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values


def write_root(path: Path, rows: np.ndarray, *, tree: bool) -> None:
    with uproot.recreate(path) as file:
        if tree:
            file.mktree("muons", dict.fromkeys(ROW, "f8"))
            file["muons"].extend(named(rows))
        else:
            file["muons"] = named(rows)


def write_packed(path: Path, rows: np.ndarray) -> None:
    with gzip.open(path, "wb") as packed:
        pickle.dump(np.asfortranarray(rows), packed, protocol=0)


#: Name -> how somebody else would write muons, and what has to be said of them.
THEIRS: dict[str, tuple[Callable[[Path, np.ndarray], Any], dict[str, Any]]] = {
    "rows.npy": (np.save, {}),
    "seven.npy": (lambda path, rows: np.save(path, rows[:, :7].astype("f4")), {}),
    "order.npy": (lambda path, rows: np.save(path, rows[:, ::-1]), {"columns": ROW[::-1]}),
    "structured.npy": (
        lambda path, rows: np.save(path, np.rec.fromarrays(list(rows.T), names=list(ROW))),
        {},
    ),
    "packed.npz": (lambda path, rows: np.savez_compressed(path, muons=rows), {}),
    "names.npz": (
        lambda path, rows: np.savez(
            path,
            **{{"pdg": "pdg_id", "weight": "W"}.get(name, name): one for name, one in named(rows).items()},
        ),
        {},
    ),
    "own.npz": (
        lambda path, rows: np.savez(path, **{f"mu_{name}": column for name, column in named(rows).items()}),
        {"columns": {name: f"mu_{name}" for name in ROW}},
    ),
    "charge.h5": (
        lambda path, rows: write_h5(
            path, {**named(rows[:, :6]), "charge": -rows[:, 6] / 13, "weight": rows[:, 7]}
        ),
        {},
    ),
    "rows.h5": (lambda path, rows: write_h5(path, {"muons": rows}), {}),
    "frame.parquet": (lambda path, rows: pd.DataFrame(named(rows)).to_parquet(path), {}),
    "rntuple.root": (lambda path, rows: write_root(path, rows, tree=False), {}),
    "tree.root": (lambda path, rows: write_root(path, rows, tree=True), {}),
    "rows.pkl": (lambda path, rows: path.write_bytes(pickle.dumps(rows, protocol=2)), {}),
    "dict.pkl": (lambda path, rows: path.write_bytes(pickle.dumps({**named(rows), "n": 3}, protocol=5)), {}),
    "rows.pkl.gz": (write_packed, {}),
}


@pytest.mark.parametrize("name", list(THEIRS))
def test_arrays_of_others_are_read(
    rows: np.ndarray, muons: dict[str, np.ndarray], tmp_path: Path, name: str
) -> None:
    write, said = THEIRS[name]
    write(tmp_path / name, rows)
    found = read_all(tmp_path / name, **said)
    if name == "seven.npy":
        assert set(found["weight"]) == {1.0}
        np.testing.assert_allclose(found["z"], muons["z"], atol=1e-4)
        return
    assert_muons(found, muons)
    with open_array_muons(tmp_path / name, **said) as theirs:
        assert theirs.assumed == ("unit", "frame")
        (told,) = theirs.warnings()
        assert "lengths in m and the frame shield assumed" in told
    with open_array_muons(tmp_path / name, unit="m", frame="shield", **said) as theirs:
        assert not theirs.warnings()


def changed(rows: np.ndarray, place: int, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    found = rows.copy()
    found[:, place] = change(found[:, place])
    return found


@pytest.mark.parametrize(
    ("said", "change", "told"),
    [
        ({"unit": "cm", "frame": "shield"}, None, "its unit may be m, not cm"),
        (
            {"unit": "m", "frame": "shield"},
            lambda r: np.column_stack([r[:, :3], 100 * r[:, 3:6], r[:, 6:]]),
            "cm, not m",
        ),
        ({"unit": "m", "frame": "target"}, None, "before the target's start: the frame may be shield"),
        ({"unit": "m", "frame": "fairship"}, None, "behind the target's start: the frame may be shield"),
        ({}, lambda r: changed(r, 6, np.negative), "charges may have the wrong sign"),
        ({}, lambda r: np.column_stack([1000 * r[:, :3], r[:, 3:]]), "another unit than GeV"),
        ({}, lambda r: changed(r, 2, np.negative), "fly against the beam"),
        ({}, lambda r: changed(r, 6, lambda pdg: pdg / 13 * 11), "20,000 of 20,000 are no muons"),
        ({}, lambda r: changed(r, 7, lambda w: -w), "20,000 of 20,000 weights are below zero"),
        ({}, lambda r: changed(r, 7, lambda w: -0.0 * w), "all weights are zero"),
    ],
)
def test_wrong_guesses_are_noticed(
    rows: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, str],
    change: Callable[[np.ndarray], np.ndarray] | None,
    told: str,
) -> None:
    monkeypatch.setattr(shipgen.files.arrays.fields, "CHUNK_SIZE", 4 * N)
    np.save(tmp_path / "m.npy", np.tile(rows if change is None else change(rows), (4, 1)))
    with open_array_muons(tmp_path / "m.npy", **{"unit": "m", "frame": "shield", **said}) as found:
        assert any(told in text for text in found.warnings()), found.warnings()


class Evil:
    """What a pickle can do to whoever loads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch was-here",)


HOSTILE = {
    "os": pickle.dumps(Evil()),
    "within": pickle.dumps({"px": [Evil()]}),
    "eval": b"cbuiltins\neval\n(S'1+1'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cnumpy\nndarray\nS'dump'\ntR.",
    "numpy": b"cnumpy\nload\n(S'x.npy'\ntR.",
    "ndarray": b"cnumpy\nndarray\n((I1000000000000\ntI1\ntR.",
    "objects": pickle.dumps(np.array([{}, []], object)),
    "structure": pickle.dumps(np.zeros(3, [("px", "O")])),
    "text": pickle.dumps(np.array(["px"])),
    "persistent": b"Pfile\n.",
    "frame": pickle.dumps(pd.DataFrame({"px": [1.0]})),
    "codec": b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.",
    "short": pickle.dumps(np.zeros((4, 8)))[:-40],
    "set": pickle.dumps({1, 2}),
    "number": pickle.dumps(3),
    "nothing": b"\x80",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_pickles_that_are_no_arrays_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(InputError, match=r"evil\.pkl is damaged or truncated"), open_array_muons(path):
        pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == [path]


def test_shapes_that_bytes_do_not_fill_are_refused(tmp_path: Path) -> None:
    class Lying(np.ndarray):
        def __reduce__(self) -> Any:
            make, first, state = super().__reduce__()
            return make, (np.ndarray, *first[1:]), (state[0], (2**40, 8), *state[2:])

    (tmp_path / "m.pkl").write_bytes(pickle.dumps(np.zeros((4, 8)).view(Lying), protocol=2))
    with pytest.raises(InputError, match="cannot reshape"), open_array_muons(tmp_path / "m.pkl"):
        pass


def test_lacking_odd_and_infinite_columns(rows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "five.npy", rows[:, :5])
    np.save(tmp_path / "flat.npy", rows[:, 0])
    np.savez(tmp_path / "few.npz", px=rows[:, 0], py=rows[:, 1])
    np.save(tmp_path / "nan.npy", changed(rows, 3, lambda x: np.where(x > 0, np.nan, x)))
    pyarrow.parquet.write_table(pyarrow.table({"px": ["a"], "py": ["b"]}), tmp_path / "text.parquet")
    (tmp_path / "text").write_text("px py pz")
    for name, said, message in (
        ("five.npy", {}, "an array of 5 columns: say what they are"),
        ("five.npy", {"columns": ROW}, "an array of 5 columns, and 8 names"),
        ("flat.npy", {}, "a row a muon is wanted"),
        ("few.npz", {}, "lacks pz, x, y, z, pdg: its fields are px, py"),
        ("few.npz", {"columns": {"pz": "p_z"}}, "pz=p_z is not possible"),
        ("nan.npy", {}, "has a number that is not finite in x"),
        ("text.parquet", {}, "lacks pz"),
        ("text", {}, "is neither a ROOT file nor arrays"),
        ("none.npy", {}, "does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            read_all(tmp_path / name, **said)


@pytest.mark.parametrize("name", ["muonback", "muonback2019"])
def test_numbers_beyond_what_is_written(rows: np.ndarray, tmp_path: Path, name: str) -> None:
    """No infinity comes of 1e200, which no float32 holds; where float64 is stored it stays."""
    far = changed(rows.astype(np.float64), 3, lambda x: np.where(x == x.max(), 1e200, x))
    np.save(tmp_path / "far.npy", far)
    with pytest.raises(InputError, match="x of a muon is too large for x, which is float32"):
        convert_arrays(tmp_path / "far.npy", tmp_path / "out.root", CONVERSIONS[name])
    assert [path.name for path in tmp_path.iterdir()] == ["far.npy"]
    convert_arrays(tmp_path / "far.npy", tmp_path / "wide.root", CONVERSIONS["ttree"])
    assert np.isfinite(read_all(tmp_path / "wide.root")["x"]).all()


@pytest.mark.parametrize("name", ["muons.npz", "muons.root"])
def test_arrays_of_others_are_converted(
    rows: np.ndarray,
    muons: dict[str, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    theirs, out = tmp_path / "theirs.npy", tmp_path / name
    np.save(theirs, rows[:, ::-1])
    words = ["convert", str(theirs), str(out)]
    words += ["--layout", "rntuple"] if name.endswith("root") else []
    assert run(words) == 3
    assert "is not made by `shipgen produce`" in capsys.readouterr().err
    assert run([*words, "--from-columns", "px,py"]) == 3
    assert "an array of 8 columns, and 2 names for them" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [theirs]
    assert run([*words, "--from-columns", ",".join(reversed(ROW)), "--from-unit", "m"]) == 0
    told = capsys.readouterr().err
    assert "it does not say frame: the frame shield assumed" in told
    assert_muons(read_all(out), muons)
    with open_array_muons(out) as found:
        assert (found.provenance or {})["kind"] == "converted-arrays"
        assert "pot" not in (found.provenance or {})
        assert not found.assumed
    # It is no production: nothing is known of its protons.
    assert run(["convert", str(out), str(tmp_path / "again.root")]) == 3


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_flipped_bit_is_read(root: Path, tmp_path: Path, ending: str) -> None:
    """Each kind has checksums: of chunks, pages, members, or all rows."""
    path = tmp_path / f"muons.{ending}"
    convert(root, path, choose_layout(path.name))
    whole, expected = path.read_bytes(), read_all(path)
    random = np.random.default_rng(1)
    refused = 0
    for place in random.integers(0, len(whole), 40).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_all(path)
        except InputError:
            refused += 1
            continue
        # A bit of padding, or of a part that says nothing of the muons.
        for name in ROW:
            np.testing.assert_array_equal(found[name], expected[name])
    assert refused > 20
