"""Arrays of anybody through `prepare`, `plot` and `validate`: the same muons, whatever holds them."""

from __future__ import annotations

import gzip
import pickle
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.muon_files import muon_columns
from shipgen.errors import InputError
from shipgen.files.layouts import TARGET_START_2018
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
from shipgen_export.reading.formats.array_files import ArrayChoice
from shipgen_export.reading.prepare import prepare
from shipgen_export.validation.plotting.plot import plot
from shipgen_export.validation.samples.samples import Choice, open_sample

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen_export.sample.sample import PreparedSample

N = 900
#: What the codes that optimise the muon shield write, in their order.
ROW = ("px", "py", "pz", "x", "y", "z", "pdg", "weight")
#: z of the target's start in their frame, m.
SHIELD = -2.14


def shield_columns(seed: int = 1, n: int = N) -> dict[str, Any]:
    """Return muons in metres, z = 0 at the shield's entrance, weights of a spill."""
    columns = muon_columns(n, seed)
    found = {name: columns[name] for name in ("px", "py", "pz", "pdg")}
    found |= {name: columns[name] * 0.01 for name in "xy"}
    found["z"] = (columns["z"] - TARGET_START_2018) * 0.01 + SHIELD
    found["weight"] = np.random.default_rng(seed).choice([768.75, 7.6875], n)
    return {name: np.asarray(found[name], np.float64) for name in ROW}


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write a file of arrays as their users do, by its ending."""
    rows = np.stack([columns[name] for name in ROW], 1)
    name = path.name
    if name.endswith(".npy"):
        np.save(path, rows)
    elif name.endswith(".npz"):
        np.savez(path, muons=rows)
    elif name.endswith(".pkl.gz"):
        with gzip.open(path, "wb") as file:
            pickle.dump(rows, file)
    elif name.endswith(".pkl"):
        path.write_bytes(pickle.dumps({"pdg_id" if key == "pdg" else key: columns[key] for key in ROW}))
    elif name.endswith(".h5"):
        import h5py

        with h5py.File(path, "w") as file:
            for key in ROW:
                file[key] = columns[key]
    elif name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(dict(columns)), path)
    else:
        with uproot.recreate(path) as file:
            file["mine"] = dict(columns)
    return path


def check(sample: PreparedSample, columns: Mapping[str, Any]) -> None:
    """Compare with the columns, muon by muon."""
    on_axis = (columns["x"] == 0) & (columns["y"] == 0)
    for category in sample.categories:
        chosen = (columns["pdg"] == category.pdg) & (on_axis == category.on_axis)
        loaded = sample.load(category.name)
        values = {**columns, "z": columns["z"] - SHIELD}
        scale = {"x": 100, "y": 100, "z": 100}
        expected = np.stack([values[name][chosen] * scale.get(name, 1) for name in category.features], 1)
        np.testing.assert_allclose(loaded.features, expected, rtol=2e-6, atol=2e-5)
        np.testing.assert_array_equal(loaded.weights, columns["weight"][chosen])
    assert sum(entry["muons"] for entry in sample.index["categories"].values()) == len(columns["pdg"])


@pytest.mark.parametrize(
    "name",
    [
        "a.npy",
        "a.npz",
        "a.pkl",
        "a.pkl.gz",
        "a.root",
        pytest.param("a.h5", marks=pytest.mark.skipif(find_spec("h5py") is None, reason="no")),
        pytest.param("a.parquet", marks=pytest.mark.skipif(find_spec("pyarrow") is None, reason="no")),
    ],
)
def test_prepare(tmp_path: Path, name: str) -> None:
    columns = shield_columns()
    path = write(tmp_path / name, columns)
    stated = prepare([path], tmp_path / "a", cores=1, arrays=ArrayChoice("m", "shield"))
    check(stated, columns)
    index = stated.index
    assert (index["pot"], index["target_start"], index["target_start_assumed"]) == (None, 0, False)
    assert index["sources"][0]["kind"] == "arrays"
    assert index["sources"][0]["weights"] == "not for the POT simulated, for a spill perhaps"
    assert not [text for text in index["warnings"] if "assumed" in text or "unit may be" in text]
    # The same where nothing is said, but for the word of it; no folder of this machine is stored.
    assumed = prepare([path], tmp_path / "b", cores=1, pot=5e13)
    check(assumed, columns)
    assert assumed.index["pot"] == 5e13
    text = f"{name}: it does not say unit and frame: lengths in m and the frame shield assumed"
    assert text in assumed.index["warnings"]
    assert str(tmp_path) not in str(assumed.index)


@pytest.mark.parametrize(
    ("choice", "change", "says"),
    [
        (ArrayChoice("cm", "shield"), {}, "its unit may be m, not cm"),
        (ArrayChoice("m", "target"), {}, "before the target's start: the frame may be shield"),
        (ArrayChoice("m", "shield"), {"pdg": -1.0}, "charges may have the wrong sign"),
        (ArrayChoice("m", "shield"), {"x": 100.0, "y": 100.0, "z": 100.0}, "its unit may be cm, not m"),
    ],
)
def test_wrong_guesses_are_noticed(
    tmp_path: Path, choice: ArrayChoice, change: dict[str, float], says: str
) -> None:
    columns = shield_columns(n=3000)
    # Protons make more positive muons.
    columns["pdg"][::4] = -13
    columns = {name: values * change.get(name, 1.0) for name, values in columns.items()}
    index = prepare([write(tmp_path / "a.npy", columns)], tmp_path / "out", cores=1, arrays=choice).index
    assert any(says in text for text in index["warnings"]), index["warnings"]


def test_columns_in_another_order(tmp_path: Path) -> None:
    columns = shield_columns()
    order = ("pdg", "weight", "x", "y", "z", "px", "py", "pz")
    np.save(tmp_path / "a.npy", np.stack([columns[name] for name in order], 1))
    check(
        prepare([tmp_path / "a.npy"], tmp_path / "out", cores=1, arrays=ArrayChoice("m", "shield", order)),
        columns,
    )


class Evil:
    """Runs something when it is unpickled by Python."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("/tmp/shipgen-was-here", "w"))  # noqa: S108 (never made)


@pytest.mark.parametrize("content", [Evil(), [np.zeros(3), Evil()], {"px": Evil()}])
def test_hostile_pickles_run_nothing(tmp_path: Path, content: object) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    for read in (
        lambda: prepare([tmp_path / "a.pkl"], tmp_path / "out", cores=1),
        lambda: plot([tmp_path / "a.pkl"], tmp_path / "a.png"),
        lambda: open_sample(tmp_path / "a.pkl", Choice(10, 10, 1)).__enter__(),
    ):
        with pytest.raises(InputError, match=r"a\.pkl"):
            read()
    assert not (tmp_path / "out").exists()


def test_produced_arrays_state_all(bundle: Bundle, tmp_path: Path) -> None:
    """Files of shipgen's own in arrays and RNTuples need no word of their user; a wrong one is refused."""
    from shipgen.files.convert import convert

    produce(MuonGenerator(bundle, n=2000, seed=1), tmp_path / "m.root")
    first = prepare([tmp_path / "m.root"], tmp_path / "first", cores=1).index
    convert(tmp_path / "m.root", tmp_path / "m.npz", layout="npz")
    convert(tmp_path / "m.root", tmp_path / "n.root", layout="rntuple")
    for name in ("m.npz", "n.root"):
        index = prepare([tmp_path / name], tmp_path / name.replace(".", "-"), cores=1).index
        assert index["pot"] == first["pot"]
        assert index["energy_cut"] == first["energy_cut"]
        weights = {name: entry["weight"] for name, entry in index["categories"].items()}
        assert weights == {name: entry["weight"] for name, entry in first["categories"].items()}
        assert any("drawn from networks" in text for text in index["warnings"])
        with pytest.raises(InputError, match=r"says that its lengths are in cm, not m"):
            prepare([tmp_path / name], tmp_path / "out", cores=1, arrays=ArrayChoice("m"))


def test_what_is_said_of_other_files_is_refused(tmp_path: Path) -> None:
    from helpers.muon_files import write_training

    path = write_training(tmp_path / "t.root", muon_columns(30))
    with pytest.raises(
        InputError, match=r"t\.root is a sample of .*, whose columns, unit and frame are fixed"
    ):
        prepare([path], tmp_path / "out", cores=1, arrays=ArrayChoice("m"))
    array = write(tmp_path / "a.npy", shield_columns())
    with pytest.raises(InputError, match="give --frame, not --target-start"):
        prepare([array], tmp_path / "out", cores=1, target_start=-7084.5)


def test_validate_and_plot(shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Foreign arrays against muons of another format; a region is answered on the terminal."""
    write(tmp_path / "a.npz", shield_columns(1, 4000))
    write(tmp_path / "b.root", shield_columns(2, 4000))
    usual = ("--forms", "none", "--no-pictures", "--workers", 1, "--region", "p > 20 and pt > 0.3")
    done = shipgen("validate", "a.npz", "b.root", "-o", "r", "--unit", "m", "--frame", "shield", *usual)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    start = next(
        i for i, line in enumerate(lines) if "in the region p > 20 and pt > 0.3: generated, ref" in line
    )
    assert lines[start + 1].startswith("    mu+ on axis")
    assert lines[start + 5].startswith("    together")
    assert "sigma" in lines[start + 5]
    assert "none of" in done.stdout
    # In other units nothing is compared, unless it is asked for.
    wrong = ("validate", "a.npz", "b.root", "-o", "s", "--force", *usual)
    columns = shield_columns(1, 4000)
    np.savez(
        tmp_path / "a.npz",
        muons=np.stack([columns[n] * (1000 if n[0] == "p" and n != "pdg" else 1) for n in ROW], 1),
    )
    done = shipgen(*wrong)
    assert done.returncode == InputError.exit_code
    assert (
        "above the beam's 400 GeV: it is in other units (MeV); nothing is compared; --ignore-units"
        in done.stderr
    )
    done = shipgen(*wrong, "--ignore-units")
    assert done.returncode == 0, done.stderr
    assert "note: p of a.npz is typically" in done.stdout
    done = shipgen("plot", "a.npz", "-o", "a.png", "--unit", "m", "--frame", "shield")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
