"""`shipgen merge`: what is wrong with a set of shards is named, and lists are read by ROOT."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.bundles import write_test_bundle
from helpers.production_runs import provenance, read, run_inside  # noqa: F401
from shipgen.files.convert import convert
from shipgen.files.layouts import MUONBACK_2019, RNTUPLE
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.shards import Shard
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle

N = 3_000


def make(
    folder: Path, bundle: Bundle | Path, of: int = 3, name: str = "out.root", **options: Any
) -> list[Path]:
    """Make all shards of a small production."""
    wanted = {name: options.pop(name) for name in ("layout", "compression") if name in options}
    generator = MuonGenerator(bundle, **{"n": N, "seed": 1, "workers": 1, **options})
    paths = [shard.path(folder / name) for shard in Shard.all(of)]
    for shard, path in zip(Shard.all(of), paths, strict=True):
        produce(generator, path, shard=shard, **wanted)
    return paths


@pytest.fixture(scope="module", name="made")
def made_shards(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make(tmp_path_factory.mktemp("shards"), bundle)


@pytest.fixture(name="shards")
def copied_shards(made: list[Path], tmp_path: Path) -> list[Path]:
    (tmp_path / "in").mkdir()
    return [Path(shutil.copy(path, tmp_path / "in")) for path in made]


def refused(inside: Run, folder: Path, paths: list[Path], *options: object) -> str:
    """Merge what must not be merged; nothing may come of it."""
    before = sorted(folder.iterdir())
    for extra, name in (((), "all.root"), (("--list",), "all.json")):
        done = inside("merge", name, *paths, *extra, *options)
        assert done.returncode == 3
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert sorted(folder.iterdir()) == before
    return done.stderr


def test_a_missing_shard(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    assert "missing: shard 2/3" in refused(inside, tmp_path, [shards[0], shards[2]])
    assert "missing: shard 1/3, shard 3/3" in refused(inside, tmp_path, shards[1:2])
    shards[0].unlink()
    told = refused(inside, tmp_path, shards)
    assert "out_shard1of3.root does not exist: give ROOT files of `shipgen produce`" in told


def test_a_quoted_glob(inside: Run, shards: list[Path]) -> None:
    assert inside("merge", "list.txt", "--list", shards[0].parent / "out_shard*of3.root").returncode == 0
    done = inside("merge", "all.root", "none*.root")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "none*.root" in done.stderr


def test_a_list_of_jobs(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    """File, first entry and number of entries, as FairShip's scripts take them: all entries, each once."""
    assert inside("merge", "jobs.txt", "--list", "--per-job", "400", *shards).returncode == 0
    jobs = [line.split() for line in (tmp_path / "jobs.txt").read_text().splitlines()]
    assert len(jobs) > len(shards)
    assert max(int(number) for _, _, number in jobs) == 400
    for shard in shards:
        parts = [(int(first), int(number)) for file, first, number in jobs if file == str(shard.absolute())]
        with uproot.open(shard) as file:
            entries = file["pythia8-Geant4"].num_entries
        assert [first for first, _ in parts] == list(range(0, entries, 400))
        assert sum(number for _, number in parts) == entries
    assert "let it end in .txt" in inside("merge", "jobs.json", "--list", "--per-job", "10", *shards).stderr
    assert "--per-job goes with --list" in inside("merge", "b.root", "--per-job", "10", *shards).stderr


def test_jobs_of_files_whose_last_entry_ends_the_run(inside: Run, tmp_path: Path, bundle: Bundle) -> None:
    produce(MuonGenerator(bundle, n=250, seed=1, exact=True), tmp_path / "m.root", layout=MUONBACK_2019)
    assert inside("merge", "jobs.txt", "--list", "--per-job", "100", "m.root").returncode == 0
    numbers = [line.split()[1:] for line in (tmp_path / "jobs.txt").read_text().splitlines()]
    assert numbers == [["0", "100"], ["100", "100"], ["200", "49"]]


def test_a_doubled_shard(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    again = shutil.copy(shards[1], tmp_path / "copy.root")
    told = refused(inside, tmp_path, [*shards, again])
    assert "out_shard2of3.root and" in told
    assert "hold shard 2/3" in told
    assert "give each shard once" in told


def test_a_shard_that_was_made_twice_in_other_divisions(
    inside: Run, bundle: Bundle, tmp_path: Path, shards: list[Path]
) -> None:
    """The same muons in shards of two divisions; what fits together is merged, whatever the division."""
    halves = make(tmp_path, bundle, of=2, name="half.root")
    assert "hold the same muons" in refused(inside, tmp_path, [*shards[:2], halves[1]])
    sixths = make(tmp_path, bundle, of=6, name="six.root")
    assert inside("merge", "all.root", *shards[:2], *sixths[4:]).returncode == 0
    pz = np.concatenate([batch.pz for batch in MuonGenerator(bundle, n=N, seed=1)])
    np.testing.assert_array_equal(read(tmp_path / "all.root")["pz"], pz)
    (tmp_path / "all.root").unlink()
    assert "missing: muons 2,425 to 2,909 of 2,910" in refused(inside, tmp_path, [*shards[:2], sixths[4]])


def test_a_truncated_shard(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    content = shards[1].read_bytes()
    for length in (len(content) - 1, len(content) // 2, 300, 0):
        shards[1].write_bytes(content[:length])
        told = refused(inside, tmp_path, shards)
        assert "out_shard2of3.root is" in told
        assert "damaged or truncated" in told or "neither a ROOT file nor arrays" in told


def test_a_flipped_bit(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    """The hash tells, when muons are copied or by --check; a list alone does not read them."""
    content = bytearray(shards[2].read_bytes())
    content[15_000] ^= 1
    shards[2].write_bytes(content)
    done = inside("merge", "all.root", *shards)
    assert done.returncode == 3
    assert "out_shard3of3.root is damaged, its hash is not the one it states" in done.stderr
    done = inside("merge", "all.json", "--list", "--check", *shards)
    assert done.returncode == 3
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert inside("merge", "all.json", "--list", *shards).returncode == 0


def test_shards_of_two_productions(inside: Run, bundle: Bundle, tmp_path: Path, shards: list[Path]) -> None:
    other = write_test_bundle(tmp_path / "bundle", muplus_onaxis={"factor": 0.5})
    cases: dict[str, dict[str, Any]] = {
        "the bundle differs: test and test (another of that name)": {"bundle": other},
        "the seed differs: 1 and 2": {"seed": 2},
        "the exact differs: False and True": {"exact": True},
        "the plan's number of muons differs": {"n": 4000},
        "the layout differs: muonback and rntuple": {"layout": RNTUPLE},
        "the compression differs: ZSTD(1) and LZ4(4)": {"compression": "lz4:4"},
    }
    for number, (message, options) in enumerate(cases.items()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        others = make(folder, options.pop("bundle", bundle), **options)
        assert message in refused(inside, tmp_path, [*shards[:2], others[2]])


def test_files_that_are_no_shards(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    convert(shards[1], tmp_path / "converted.root", "ttree")
    (tmp_path / "text.root").write_text("text")
    with uproot.recreate(tmp_path / "other.root") as file:
        file["shipgen"] = json.dumps({"kind": "training-sample"})
    with uproot.recreate(tmp_path / "older.root") as file:
        file["shipgen"] = json.dumps({"kind": "muons", "layout": "muonback", "muons": 1})
    messages = {
        "converted.root": "is converted: give files as this",
        "text.root": "is neither a ROOT file nor arrays",
        "other.root": "not made by `shipgen produce`",
        "older.root": "from another version of shipgen",
        ".": "is a folder",
    }
    for name, message in messages.items():
        assert message in refused(inside, tmp_path, [shards[0], tmp_path / name, shards[2]])


def test_a_file_rewritten_by_another_program(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    """What ROOT or uproot copied says the same of itself, but its clusters are not those."""
    with uproot.open(shards[1]) as file, uproot.recreate(tmp_path / "copy.root") as copy:
        tree = file["pythia8-Geant4"]
        columns = tree.arrays(library="np")
        copy["pythia8-Geant4"] = {"id": columns["id"]}
        copy.mktree("other", {name: column.dtype for name, column in columns.items()})
        for key in ("shipgen", "FileSummary"):
            copy[key] = str(file[key])
    done = inside("merge", "all.root", shards[0], "copy.root", shards[2])
    assert done.returncode == 3
    assert "copy.root" in done.stderr
    assert not (tmp_path / "all.root").exists()


def test_outputs_that_cannot_be(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    (tmp_path / "all.root").write_text("mine")
    assert "--force to replace it" in inside("merge", "all.root", *shards).stderr
    assert (tmp_path / "all.root").read_text() == "mine"
    assert inside("merge", "all.root", *shards, "--force").returncode == 0
    told = inside("merge", shards[0], *shards, "--force")
    assert "is one of the files to merge" in told.stderr
    assert "let it end in .json or .txt" in inside("merge", "all.csv", "--list", *shards).stderr
    assert "--check goes with --list" in inside("merge", "b.root", "--check", *shards).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.root", "in"]


def test_a_manifest_says_what_is_there(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    done = inside("merge", "all.json", "--list", "--check", *shards[::-1])
    assert (done.returncode, done.stderr) == (0, "")
    manifest = json.loads((tmp_path / "all.json").read_text())
    facts = [provenance(path) for path in shards]
    assert [entry["file"] for entry in manifest["files"]] == [f"in/{path.name}" for path in shards]
    for entry, fact, path in zip(manifest["files"], facts, shards, strict=True):
        assert {name: entry[name] for name in ("muons", "counts", "sum_of_weights", "pot", "clusters")} == {
            name: fact[name] for name in ("muons", "counts", "sum_of_weights", "pot", "clusters")
        }
        assert entry["bytes"] == path.stat().st_size
    for name in ("muons", "pot", "sum_of_weights", "bytes"):
        assert manifest[name] == pytest.approx(sum(entry[name] for entry in manifest["files"]), rel=1e-12)
    # The manifest names the files from wherever it is read, and notices others.
    assert inside("merge", "sub.json", "--list", "all.json").returncode == 0
    assert inside("merge", "all.root", "all.json").returncode == 0
    assert len(read(tmp_path / "all.root")["id"]) == manifest["muons"]
    manifest["files"][1]["clusters"]["xxh3"] = "0" * 16
    (tmp_path / "all.json").write_text(json.dumps(manifest))
    told = inside("merge", "b.root", "all.json")
    assert "is not the file that all.json names" in told.stderr
    (tmp_path / "all.json").write_text("{}")
    assert "all.json is no manifest" in inside("merge", "b.root", "all.json").stderr


ROOT_PROGRAM = """
import sys
import ROOT
frame = ROOT.RDF.Experimental.FromSpec("all.json")
files = ROOT.TFileCollection("files", "", "all.txt")
chain = ROOT.TChain("pythia8-Geant4")
chain.AddFileInfoList(files.GetList())
print(frame.Count().GetValue(), repr(frame.Sum("pz").GetValue()), chain.GetEntries())
"""


def test_lists_are_read_as_a_chain(inside: Run, tmp_path: Path, shards: list[Path]) -> None:
    for name in ("all.json", "all.txt"):
        assert inside("merge", name, "--list", *shards[::-1]).returncode == 0
    files = (tmp_path / "all.txt").read_text().splitlines()
    pz = np.concatenate([read(path)["pz"] for path in shards])
    found = uproot.concatenate([f"{file}:pythia8-Geant4" for file in files], ["pz"], library="np")
    np.testing.assert_array_equal(found["pz"], pz)
    done = subprocess.run(
        [sys.executable, "-c", ROOT_PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )
    count, total, entries = done.stdout.split()
    assert int(count) == int(entries) == len(pz)
    assert float(total) == pytest.approx(pz.sum(dtype=float), rel=1e-9)
