"""Productions of arrays: the muons of ROOT files, whole or not there at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shipgen import MuonGenerator, Selection
from shipgen.cli import run
from shipgen.errors import InputError, OutputError
from shipgen.files.arrays.choose import choose_layout
from shipgen.files.arrays.foreign import open_array_muons
from shipgen.files.arrays.write import _Npy
from shipgen.files.convert import convert, open_muons
from shipgen.files.layouts import RNTUPLE
from shipgen.generate.shards import Shard
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce
from shipgen.production.request import Request, carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

N = 1.5 * CHUNK_SIZE
ENDINGS = ("npz", "npy", "h5", "parquet")


@pytest.fixture(scope="module")
def root(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("produced") / "muons.root"
    produce(MuonGenerator(bundle, n=N, seed=1), path, layout=RNTUPLE, compression="lz4:1")
    return path


def content(path: Path) -> dict[str, np.ndarray]:
    with open_array_muons(path) as muons:
        assert not muons.assumed
        pieces = list(muons.pieces())
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def assert_same(path: Path, other: Path) -> None:
    found, expected = content(path), content(other)
    for name, column in expected.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-13, atol=1e-11)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("layout", [None, "shield"])
def test_what_is_produced_is_what_is_converted(
    bundle: Bundle, root: Path, tmp_path: Path, ending: str, layout: str | None
) -> None:
    produced, converted = tmp_path / f"produced.{ending}", tmp_path / f"converted.{ending}"
    chosen = choose_layout(produced.name, layout)
    report = produce(MuonGenerator(bundle, n=N, seed=1), produced, layout=chosen)
    assert convert(root, converted, chosen) == report.muons == sum(report.counts.values())
    assert_same(produced, root)
    with open_muons(produced) as one, open_muons(converted) as other:
        told = dict(other.provenance)
        assert told.pop("converted_from") == "rntuple"
        assert one.provenance == told
        assert one.summary == other.summary
    assert [path.name for path in tmp_path.glob("produced*")] == [produced.name]


def test_shards_and_several_files_are_the_whole(bundle: Bundle, root: Path, tmp_path: Path) -> None:
    layout = choose_layout("m.npy")
    whole = content(root)
    for number in (1, 2, 3):
        produce(
            MuonGenerator(bundle, n=N, seed=1),
            tmp_path / f"part{number}.npy",
            layout=layout,
            shard=Shard(number, 3),
        )
    report = produce(
        MuonGenerator(bundle, n=N, seed=1), tmp_path / "few.npy", layout=layout, max_per_file=150_000
    )
    assert [path.name for path in report.files] == ["few_000.npy", "few_001.npy", "few_002.npy"]
    for paths in (report.files, [tmp_path / f"part{number}.npy" for number in (1, 2, 3)]):
        parts = [content(path) for path in paths]
        for name, column in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), column)


def test_weights_that_differ(bundle: Bundle, tmp_path: Path) -> None:
    generator = MuonGenerator(bundle, n=5000, seed=1, selection=Selection(charge_fraction=0.8))
    report = produce(generator, tmp_path / "m.npz", layout=choose_layout("m.npz"))
    found = content(tmp_path / "m.npz")
    assert report.weight == pytest.approx(found["weight"].sum(), rel=1e-12)
    with open_muons(tmp_path / "m.npz") as muons:
        assert muons.provenance["sum_of_weights"] == report.weight


def test_resumed(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    request = Request(str(path), n=1000, seed=1, bundle=str(bundle.path), layout="shield")
    warnings: list[str] = []
    carry_out(request, warnings.append)
    again = Request(str(path), n=1000, bundle=str(bundle.path), layout="shield", resume=True)
    assert carry_out(again, warnings.append).report.found
    with pytest.raises(InputError, match=r"m\.h5 exists"):
        carry_out(
            Request(str(path), n=2000, seed=1, bundle=str(bundle.path), layout="shield", resume=True),
            warnings.append,
        )
    assert not warnings
    split = {"n": 1000, "seed": 1, "bundle": str(bundle.path), "max_per_file": 300, "resume": True}
    carry_out(Request(str(tmp_path / "s.npy"), **split), warnings.append)
    (tmp_path / "s_001.npy").unlink()
    report = carry_out(Request(str(tmp_path / "s.npy"), **split), warnings.append).report
    assert report.kept == report.muons - 300
    assert len(warnings) == 2
    assert all("made anew" in text for text in warnings)


@pytest.mark.parametrize("split", [None, 600])
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_complete_is_compared_before_it_is_said_to_be(
    bundle: Bundle, tmp_path: Path, ending: str, split: int | None
) -> None:
    """Also where another file is still to be made."""
    name = str(tmp_path / f"m.{ending}")
    request = Request(name, n=1000, seed=1, bundle=str(bundle.path), max_per_file=split, resume=True)
    files = carry_out(request, lambda _: None).report.files
    good = files[0].read_bytes()
    # A number, where it stands as it is: HDF5 has room that it does not use.
    number = good.find(content(files[0])["pz"][0].astype("f4").tobytes())
    place = number if number > 0 else len(good) // 2
    files[0].write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    with pytest.raises(InputError, match=f"{files[0].name} "):
        carry_out(request, lambda _: None)
    for path in files[1:]:
        path.unlink()
        with pytest.raises(InputError, match=f"{files[0].name} "):
            carry_out(request, lambda _: None)
        assert not path.exists()
    files[0].write_bytes(good)
    assert carry_out(request, lambda _: None).report.found == (split is None)


@pytest.mark.parametrize("failure", [OSError(28, "full"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_failure(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(_Npy, "append", fail)
    with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
        produce(MuonGenerator(bundle, n=1000, seed=1), tmp_path / "m.npy", layout=choose_layout("m.npy"))
    assert not list(tmp_path.iterdir())


def test_what_an_interrupt_leaves_is_told(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a file, and those files that are complete."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    request = Request(str(tmp_path / "m.npy"), n=1000, seed=1, exact=True, bundle=str(bundle.path))
    nothing = "nothing was kept, the same command begins anew"
    for kind, name in ((Request, "generator"), (_Npy, "append")):
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, interrupt)
            with pytest.raises(KeyboardInterrupt, match=nothing):
                carry_out(request, print)
    ways = iter((_Npy.append, interrupt))

    def append(*arguments: Any) -> None:
        next(ways)(*arguments)

    monkeypatch.setattr(_Npy, "append", append)
    with pytest.raises(
        KeyboardInterrupt, match="400 of 1,000 muons are kept in complete files: go on by --r"
    ):
        carry_out(replace(request, max_per_file=400), print)
    assert [path.name for path in tmp_path.iterdir()] == ["m_000.npy"]


def test_shards_are_told_to_be_no_files_to_merge(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "m.h5")
    words = [
        "produce",
        "--seed",
        "1",
        "--bundle",
        str(bundle.path),
        "-n",
        "1000",
        "-o",
        out,
        "--shard",
        "1/1",
    ]
    assert run(words) == 0
    assert "warning: `shipgen merge` takes no arrays: concatenate" in capsys.readouterr().err
    for more in ([], ["--list"]):
        assert run(["merge", str(tmp_path / "all.json"), str(tmp_path / "m_shard1of1.h5"), *more]) == 3
        told = capsys.readouterr().err
        assert "m_shard1of1.h5 is a file of arrays (hdf5), and only ROOT files are merged: conc" in told
        assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m_shard1of1.h5"]


def test_what_would_be_no_file_for_its_readers_is_refused(
    bundle: Bundle, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layout of codes of the muon shield is one, and arrays have no choice of a compression."""
    produced = ["produce", "--seed", "1", "--bundle", str(bundle.path), "-n", "1000", "-o"]
    for begin in (produced, ["convert", str(root)]):
        for name, options, message in (
            (
                "m.npz",
                ["--layout", "shield", "--frame", "target"],
                "layout shield is in m, in the frame shield",
            ),
            ("m.h5", ["--layout", "shield", "--unit", "cm"], "leave --layout out for another unit"),
            ("m.npz", ["--compression", "lz4:1"], "compression lz4:1 would be without effect"),
            ("m.npy", ["--compression", "none"], "npy arrays do not; leave it out"),
        ):
            assert run([*begin, str(tmp_path / name), *options]) == 3
            told = capsys.readouterr().err
            assert message in told
            assert told.count("\n") == 1
    assert run(["convert", str(root), str(tmp_path / "m.h5"), "--layout", "shield", "--field", "pdg=id"]) == 3
    assert "with the fields px py pz x y z pdg weight" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    same = ["--layout", "shield", "--frame", "shield", "--unit", "m"]
    for begin in (produced, ["convert", str(root)]):
        assert run([*begin, str(tmp_path / "m.npz"), *same, "--force"]) == 0


def test_command_lines(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["produce", "--seed", "1", "--bundle", str(bundle.path)]
    out = str(tmp_path / "m.npz")
    assert run([*words, "-n", "1000", "-o", out, "--layout", "ttree"]) == 3
    assert run([*words, "-n", "1000", "-o", str(tmp_path / "m.csv")]) == 3
    assert run([*words, "-n", "1000", "-o", str(tmp_path / "m.root"), "--unit", "m"]) == 3
    assert run([*words, "-n", "1000", "--spills", "1", "-o", out]) == 2
    assert run([*words, "-n", "1000", "-o", out, "--dask", "local"]) == 3
    assert not list(tmp_path.iterdir())
    told = capsys.readouterr().err
    for text in (
        "name the file accordingly",
        ".csv is no file of muons",
        "are fixed",
        "say how much",
        "only ROOT",
    ):
        assert text in told
    per_spill = f"{2000 / bundle.rate!r}"
    assert (
        run(
            [
                *words,
                "--spills",
                "2",
                "--protons-per-spill",
                per_spill,
                "-o",
                out,
                "--frame",
                "shield",
                "--unit",
                "m",
            ]
        )
        == 0
    )
    with open_array_muons(tmp_path / "m.npz") as muons:
        assert (muons.unit, muons.target_start) == ("m", -2.14)
        assert abs(len(muons) - 4000) < 400
    assert run(["convert", out, str(tmp_path / "x.h5"), "--layout", "shield"]) == 0
    assert run(["convert", out, str(tmp_path / "x.root")]) == 0
    assert run(["info", str(tmp_path / "x.h5")]) == 0
    assert "frame: shield" in capsys.readouterr().out
