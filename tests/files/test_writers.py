from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from shipgen.errors import InputError, OutputError
from shipgen.files.compressions import parse_compression
from shipgen.files.layouts import MUONBACK, TRAINING
from shipgen.files.outputs import complete_folder
from shipgen.files.tree_writer import RootWriter

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(1)


def columns(n: int) -> dict[str, np.ndarray]:
    return {
        "pdg": RNG.choice(np.array([-13, 13], np.int32), n),
        **{name: RNG.normal(size=n).astype(np.float32) for name in ("x", "y", "px", "py")},
        "z": RNG.uniform(-7084, -6600, n).astype(np.float32),
        "pz": RNG.uniform(10, 300, n).astype(np.float32),
        "weight": np.full(n, 0.5, np.float32),
    }


def write(path: Path, *batches: dict[str, np.ndarray], **options: object) -> None:
    with RootWriter(
        path,
        MUONBACK,
        constants={"energy_cut": 10.0},
        target_start=-7084.5,
        **options,  # type: ignore[arg-type]
    ) as writer:
        for batch in batches:
            writer.extend(batch)
        writer.write_json("FileSummary", {"PoT": 5.0})


@pytest.mark.parametrize("compression", ["none", "zstd:1", "lz4:1", "zlib:1", "lzma:1"])
def test_muonback_round_trip(tmp_path: Path, compression: str) -> None:
    batches = [columns(n) for n in (1000, 1, 250)]
    write(tmp_path / "out.root", *batches, compression=compression)
    with uproot.open(tmp_path / "out.root") as file:
        assert file.classnames(cycle=False) == {"pythia8-Geant4": "TTree", "FileSummary": "TObjString"}
        assert json.loads(str(file["FileSummary"])) == {"PoT": 5.0}
        tree = file["pythia8-Geant4"]
        assert [branch.typename for branch in tree.branches] == ["float"] * 11
        read = tree.arrays(library="np")
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    np.testing.assert_array_equal(read["id"], whole["pdg"])
    np.testing.assert_array_equal(read["pythiaid"], whole["pdg"])
    np.testing.assert_array_equal(read["parentid"], 0)
    np.testing.assert_array_equal(read["ecut"], 10)
    np.testing.assert_array_equal(read["w"], 0.5)
    for name in ("px", "py", "pz"):
        np.testing.assert_array_equal(read[name], whole[name])
    for name in ("x", "y"):
        np.testing.assert_allclose(read[name], whole[name] / 100, rtol=2e-7)
    # Target at -70.845 m in the file; float32 resolves 8e-6 m there.
    np.testing.assert_allclose(read["z"], (whole["z"].astype(float) + 7084.5) / 100 - 70.845, atol=8e-6)


def test_more_baskets_than_announced(tmp_path: Path) -> None:
    """Thirty batches with room for ten: the header is rewritten, nothing is lost."""
    batches = [columns(20) for _ in range(30)]
    write(tmp_path / "out.root", *batches)
    pz = uproot.open(tmp_path / "out.root")["pythia8-Geant4"]["pz"].array(library="np")
    np.testing.assert_array_equal(pz, np.concatenate([batch["pz"] for batch in batches]))


def test_training_layout_keeps_types(tmp_path: Path) -> None:
    batch = columns(100)
    extra = {"parent": np.full(100, 211), "process": np.zeros(100, int), "proton": np.arange(100) + 2**40}
    with RootWriter(tmp_path / "out.root", TRAINING, target_start=-7084.5) as writer:
        writer.extend({**batch, **extra, "weight": batch["weight"].astype(float) * 1e-7})
    read = uproot.open(tmp_path / "out.root")["muons"].arrays(library="np")
    assert read["weight"].dtype == np.float64
    np.testing.assert_array_equal(read["proton"], extra["proton"])
    np.testing.assert_array_equal(read["z"], batch["z"])


def test_nothing_is_left_by_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RootWriter(tmp_path / "out.root", MUONBACK, target_start=0.0) as writer:
        writer.extend(columns(10))  # no energy cut
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.root"
    write(path, columns(10))
    old = path.read_bytes()
    with pytest.raises(RuntimeError), RootWriter(path, MUONBACK, target_start=0.0, force=True):
        raise RuntimeError
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "out.root"
    write(path, columns(1))
    with pytest.raises(InputError, match="--force"):
        write(path, columns(1))
    with pytest.raises(InputError, match="does not exist"):
        write(tmp_path / "no" / "out.root", columns(1))
    with pytest.raises(InputError, match="is a folder"):
        write(tmp_path, columns(1), force=True)


@pytest.mark.parametrize("text", ["zip", "zstd:0", "zstd:x", "lz4:13", "zstd:-1", "", "none:1"])
def test_unknown_compression(text: str) -> None:
    with pytest.raises(InputError, match="choose none or zstd:1 to zstd:22"):
        parse_compression(text)


def test_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(OutputError, match="no space left while writing"):
            write(tmp_path / "out.root", columns(50_000), compression="none")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_replacement_was_killed_is_there_again(tmp_path: Path) -> None:
    """Between the two renames nothing has the name; what is there already is never lost."""
    path, old = tmp_path / "folder", tmp_path / "folder.old"
    old.mkdir()
    (old / "index.json").write_text("{}")
    with pytest.raises(InputError, match="--force"), complete_folder(path, index="index.json"):
        raise AssertionError
    assert (path / "index.json").is_file()
    old.mkdir()
    with pytest.raises(RuntimeError), complete_folder(path, index="index.json", force=True):
        raise RuntimeError
    assert (path / "index.json").is_file()
    with complete_folder(path, index="index.json", force=True) as part:
        (part / "index.json").write_text("[]")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
    assert (path / "index.json").read_text() == "[]"
