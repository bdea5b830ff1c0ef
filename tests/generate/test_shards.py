"""Shards: their union is the production that was not split, muon for muon, whatever happened to them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from helpers.bundles import write_test_bundle
from helpers.production_runs import provenance, read, run_inside, start  # noqa: F401
from shipgen.errors import InputError
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.shards import Shard
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.merge import merge
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle

N = 700_000


@pytest.fixture(scope="module", name="generator")
def shared_generator(bundle: Bundle) -> MuonGenerator:
    return MuonGenerator(bundle, n=N, seed=1, workers=2)


@pytest.mark.parametrize(
    ("of", "layout", "compression"),
    [
        (1, "muonback", "zstd:1"),
        (2, "ttree", "none"),
        (3, "rntuple", "lz4:1"),
        # More than chunks.
        (5, "muonback", "zstd:1"),
        (4, "rntuple", "zstd:1"),
    ],
)
def test_the_union_of_all_shards_is_the_whole(
    generator: MuonGenerator, tmp_path: Path, of: int, layout: str, compression: str
) -> None:
    chosen = OUTPUT_LAYOUTS[layout]
    options = {"layout": chosen, "compression": compression, "command": "c"}
    produce(generator, tmp_path / "whole.root", **options)  # type: ignore[arg-type]
    paths = [shard.path(tmp_path / "out.root") for shard in Shard.all(of)]
    for shard, path in zip(Shard.all(of), paths, strict=True):
        report = produce(generator, path, shard=shard, **options)  # type: ignore[arg-type]
        first, stop = shard.muons(generator.plan.total)
        assert report.muons == stop - first > 0
        facts = provenance(path)
        assert facts["shard"] == {"number": shard.number, "of": of}
        assert (facts["file"]["first_muon"], facts["muons"]) == (first, stop - first)
    merged = merge(tmp_path / "out.root", paths[::-1], command="m")
    assert [file.location for file in merged.files] == paths
    files = [uproot.open(tmp_path / name) for name in ("whole.root", "out.root")]
    columns = [file[chosen.tree].arrays(library="np") for file in files]
    parts = [uproot.open(path)[chosen.tree].arrays(library="np") for path in paths]
    for name, column in columns[0].items():
        np.testing.assert_array_equal(columns[1][name], column)
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)
    assert str(files[1]["FileSummary"]) == str(files[0]["FileSummary"])
    whole, joined = (provenance(tmp_path / name) for name in ("whole.root", "out.root"))
    assert joined.pop("merged") == {"files": of, "first_command": "c"}
    assert joined.pop("command") == "m"
    if of > len(generator.plan):
        # Chunks were cut; otherwise the clusters are the same bytes in the same places, as their hash says.
        del whole["clusters"], joined["clusters"]
    # The seal covers when a file was written.
    del whole["command"], whole["seal"], joined["seal"]
    assert joined == whole


def test_pot_and_weights_of_shards_add_up(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    options = ("produce", "--pot", "400000123", "--exact", "--seed", 3, "--bundle", bundle.path)
    for number in (1, 2, 3):
        done = inside(*options, "-o", "o.root", "--shard", f"{number}/3")
        assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"o_shard{n}of3.root" for n in (1, 2, 3)]
    facts = [provenance(path) for path in sorted(tmp_path.iterdir())]
    assert sum(fact["pot"] for fact in facts) == pytest.approx(400000123)
    weight = np.float32(400000123 * bundle.rate / round(400000123 * bundle.rate))
    for number, fact in enumerate(facts, 1):
        assert fact["command"].endswith(f"-o o.root --shard {number}/3")
        assert fact["sum_of_weights"] == fact["muons"] * float(weight)
        # Sums of weights over POT are the bundle's rate in each of them.
        assert fact["sum_of_weights"] / fact["pot"] == pytest.approx(bundle.rate, rel=1e-6)
    summaries = [uproot.open(path)["FileSummary"] for path in sorted(tmp_path.iterdir())]
    assert f'"PoT": {facts[0]["pot"]}' in str(summaries[0])


def test_a_killed_shard_is_resumed_and_split_shards_merge(
    inside: Run, bundle: Bundle, tmp_path: Path, generator: MuonGenerator
) -> None:
    options = ("--n", N, "--shard", "2/2", "--max-per-file", 200_000)
    process = start(bundle, tmp_path, *options, stop=(signal.SIGKILL, 2))
    process.communicate(timeout=60)
    # The second shard begins with chunk 1: 200,000 and 62,144 muons are written.
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["out_shard2of2.root.work", "out_shard2of2_000.root"]
    request = ("produce", "-o", "out.root", "--bundle", bundle.path, "--seed", 1, *options)
    assert "was begun and not completed" in inside(*request).stderr
    done = inside(*request, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert "262,144 muons were there from the interrupted run" in done.stdout
    again = inside(*request, "--resume")
    assert "out_shard2of2_000.root to out_shard2of2_002.root is complete" in again.stdout

    inside(*request[:-4], "--shard", "1/2")
    done = inside("merge", "all.root", *tmp_path.glob("out_shard*.root"))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"has {generator.plan.total:,} muons of 4 files" in done.stdout
    pz = np.concatenate([batch.pz for batch in generator])
    np.testing.assert_array_equal(read(tmp_path / "all.root")["pz"], pz)
    # What was merged is the file that the unsharded command asks for.
    told = inside("produce", "--n", N, "-o", "all.root", "--seed", 1, "--bundle", bundle.path, "--resume")
    assert "is complete" in told.stdout


def test_names_sort_and_numbers_are_checked() -> None:
    assert Shard(3, 8).name("out.root") == "out_shard3of8.root"
    assert Shard(3, 128).name("a.b.root") == "a.b_shard003of128.root"
    assert Shard(1, 2).name("out") == "out_shard1of2"
    for text in ("0/8", "9/8", "3", "3/0", "-1/2", "1/2/3", "a/b", "1 / 2"):
        with pytest.raises(InputError, match="I from 1 to N"):
            Shard.parse(text)


def test_every_division_covers_every_muon_once() -> None:
    for total in (1, 5, CHUNK_SIZE, CHUNK_SIZE + 1, 10 * CHUNK_SIZE - 1):
        for of in (1, 2, 3, 5, 10, 11, 64):
            if of > total:
                with pytest.raises(InputError, match=f"{of} shards of {total} muons"):
                    Shard(1, of).muons(total)
                continue
            ends = [shard.muons(total) for shard in Shard.all(of)]
            assert [first for first, _ in ends] == [0, *(stop for _, stop in ends[:-1])]
            assert ends[-1][1] == total
            assert all(first < stop for first, stop in ends)
            if of <= -(-total // CHUNK_SIZE):
                assert all(first % CHUNK_SIZE == 0 for first, _ in ends)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--shard", "3/2", "--seed", 1], 3, "'3/2' is not I/N"),
        (["--shard", "1/2"], 3, "give --seed"),
        (["--shard", "1/2000", "--seed", 1], 3, "ask for fewer shards"),
        (["--shard", "1/2", "--dask", "local"], 2, "give one of them"),
        (["--shards", 4], 2, "go with --dask"),
        (["--jobs", 4], 2, "go with --dask"),
    ],
)
def test_what_cannot_be_a_shard_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = inside("produce", "--n", 1000, "-o", "out.root", "--bundle", bundle.path, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_shards_smaller_than_a_chunk_are_told(inside: Run, bundle: Bundle, tmp_path: Path) -> None:
    done = inside(
        "produce", "--n", 1000, "-o", "o.root", "--bundle", bundle.path, "--seed", 1, "--shard", "2/4"
    )
    assert done.returncode == 0
    assert "warning: 4 shards of 1 chunks" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["o_shard2of4.root"]


def test_weights_of_a_weighted_bundle_add_up(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "bundle", muminus_offaxis={"weighted": True})
    generator = MuonGenerator(bundle, n=400_000, seed=1, workers=2)
    produce(generator, tmp_path / "whole.root")
    paths = [shard.path(tmp_path / "out.root") for shard in Shard.all(2)]
    for shard, path in zip(Shard.all(2), paths, strict=True):
        produce(generator, path, shard=shard)
        facts = provenance(path)
        assert facts["sum_of_weights"] == pytest.approx(read(path)["w"].sum(dtype=float), rel=1e-12)
        assert facts["pot"] == generator.plan.pot * facts["muons"] / generator.plan.total
    merge(tmp_path / "out.root", paths)
    whole, merged = (provenance(tmp_path / name) for name in ("whole.root", "out.root"))
    assert merged["clusters"] == whole["clusters"]
    assert merged["sum_of_weights"] == pytest.approx(whole["sum_of_weights"], rel=1e-14)
    assert merged["sum_of_weights"] != merged["muons"]
