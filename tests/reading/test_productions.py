"""Preparing many files: what is left out or skipped, what each gave, caps, interruption."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shipgen_export.reading.prepare
import shipgen_export.reading.read_file
from helpers.muon_files import PROTON, muon_columns, write_cbmsim
from helpers.prepared_samples import same, training
from shipgen.cli import run
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.reading.prepare import prepare
from shipgen_export.sample.sample import PreparedSample

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MUON = (13, 0.5, -0.25, -7000.0, 0.1, 0.2, 20.0, 0.01, 0)


def production(path: Path, weights: list[float], **options: Any) -> Path:
    """Write one muon an event, of the given weights, half of them on-axis."""
    tracks = []
    for number, weight in enumerate(weights):
        muon = (13, 0.5 * (number % 2), *MUON[2:7], weight, 0)
        if not number % 2:
            muon = (13, 0.0, 0.0, *MUON[3:7], weight, 0)
        tracks.append([PROTON, muon])
    return write_cbmsim(path, tracks, [[(1, 13)]] * len(tracks), **options)


@pytest.fixture
def samples(tmp_path: Path) -> list[Path]:
    return [training(tmp_path, number) for number in range(4)]


def test_blacklist(tmp_path: Path, samples: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "black.txt").write_text("s1.root # a bad run\nnever.root\n")
    arguments = ["--blacklist", str(tmp_path / "black.txt"), "--exclude", "s3*", "--cores", "1"]
    assert run(["prepare", str(tmp_path / "s?.root"), "-o", str(tmp_path / "out"), *arguments]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "left out: s1.root (by s1.root)" in out
    assert "left out: s3.root (by s3*)" in out
    assert "warning: 'never.root' is to be left out, but names no file" in out
    index = PreparedSample.open(tmp_path / "out").index
    assert [source["name"] for source in index["sources"]] == ["s0.root", "s2.root"]
    left = prepare([samples[0], samples[2]], tmp_path / "left", cores=1).index
    assert index["categories"] == left["categories"]
    assert index["sources"] == left["sources"]


def bad_files(folder: Path) -> dict[str, Path]:
    """Write a file for each thing that can be wrong with one."""
    good = [0.01] * 40
    files = {
        name: production(folder / f"{name}.root", good, summary={"PoT": 1, "EnergyCut": 10})
        for name in ("truncated", "cut short")
    }
    for name, share in (("truncated", 0.5), ("cut short", 0.995)):
        content = files[name].read_bytes()
        files[name].write_bytes(content[: int(share * len(content))])
    files["no tree"] = write_cbmsim(folder / "no tree.root", [[MUON]], [[(0, 13)]], tree="other")
    files["no hits"] = write_cbmsim(folder / "no hits.root", [[MUON]], [[(0, 13)]], hit_branch="muonPoint")
    files["nan"] = production(folder / "nan.root", [*good, np.nan], summary={"PoT": 2, "EnergyCut": 10})
    files["negative"] = production(folder / "negative.root", [*good, -1], summary={"PoT": 3, "EnergyCut": 10})
    files["spill"] = production(folder / "spill.root", [768.75] * 5, summary={"PoT": 4, "EnergyCut": 10})
    # Too late for the look at the first entries.
    late = [0.01] * 5100 + [768.75]
    files["late"] = production(folder / "late.root", late, summary={"PoT": 5, "EnergyCut": 10})
    files["training"] = training(folder, 7, 50)
    files["text"] = folder / "text.root"
    files["text"].write_text("no ROOT file")
    files["missing"] = folder / "missing.root"
    return files


REASONS = {
    "truncated": "is damaged or truncated",
    "cut short": "is damaged or truncated",
    "no tree": "has no tree that can be read",
    "no hits": r"has no branch PlaneHAPoint\.fTrackID or vetoPoint\.fTrackID",
    "nan": "1 muons have a weight that is NaN or infinite",
    "negative": "1 muons have a negative weight",
    "spill": "mixes normalisations: its weights .up to 768.75. stand not for the POT simulated",
    "late": "mixes normalisations: its weights .up to 768.75. stand not for the POT simulated",
    "training": "their weights cannot be merged",
    "text": "is neither a ROOT file nor arrays",
    "missing": "does not exist",
}


def test_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = production(tmp_path / "first.root", [0.01, 1.0] * 50, summary={"PoT": 100, "EnergyCut": 10})
    last = production(tmp_path / "last.root", [1.0, 1.0] * 30, summary={"PoT": 50, "EnergyCut": 10})
    bad = bad_files(tmp_path)
    assert bad.keys() == REASONS.keys()
    for name, path in bad.items():
        with pytest.raises(InputError, match=REASONS[name]) as error:
            prepare([first, path, last], tmp_path / name, cores=1)
        assert path.name in str(error.value)
        assert len(str(error.value).splitlines()) == 1
        assert not (tmp_path / name).exists()

    files = [first, *bad.values(), last]
    sample = prepare(files, tmp_path / "out", cores=1, skip_bad=True)
    skipped = {entry["name"]: entry["reason"] for entry in sample.index["skipped"]}
    assert skipped.keys() == {path.name for path in bad.values()}
    assert all(path.name in skipped[path.name] for path in bad.values())
    assert str(tmp_path) not in json.dumps(sample.index)
    # What is left is as if the bad files had never been given.
    alone = prepare([first, last], tmp_path / "alone", cores=1)
    assert alone.index["pot"] == 150
    assert {**sample.index, "skipped": []} == alone.index

    assert run(["prepare", *map(str, files), "-o", str(tmp_path / "cli"), "--skip-bad", "--cores", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("\nskipped: ") == len(bad)
    with pytest.raises(InputError, match=r"none of 2 files can be used; the last: .*text\.root is neither a"):
        prepare([bad["no tree"], bad["text"]], tmp_path / "none", skip_bad=True)
    with pytest.raises(InputError, match=r"none of 1 files can be used; the last: .*nan\.root: 1 muons"):
        prepare([bad["nan"]], tmp_path / "none", skip_bad=True)


def test_cores_and_order_of_reading_change_nothing(tmp_path: Path, samples: list[Path]) -> None:
    one = prepare(samples, tmp_path / "1", cores=1, cap=100)
    assert same(one, prepare(samples, tmp_path / "2", cores=2, cap=100))


def test_killed_run_goes_on(tmp_path: Path, shipgen: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    files = [str(training(tmp_path, number, 30_000)) for number in range(6)]
    whole = prepare(files, tmp_path / "whole", cores=1)
    command = [
        sys.executable,
        "-m",
        "shipgen",
        "prepare",
        *files,
        "-o",
        str(tmp_path / "out"),
        "--cores",
        "1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not list((tmp_path / "out.work").glob("*/piece.json")) and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
    done = shipgen("prepare", *files, "-o", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert same(PreparedSample.open(tmp_path / "out"), whole)
    assert not (tmp_path / "out.work").exists()


@pytest.mark.parametrize("after", [1, 3])
def test_interrupted_run_goes_on(
    tmp_path: Path, samples: list[Path], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = prepare(samples, tmp_path / "whole", cores=1)
    made: list[str] = []
    make = shipgen_export.reading.read_file.read_file

    def interrupted(task: Any, *rest: Any) -> Any:
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(task.source.name)
        return make(task, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(shipgen_export.reading.prepare, "read_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(samples, tmp_path / "out", cores=1)
    assert not (tmp_path / "out").exists()
    work = tmp_path / "out.work"
    # What a killed run leaves of a piece is no piece.
    (work / "0123456789abcdef.part").mkdir()
    made.clear()
    again: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            shipgen_export.reading.prepare,
            "read_file",
            lambda task, *rest: again.append(task.source.name) or make(task, *rest),
        )
        sample = prepare(samples, tmp_path / "out", cores=1)
    assert again == [path.name for path in samples[after:]]
    assert same(sample, whole)
    assert not work.exists()


@pytest.fixture
def stopped(tmp_path: Path, samples: list[Path], monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the samples after a run that read them all and was interrupted."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shipgen_export.reading.prepare, "gather", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"read of 4 files is kept in out\.work: run the same"):
            prepare(samples, tmp_path / "out", cores=1)
    return samples


def test_changed_file_is_read_again(tmp_path: Path, stopped: list[Path]) -> None:
    stopped[1].unlink()
    training(tmp_path, 1, 900)
    sample = prepare(stopped, tmp_path / "out", cores=1)
    assert same(sample, prepare(stopped, tmp_path / "other", cores=1))
    assert [source["muons"] for source in sample.index["sources"]] == [600, 900, 600, 600]


def test_other_options_go_on_with_the_work(tmp_path: Path, stopped: list[Path]) -> None:
    # As after a line that asks for --beam: the same output, other options, one file less.
    options: dict[str, Any] = {"beam": "origin", "energy_cut": 5, "cap": 50, "span": 0.5, "cores": 1}
    sample = prepare(stopped[1:], tmp_path / "out", **options)
    assert sample.index["beam"]["choice"] == "origin"
    assert same(sample, prepare(stopped[1:], tmp_path / "other", **options))
    assert not (tmp_path / "out.work").exists()


def test_other_beam_is_read_anew(tmp_path: Path) -> None:
    # A smeared beam: what x and y are relative to depends on the choice.
    proton = (2212, 0.3, 0.1, *PROTON[3:])
    muon = (13, 0.3, 0.1, *MUON[3:])
    path = write_cbmsim(tmp_path / "f.root", [[proton, muon]] * 9, [[(1, 13)]] * 9, summary={"PoT": 9})
    bad = production(tmp_path / "bad.root", [np.nan])
    for beam, category in (("auto", "muminus_onaxis"), ("origin", "muminus_offaxis")):
        with pytest.raises(
            InputError,
            match=r"bad\.root: 1 muons .* what was read of [12] files? is kept in out\.work: a later",
        ):
            prepare([path, bad], tmp_path / "out", beam=beam, cores=1)
        sample = prepare([path], tmp_path / beam, beam=beam, cores=1)
        assert [one.name for one in sample.categories] == [category]
    # Both choices lie in the work; each result is its own.
    assert same(prepare([path], tmp_path / "out", beam="origin", cores=1), sample)


def test_half_read_files_are_taken_away(tmp_path: Path) -> None:
    # What a worker leaves that was stopped when another file failed.
    (tmp_path / "out.work" / "0123456789abcdef.part").mkdir(parents=True)
    (tmp_path / "out.work" / "0123456789abcdef.lock").touch()
    bad = production(tmp_path / "bad.root", [np.nan])
    with pytest.raises(InputError, match=r"leave the file out$"):
        prepare([bad], tmp_path / "out", cores=1)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.root"]


def test_what_each_file_gave(tmp_path: Path, samples: list[Path]) -> None:
    index = prepare(samples, tmp_path / "out", cores=1).index
    for number, source in enumerate(index["sources"]):
        columns = muon_columns(600, seed=number)
        assert source["weights"] == "per POT"
        assert source["weight"] == pytest.approx(columns["weight"].sum(), rel=1e-12)
        for category in CATEGORIES:
            on_axis = (columns["x"] == 0) & (columns["y"] == 0)
            chosen = (columns["pdg"] == category.pdg) & (on_axis == category.on_axis)
            values = np.stack([columns[name][chosen] for name in category.features], 1).astype(np.float32)
            entry = source["categories"][category.name]
            assert entry["muons"] == chosen.sum()
            assert entry["weight"] == pytest.approx(columns["weight"][chosen].sum(), rel=1e-12)
            np.testing.assert_array_equal(entry["minimum"], values.min(0))
            np.testing.assert_array_equal(entry["maximum"], values.max(0))
    for name, entry in index["categories"].items():
        each = [source["categories"][name] for source in index["sources"]]
        np.testing.assert_array_equal(entry["minimum"], np.min([one["minimum"] for one in each], axis=0))
        np.testing.assert_array_equal(entry["maximum"], np.max([one["maximum"] for one in each], axis=0))
        assert entry["normalisation"]["minimum"] == entry["minimum"]


def test_copy_with_another_name(tmp_path: Path, samples: list[Path]) -> None:
    shutil.copy(samples[0], tmp_path / "copy.root")
    with pytest.raises(InputError, match=r"s0\.root and .*copy\.root are the same file"):
        prepare([samples[0], tmp_path / "copy.root"], tmp_path / "out")
    index = prepare([samples[0], tmp_path / "copy.root"], tmp_path / "out", skip_bad=True, cores=1).index
    assert [source["name"] for source in index["sources"]] == ["s0.root"]
