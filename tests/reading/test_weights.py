"""What weights stand for, and what is said where files do not agree or do not say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.flat_files import flat_columns, write_flat
from helpers.muon_files import PROTON, muon_columns, write_cbmsim, write_training
from shipgen.cli import run
from shipgen.errors import InputError
from shipgen_export.reading.prepare import prepare
from shipgen_export.sample.sample import PreparedSample

if TYPE_CHECKING:
    from pathlib import Path


def cbmsim(path: Path, weight: float, **summary: float) -> Path:
    """Write events with one muon of the same weight."""
    path.parent.mkdir(exist_ok=True)
    muon = (13, 0.5, -0.25, -7000.0, 0.1, 0.2, 20.0, weight, 0)
    return write_cbmsim(path, [[PROTON, muon]] * 4, [[(1, 13)]] * 4, summary=summary or None)


def test_files_of_the_same_name_keep_what_each_states(tmp_path: Path) -> None:
    ten, one, silent, ten_too = (
        cbmsim(tmp_path / folder / "x.root", 1.0, **summary)
        for folder, summary in (
            ("a", {"PoT": 1000, "EnergyCut": 10}),
            ("b", {"PoT": 2000, "EnergyCut": 1}),
            ("c", {}),
            ("d", {"PoT": 3000, "EnergyCut": 10}),
        )
    )
    for files in ([ten, one, ten_too], [one, ten]):
        with pytest.raises(
            InputError, match=r"energy cut \(.*/[ab]/x\.root 10? GeV, .*/[ab]/x\.root 10? GeV\)"
        ):
            prepare(files, tmp_path / "out")
    index = prepare([ten, silent, ten_too], tmp_path / "1", cores=1).index
    assert (index["pot"], index["energy_cut"]) == (None, None)
    assert "the POT is not known of x.root (file 2)" in index["warnings"]
    text = "the energy cut is not known of x.root (file 2), the others state 10 GeV"
    assert text in index["warnings"]
    index = prepare([ten, ten_too], tmp_path / "2", cores=1).index
    assert (index["pot"], index["energy_cut"]) == (4000, 10)
    assert not any("not known" in text for text in index["warnings"])


def test_energy_cut_that_the_muons_contradict(tmp_path: Path) -> None:
    path = cbmsim(tmp_path / "f.root", 1.0, PoT=100, EnergyCut=10)
    texts = [
        "\n".join(prepare([path], tmp_path / str(cut), energy_cut=cut, cores=1).index["warnings"])
        for cut in (None, 20, 21)
    ]
    assert ["GeV below the energy cut" in text for text in texts] == [False, False, True]
    assert (
        "muons of 20 GeV below the energy cut of 21 GeV; it is recorded, but leaves no muon out" in texts[2]
    )


def test_pot_as_given_with_skipped_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = [cbmsim(tmp_path / f"{n}.root", 768.75 + n) for n in range(2)]
    bad = tmp_path / "bad.root"
    bad.write_text("no ROOT file")
    arguments = [*map(str, good), str(bad), "--pot", "5e13", "--cores", "1", "--skip-bad"]
    assert run(["prepare", *arguments, "-o", str(tmp_path / "out")]) == 0
    text = "1 of 3 files were skipped: is 5e+13 POT that of the others? If it is that of all files, all rates"
    assert f"warning: {text}" in capsys.readouterr().out
    assert any(entry.startswith(text) for entry in PreparedSample.open(tmp_path / "out").index["warnings"])
    for name, files, pot in (("none", good, 5e13), ("unstated", [*good, bad], None)):
        sample = prepare(files, tmp_path / name, pot=pot, skip_bad=True, cores=1)
        assert not any("skipped" in entry for entry in sample.index["warnings"])


def test_weights_of_the_protons_simulated_beside_those_of_a_spill(tmp_path: Path) -> None:
    spill = cbmsim(tmp_path / "spill.root", 768.75)
    silent = cbmsim(tmp_path / "silent.root", 1.0)
    for files in ([spill, silent], [silent, spill]):
        for pot in (None, 5e13):
            with pytest.raises(InputError, match="mixes normalisations: its weights"):
                prepare(files, tmp_path / "out", pot=pot, cores=1)
    with pytest.raises(InputError, match=r"silent\.root \(up to 1\) for the protons simulated, each muon"):
        prepare([silent, spill], tmp_path / "out")
    # Without muons there is nothing to contradict.
    none = write_cbmsim(tmp_path / "none.root", [[PROTON]], [[]])
    assert prepare([spill, none], tmp_path / "empty", pot=5e13, cores=1).index["pot"] == 5e13
    # Two that state nothing may be of one production.
    boosted = cbmsim(tmp_path / "boosted.root", 0.01)
    index = prepare([silent, boosted], tmp_path / "silent", cores=1).index
    assert not any("differ in their weights" in text for text in index["warnings"])


def test_weights_that_may_be_those_of_a_boosted_channel(tmp_path: Path) -> None:
    # 2018: boosted x 100 of 768.75, charm, and one that may be anything.
    weights = {"all": 768.75, "boosted": 7.6875, "charm": 326.16, "low": 0.01}
    files = [cbmsim(tmp_path / f"{name}.root", weight) for name, weight in weights.items()]
    index = prepare(files, tmp_path / "out", pot=5e13, cores=1).index
    text = next(text for text in index["warnings"] if "differ in their weights" in text)
    for part in ("up to 768.75 in all.root", "up to 7.6875 in boosted.root", "up to 0.01 in low.root"):
        assert part in text
    assert index["pot"] == 5e13
    index = prepare(files[:1], tmp_path / "one", pot=5e13, cores=1).index
    assert not any("differ in their weights" in text for text in index["warnings"])


@pytest.mark.parametrize("weight", [1e308, 1e200, 1e39])
def test_weights_that_cannot_be_added_up(tmp_path: Path, weight: float) -> None:
    columns = {name: values.astype(np.float64) for name, values in flat_columns(40).items()}
    columns["id"] = columns["id"].astype(np.int32)
    columns["w"][:] = weight
    path = write_flat(tmp_path / "f.root", columns, tree="converted_ntuple")
    with pytest.raises(
        InputError, match=r"36 muons have a weight that is NaN or infinite \(or above 3\.4e\+38"
    ):
        prepare([path], tmp_path / "out", cores=1)
    # Of what is no muon it does not matter.
    columns["w"][:] = np.where(columns["id"] == 14, weight, 2.0)
    path = write_flat(tmp_path / "g.root", columns, tree="converted_ntuple")
    index = prepare([path], tmp_path / "out", cores=1).index
    assert index["dropped"] == [{"reason": "not a muon", "muons": 4, "weight": 0.0}]


def test_provenance_of_the_target_is_kept(tmp_path: Path) -> None:
    target = {"name": "simple", "edges": [-7084.5, -7000.0, -6500.0]}
    path = write_training(tmp_path / "f.root", muon_columns(90), target=target)
    index = prepare([path], tmp_path / "out", cores=1).index
    assert index["sources"][0]["provenance"]["target"] == target
