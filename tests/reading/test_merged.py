"""Files that were merged: `hadd` adds up trees, but keeps what each file says of itself as one more cycle."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
import uproot

from helpers.flat_files import flat_columns, write_flat
from helpers.muon_files import PROTON, muon_columns, write_cbmsim, write_training
from shipgen.errors import InputError
from shipgen.files.layouts import PROVENANCE_KEY
from shipgen_export.reading.beam_position import AUTO, look
from shipgen_export.reading.formats.headers import file_header
from shipgen_export.reading.formats.readers import open_source
from shipgen_export.reading.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path

MUON = (13, 0.5, -0.25, -7000.0, 0.1, 0.2, 20.0, 1.0, 0)


def cbmsim(path: Path, *summaries: object) -> Path:
    """Write a file with a cycle of ``FileSummary`` for each of `summaries`."""
    write_cbmsim(path, [[PROTON, MUON]] * 3, [[(1, 13)]] * 3)
    with uproot.update(path) as file:
        for summary in summaries:
            file["FileSummary"] = json.dumps(summary)
    return path


def beams(path: Path, *places: float | None) -> Path:
    """Write events with a prompt muon, the beam at this x; for ``None`` without a track of the beam."""
    tracks: list[Any] = []
    for number, x in enumerate(places):
        muon = (13, x or 0.0, 0.0, -7000.0, 0.1, 0.2, 20.0 + number % 7, 1.0, 0)
        first = (13, *MUON[1:]) if x is None else (2212, x, 0.0, *PROTON[3:])
        tracks.append([first, (*muon[:1], 0.3, *muon[2:]) if x is None else muon])
    return write_cbmsim(path, tracks, [[(1, 13)]] * len(tracks), summary={"PoT": 9, "EnergyCut": 10})


def test_order_of_the_merged_files_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The look ends in the first of the merged files.
    monkeypatch.setattr(look, "__defaults__", (AUTO, 20))
    still, smeared, unknown = [0.0] * 60, [0.1, -0.2] * 30, [None] * 60
    found = {}
    for name, parts in {"ab": (still, smeared), "ba": (smeared, still)}.items():
        path = beams(tmp_path / f"{name}.root", *parts[0], *parts[1])
        index = prepare([path], tmp_path / name, step=25, cores=1).index
        entry = index["categories"]["muminus_onaxis"]
        found[name] = (index["beam"]["case"], index["beam"]["x"]["mean"], entry["muons"], entry["minimum"])
    assert found["ab"] == found["ba"]
    assert found["ab"][0].startswith("smeared")
    assert found["ab"][2] == 120
    for name, parts in {"ac": (smeared, unknown), "ca": (unknown, smeared)}.items():
        path = beams(tmp_path / f"{name}.root", *parts[0], *parts[1])
        index = prepare([path], tmp_path / name, step=25, cores=1).index
        assert index["beam"]["case"].startswith("smeared")
        assert index["categories"].keys() == {"muminus_onaxis"}
        assert index["dropped"][0]["muons"] == 60
        assert "no usable primary track" in index["dropped"][0]["reason"]


def test_primaries_are_asked_of_a_file_without_muons(tmp_path: Path) -> None:
    smeared = beams(tmp_path / "f.root", 0.1, 0.2, 0.3)
    empty = write_cbmsim(
        tmp_path / "empty.root", [[PROTON]] * 5, [[]] * 5, summary={"PoT": 5, "EnergyCut": 10}
    )
    index = prepare([empty, smeared], tmp_path / "out", beam="primary", cores=1).index
    assert (index["pot"], index["categories"]["muminus_onaxis"]["muons"]) == (14, 3)


@pytest.mark.parametrize(
    ("summaries", "pot", "cut", "note"),
    [
        ([{"PoT": 1000, "EnergyCut": 10}, {"PoT": 500, "EnergyCut": 10}], 1500, 10, "merged from 2 files"),
        ([{"PoT": 5, "EnergyCut": 10}] * 3, 15, 10, "merged from 3 files: their POT are added up"),
        ([{"PoT": 5, "EnergyCut": 10}, {"PoT": 5, "EnergyCut": 1}], 10, None, "different energy cuts (1 GeV"),
        ([{"PoT": 5, "EnergyCut": 10}, {"PoT": 5}], 10, None, "(10 GeV, some not stated)"),
        ([{"PoT": 5}, {"EnergyCut": 10}], None, None, "not each of the merged files states its POT"),
        ([{"PoT": 5}, {"PoT": 0}], None, None, "not each of the merged files states its POT"),
        ([{"PoT": 5}, "no object"], None, None, "not each of the merged files states its POT"),
    ],
)
def test_cycles_of_the_summary(
    tmp_path: Path, summaries: list[Any], pot: float | None, cut: float | None, note: str
) -> None:
    source = open_source(cbmsim(tmp_path / "f.root", *summaries))
    assert (source.header.pot, source.header.energy_cut) == (pot, cut)
    assert note in "\n".join(source.header.notes)
    assert source.header.provenance == {
        "FileSummary": [s if isinstance(s, dict) else None for s in summaries]
    }


def test_pot_of_merged_files_is_the_sum(tmp_path: Path) -> None:
    path = cbmsim(tmp_path / "f.root", {"PoT": 1000, "EnergyCut": 10}, {"PoT": 500, "EnergyCut": 10})
    index = prepare([path], tmp_path / "out", cores=1).index
    assert (index["pot"], index["energy_cut"]) == (1500, 10)
    assert "f.root: it was merged from 2 files: their POT are added up" in index["warnings"]


def test_merged_files_of_shipgen_are_refused(tmp_path: Path) -> None:
    training = write_training(tmp_path / "t.root", muon_columns(30), pot=1000)
    produced = write_flat(tmp_path / "p.root", flat_columns(30))
    with uproot.update(training) as file:
        file[PROVENANCE_KEY] = json.dumps({"kind": "training-sample", "pot": 3000})
    with uproot.update(produced) as file:
        # With what another program wrote, too.
        for kind in ("muons", "another"):
            file[PROVENANCE_KEY] = json.dumps({"kind": kind, "pot": 100})
    for path in (training, produced):
        with pytest.raises(InputError, match=rf"{path.name}: it was merged from 2 files by hadd.*give the"):
            prepare([path], tmp_path / "out")


class Named:
    """What uproot makes of a TNamed."""

    def __init__(self, title: str) -> None:
        self.title = title

    def member(self, name: str, *, none_if_missing: bool) -> str:
        assert (name, none_if_missing) == ("fTitle", True)
        return self.title


class File(dict[str, Any]):
    """An open file as uproot gives it."""

    def keys(self, recursive: bool = True) -> list[str]:  # type: ignore[override]
        assert not recursive
        return list(super().keys())


ONE, TWO, BARE = "POT = 1000 with ecut=10.0", "POT = 500 with ecut=10.0", "FairRun"
SUMMARY = '{"PoT": 1000, "EnergyCut": 10}'


@pytest.mark.parametrize(
    ("summaries", "titles", "pot", "note"),
    [
        ([], [ONE], 1000, ""),
        ([], [ONE, TWO], 1500, "merged from 2 files: their POT are added up"),
        # FairShip copies FileHeader twice: one job, or two alike.
        ([], [ONE, ONE], None, "cannot be told"),
        ([], [ONE, BARE], None, "cannot be told"),
        ([], [BARE, BARE], None, ""),
        ([SUMMARY], [ONE], 1000, ""),
        ([SUMMARY], [ONE, ONE], 1000, ""),
        ([SUMMARY], [BARE, ONE], 1000, ""),
        ([SUMMARY], [ONE, TWO], None, "not each of the merged files states its POT"),
        ([SUMMARY, SUMMARY], [ONE, ONE], 2000, "merged from 2 files"),
        ([SUMMARY, SUMMARY], [], 2000, "merged from 2 files"),
        ([SUMMARY, SUMMARY], [ONE, ONE, ONE], None, "not each of the merged files states its POT"),
        (["{}"], [ONE], 1000, "holds no JSON"),
    ],
)
def test_cycles_of_the_header(summaries: list[str], titles: list[str], pot: float | None, note: str) -> None:
    file = File({f"FileHeader;{number}": Named(title) for number, title in enumerate(titles, 1)})
    file.update({f"FileSummary;{number}": text for number, text in enumerate(summaries, 1)})
    header = file_header(file)
    assert header.pot == pot
    assert note in "\n".join(header.notes)
    assert bool(header.notes) == bool(note)


def test_cycles_come_in_their_order() -> None:
    file = File({f"FileHeader;{number}": Named(f"POT = {number}") for number in (11, 10, 9, 2, 1)})
    provenance = file_header(file).provenance
    assert provenance == {"FileHeader": [f"POT = {number}" for number in (1, 2, 9, 10, 11)]}


def test_one_charm_run_among_merged_ones() -> None:
    file = File({"FileHeader;1": Named(ONE), "FileHeader;2": Named("POT equivalent = 4.89E+05 with ecut=10")})
    header = file_header(file)
    assert (header.pot, header.energy_cut, header.spill) == (None, 10, True)


MERGE = """
import json, sys, ROOT
for out, title, files in json.loads(sys.argv[1]):
    merger = ROOT.TFileMerger(False)
    merger.OutputFile(out, "RECREATE")
    for number, path in enumerate(files, 1):
        if title:
            file = ROOT.TFile(path, "update")
            ROOT.TNamed("FileHeader", title % (1000 * number)).Write()
            file.Close()
        merger.AddFile(path)
    if not merger.Merge():
        sys.exit(out)
"""


@pytest.mark.skipif(find_spec("ROOT") is None, reason="ROOT is not installed")
def test_merged_by_root(tmp_path: Path) -> None:
    stated = [cbmsim(tmp_path / f"s{n}.root", {"PoT": 700, "EnergyCut": 10}) for n in range(3)]
    titled = [cbmsim(tmp_path / f"t{n}.root") for n in range(3)]
    training = [write_training(tmp_path / f"u{n}.root", muon_columns(30, n), seed=n) for n in range(2)]
    merged = {tmp_path / "s.root": stated, tmp_path / "t.root": titled, tmp_path / "u.root": training}
    titles = ["", "POT = %d with ecut=10", ""]
    jobs = [
        (str(out), title, [*map(str, files)])
        for (out, files), title in zip(merged.items(), titles, strict=True)
    ]
    # In a process of its own: ROOT warns on import and does not bear TensorFlow beside it.
    command = [sys.executable, "-W", "ignore", "-c", MERGE, json.dumps(jobs)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    files = list(merged)

    sample = prepare(files[:1], tmp_path / "1", cores=1)
    assert (sample.index["pot"], sample.index["energy_cut"]) == (2100, 10)
    assert sample.index["categories"]["muminus_offaxis"]["weight"] == 9
    index = prepare(files[1:2], tmp_path / "2", cores=1).index
    assert (index["pot"], index["energy_cut"]) == (6000, 10)
    texts = index["sources"][0]["provenance"]["FileHeader"]
    assert texts == [f"POT = {n}000 with ecut=10" for n in (1, 2, 3)]
    with pytest.raises(InputError, match=r"u\.root: it was merged from 2 files by hadd"):
        prepare(files[2:], tmp_path / "3")
