"""`shipgen prepare`: what reaches the prepared sample, what it says, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.muon_files import PROTON, muon_columns, write_cbmsim, write_training
from shipgen.cli import run
from shipgen.errors import InputError
from shipgen.files.layouts import TARGET_START_2018, VARIATION_COLUMNS
from shipgen.muons.categories import CATEGORIES, category_of
from shipgen_export.reading.prepare import prepare
from shipgen_export.reading.read_file import FileTally, clean
from shipgen_export.sample.sample import PreparedSample

if TYPE_CHECKING:
    from pathlib import Path

MUON = (13, 0.5, -0.25, -7000.0, 0.1, 0.2, 20.0, 0.01, 0)


def cbmsim(path: Path, tracks: list[tuple[float, ...]], **options: Any) -> Path:
    """Write one muon an event behind the proton, each with its hit."""
    return write_cbmsim(
        path, [[PROTON, track] for track in tracks], [[(1, int(track[0]))] for track in tracks], **options
    )


def joined(sample: PreparedSample, what: str) -> Any:
    """Return an array of all categories end to end."""
    return np.concatenate([getattr(sample.load(category.name), what) for category in sample.categories])


def test_categories() -> None:
    x = np.array([0.0, -0.0, 0.0, 1e-30, 0.0, 0.0])
    y = np.array([0.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    pdg = np.array([-13, 13, -13, 13, 211, 0])
    assert category_of(pdg, x, y).tolist() == [0, 1, 2, 3, -1, -1]


def test_muons_that_cannot_survive_have_no_weight(tmp_path: Path) -> None:
    """In float32 both are 0, as they are in samples of some million muons."""
    columns = muon_columns(2000)
    columns["survival"] = np.full(2000, 0.5, np.float32)
    columns["survival"][7] = columns["weight"][7] = 0
    file = write_training(tmp_path / "f.root", columns, survival="the weights contain it")
    prepared = prepare([file], tmp_path / "out", survival="out")
    assert len(joined(prepared, "weights")) == 1999
    assert joined(prepared, "weights").sum() == pytest.approx(
        2 * columns["weight"].sum(dtype=float), rel=1e-6
    )


def test_survival_is_taken_out(tmp_path: Path) -> None:
    """The weights are those in front of the absorber; FairShip's muons have left it."""
    columns = muon_columns(2000)
    columns["survival"] = np.linspace(0.25, 1, 2000).astype(np.float32)
    file = write_training(tmp_path / "f.root", columns, survival="the weights contain it")
    inside = prepare([file], tmp_path / "in")
    outside = prepare([file], tmp_path / "out", survival="out")
    assert (inside.index["survival"], outside.index["survival"]) == ("in", "out")
    np.testing.assert_array_equal(joined(outside, "group"), joined(inside, "group"))
    place = category_of(columns["pdg"], columns["x"], columns["y"])
    survival = np.concatenate([columns["survival"][place == number] for number in range(4)])
    np.testing.assert_allclose(joined(outside, "weights"), joined(inside, "weights") / survival)
    silent = write_training(tmp_path / "silent.root", columns)
    with pytest.raises(InputError, match=r"silent\.root does not state the survival"):
        prepare([silent], tmp_path / "none", survival="out")
    with pytest.raises(InputError, match="holds muons that have left the absorber"):
        prepare([cbmsim(tmp_path / "g.root", [MUON])], tmp_path / "none", survival="out")
    with pytest.raises(InputError, match="no survival 'both': choose from in, out"):
        prepare([file], tmp_path / "none", survival="both")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("cap", [None, 300])
def test_variations_arrive_beside_the_weights(tmp_path: Path, cap: int | None) -> None:
    """Each muon keeps its own factors, whether or not a cap leaves others out."""
    columns = muon_columns(3000)
    rng = np.random.default_rng(4)
    factors = {name: rng.uniform(0.5, 2, 3000).astype(np.float32) for name in VARIATION_COLUMNS}
    columns["weight"] = factors["vary_charm"].astype(np.float64) * 1e-4
    files = [write_training(tmp_path / "a.root", columns | factors)]
    sample = prepare(files, tmp_path / "out", cap=cap, step=700)
    place = category_of(columns["pdg"], columns["x"], columns["y"])
    for number, category in enumerate(sample.categories):
        found = sample.variations(category.name)
        muons = sample.load(category.name)
        assert tuple(found) == VARIATION_COLUMNS
        assert {len(values) for values in found.values()} == {len(muons.weights)}
        # The weight tells which muon it is.
        ratio = muons.weights / found["vary_charm"]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
        if cap is None:
            for name, values in found.items():
                np.testing.assert_array_equal(values, factors[name][place == number])
    file = tmp_path / "out" / f"{sample.categories[0].name}.variations.npy"
    file.unlink()
    with pytest.raises(InputError, match=r"variations\.npy is missing"):
        sample.variations(sample.categories[0].name)


def test_files_without_variations_have_none(tmp_path: Path) -> None:
    sample = prepare([cbmsim(tmp_path / "g.root", [MUON])], tmp_path / "out")
    assert sample.variations(sample.categories[0].name) == {}


def test_muons_arrive_whole(tmp_path: Path) -> None:
    columns = muon_columns(3000)
    sample = prepare([write_training(tmp_path / "f.root", columns)], tmp_path / "out", step=700)
    assert sample.categories == CATEGORIES
    for category in CATEGORIES:
        on_axis = (columns["x"] == 0) & (columns["y"] == 0)
        chosen = (columns["pdg"] == category.pdg) & (on_axis == category.on_axis)
        loaded = sample.load(category.name)
        expected = np.stack([columns[name][chosen] for name in category.features], 1).astype(np.float32)
        np.testing.assert_array_equal(loaded.features, expected)
        np.testing.assert_array_equal(loaded.weights, columns["weight"][chosen])
        np.testing.assert_array_equal(loaded.group, columns["proton"][chosen])
        np.testing.assert_array_equal(loaded.normalisation.minimum, expected.min(0))
        np.testing.assert_array_equal(loaded.normalisation.maximum, expected.max(0))
        assert sample.index["categories"][category.name]["muons"] == chosen.sum()
    facts = sample.index
    assert (facts["pot"], facts["weight_unit"], facts["energy_cut"]) == (1.0, "per POT", 10.0)
    assert (facts["target_start"], facts["target_start_assumed"]) == (TARGET_START_2018, False)
    assert facts["dropped"] == facts["warnings"] == []


def test_muons_of_a_proton_are_in_one_part(tmp_path: Path) -> None:
    sample = prepare([write_training(tmp_path / "f.root", muon_columns(3000))], tmp_path / "out")
    pairs = np.unique(np.stack([joined(sample, "group"), joined(sample, "split")]), axis=1)
    assert len(pairs[0]) == len(np.unique(pairs[0])) == 1000


def test_result_does_not_depend_on_the_step(tmp_path: Path) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(2000))
    indices = [prepare([path], tmp_path / str(step), step=step).index for step in (123, "64 MB")]
    # The hashes of the arrays are among what is equal.
    assert indices[0] == indices[1]


def test_training_samples_merge_by_pot(tmp_path: Path) -> None:
    first, second = muon_columns(600, seed=1), muon_columns(900, seed=2)
    second["proton"] -= 5  # whatever the numbering, protons of two files must not meet
    files = [
        write_training(tmp_path / "a.root", first, pot=1000, seed=1),
        write_training(tmp_path / "b.root", second, pot=3000, seed=2),
    ]
    sample = prepare(files, tmp_path / "out", cores=1)
    expected = (first["weight"].sum() * 1000 + second["weight"].sum() * 3000) / 4000
    assert joined(sample, "weights").sum() == pytest.approx(expected, rel=1e-12)
    assert len(np.unique(joined(sample, "group"))) == 200 + 300
    assert [source["scale"] for source in sample.index["sources"]] == [0.25, 0.75]
    assert [source["pot"] for source in sample.index["sources"]] == [1000, 3000]
    assert sample.index["pot"] == 1


def test_cbmsim_files_join_and_their_pot_adds_up(tmp_path: Path) -> None:
    files = [
        cbmsim(tmp_path / "a.root", [MUON] * 3, summary={"PoT": 100, "EnergyCut": 10}),
        cbmsim(tmp_path / "b.root", [MUON, (13, 0, 0, *MUON[3:])], summary={"PoT": 50, "EnergyCut": 10}),
    ]
    sample = prepare(files, tmp_path / "out", cores=1)
    assert sample.index["pot"] == 150
    assert sample.index["weight_unit"] == "per 150 POT"
    assert sample.index["energy_cut"] == 10
    assert (sample.index["target_start"], sample.index["target_start_assumed"]) == (TARGET_START_2018, True)
    assert joined(sample, "weights").tolist() == [np.float32(0.01)] * 5
    assert sorted(joined(sample, "group").tolist()) == [0, 1, 2, 3, 4]


def test_pot_is_never_guessed(tmp_path: Path) -> None:
    heavy = (*MUON[:-2], 768.75, 0)
    known = cbmsim(tmp_path / "known.root", [MUON], summary={"PoT": 100})
    silent = cbmsim(tmp_path / "silent.root", [MUON] * 2)
    spill = cbmsim(tmp_path / "spill.root", [heavy] * 2, summary={"PoT": 65041})

    index = prepare([silent], tmp_path / "1").index
    assert (index["pot"], index["weight_unit"]) == (None, "unknown")
    index = prepare([known, silent], tmp_path / "2", cores=1).index
    assert index["pot"] is None
    assert "the POT is not known of silent.root" in index["warnings"]
    index = prepare([spill], tmp_path / "3").index
    assert index["pot"] is None
    assert any("states 65041 POT, but its weights go up to 768.75" in text for text in index["warnings"])
    index = prepare([spill], tmp_path / "4", pot=5e13).index
    assert (index["pot"], index["weight_unit"]) == (5e13, "per 5e+13 POT")
    index = prepare([known], tmp_path / "5", pot=7).index
    assert index["pot"] == 7
    assert "7 POT as given, where files state 100" in index["warnings"]
    training = write_training(tmp_path / "t.root", muon_columns(9))
    with pytest.raises(InputError, match="leave out --pot"):
        prepare([training], tmp_path / "6", pot=7)


def test_cleaning_counts_what_it_drops(tmp_path: Path) -> None:
    columns = muon_columns(1000)
    columns["pdg"][:5] = 211
    columns["pz"][3:9] = np.nan  # two of them dropped already
    columns["x"][9] = np.inf
    columns["weight"][10:20] = 0
    columns["pz"][20] = -5.0  # flies back, but is a muon
    sample = prepare([write_training(tmp_path / "f.root", columns)], tmp_path / "out")
    dropped = {entry["reason"]: (entry["muons"], entry["weight"]) for entry in sample.index["dropped"]}
    assert {reason: number for reason, (number, _) in dropped.items()} == {
        "not a muon": 5,
        "a feature is NaN or infinite": 5,
        "the weight is zero": 10,
    }
    assert dropped["not a muon"][1] == pytest.approx(columns["weight"][:5].sum())
    assert sample.index["sources"][0]["dropped"] == sample.index["dropped"]
    assert sample.index["sources"][0]["muons"] == len(joined(sample, "weights")) == 980
    assert sample.index["sources"][0]["weight"] == pytest.approx(columns["weight"][20:].sum())


def test_values_beyond_float32_are_dropped() -> None:
    # float64 branches can hold them.
    columns = {name: np.ones(3) for name in ("x", "y", "z", "px", "py", "weight")}
    tally = FileTally()
    kept, place = clean(
        {
            **columns,
            "pz": np.array([1.0, 1e39, 1.0]),
            "pdg": np.full(3, 13),
            "group": np.arange(3),
        },
        tally,
    )
    assert kept["group"].tolist() == [0, 2]
    assert place.tolist() == [3, 3]
    assert tally.dropped["a feature is NaN or infinite"].muons == 1


def test_negative_weights_are_refused(tmp_path: Path) -> None:
    columns = muon_columns(100)
    columns["weight"][[3, 50]] = -1e-5, -2e-5
    path = write_training(tmp_path / "f.root", columns)
    with pytest.raises(InputError, match=r"f\.root: 2 muons have a negative weight \(down to -2e-05\)"):
        prepare([path], tmp_path / "out", step=10)
    assert not (tmp_path / "out").exists()


def test_no_muon_is_an_error(tmp_path: Path) -> None:
    columns = muon_columns(10)
    columns["weight"][:] = 0
    path = write_training(tmp_path / "zero.root", columns)
    with pytest.raises(InputError, match=r"no muon to train on in .*zero\.root \(10 dropped: the weight is"):
        prepare([path], tmp_path / "out")
    empty = write_cbmsim(tmp_path / "empty.root", [[MUON]], [[]])
    with pytest.raises(InputError, match=r"no muon to train on in .*empty\.root \(no muon was found\)"):
        prepare([empty], tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_files_that_do_not_fit_together(tmp_path: Path) -> None:
    a = write_training(tmp_path / "a.root", muon_columns(50, seed=1), seed=1)
    b = write_training(tmp_path / "b.root", muon_columns(60, seed=1), seed=1)
    c = write_training(tmp_path / "c.root", muon_columns(50, seed=2), seed=2, energy_cut=5.0)
    d = cbmsim(tmp_path / "d.root", [MUON])
    out = tmp_path / "out"
    (tmp_path / "copy.root").write_bytes(a.read_bytes())
    with pytest.raises(InputError, match=r"a\.root and .*copy\.root are the same file"):
        prepare([a, tmp_path / "copy.root"], out)
    with pytest.raises(InputError, match=r"made with the same seed 1"):
        prepare([a, b], out)
    with pytest.raises(InputError, match=r"d\.root FairShip's MCTrack and vetoPoint: their weights"):
        prepare([a, d], out)
    with pytest.raises(InputError, match=r"energy cut \(a\.root 10 GeV, c\.root 5 GeV\).*--energy-cut"):
        prepare([a, c], out)
    index = prepare([a, c], out, energy_cut=10, target_start=-7000, cores=1).index
    assert (index["energy_cut"], index["target_start"], index["target_start_assumed"]) == (10, -7000, False)
    assert "energy cut of 10 GeV as given, where files state 5 GeV" in index["warnings"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"span": 0}, "a span of 0 is not in"),
        ({"span": 1.5}, "a span of 1.5 is not in"),
        ({"pot": -1}, "POT of -1 is not"),
        ({"energy_cut": np.nan}, "energy cut of nan is not"),
        ({"target_start": np.inf}, "a target start of inf cm is not"),
    ],
)
def test_arguments_are_checked(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(10))
    with pytest.raises(InputError, match=message):
        prepare([path], tmp_path / "out", **options)
    with pytest.raises(InputError, match="no file to prepare"):
        prepare([], tmp_path / "out")


def test_span_reaches_the_normalisation(tmp_path: Path) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(500))
    loaded = prepare([path], tmp_path / "out", span=0.97).load("muplus_offaxis")
    normalised = loaded.normalisation.forward(loaded.features)
    np.testing.assert_allclose(normalised.min(0), -0.97, atol=1e-12)
    np.testing.assert_allclose(normalised.max(0), 0.97, atol=1e-12)


def test_warnings(tmp_path: Path) -> None:
    columns = muon_columns(2000)
    columns["weight"][:] = 1e-4
    heavy = np.flatnonzero((columns["pdg"] == 13) & (columns["x"] != 0))[7]
    columns["weight"][heavy] = 0.01
    columns["z"] += 3000  # another frame
    columns["py"][:] = 0.5
    texts = prepare([write_training(tmp_path / "f.root", columns)], tmp_path / "out").index["warnings"]
    offaxis = [text for text in texts if text.startswith("muminus_offaxis: one muon carries")]
    n = int(((columns["pdg"] == 13) & (columns["x"] != 0)).sum())
    assert f"{100 / (99 + n):.2%} of the weight" in offaxis[0]
    assert not any("one muon carries" in text for text in texts if text not in offaxis)
    assert next(text for text in texts if "py is 0.5 for every muon" in text).startswith("muplus_onaxis")
    assert "100.0% of the weight starts outside target and absorber" in texts[-1]

    few = prepare([cbmsim(tmp_path / "few.root", [MUON])], tmp_path / "few").index["warnings"]
    assert any("no muon is in the part" in text for text in few)


def test_no_path_of_this_machine_is_stored(tmp_path: Path) -> None:
    command = f"shipgen simulate -o {tmp_path / 'f.root'} --protons 1e3 --target={tmp_path / 't.toml'}"
    path = write_training(tmp_path / "f.root", muon_columns(100), command=command)
    prepare([path], tmp_path / "out")
    assert str(tmp_path) not in (text := (tmp_path / "out" / "prepared.json").read_text())
    assert "shipgen simulate -o f.root --protons 1e3 --target=t.toml" in text
    assert json.loads(text)["sources"][0]["name"] == "f.root"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = muon_columns(3000)
    columns["pdg"] = np.where(columns["pdg"] == 13, 13, 22)
    columns["x"][columns["x"] == 0] = 1e-3
    path = write_training(tmp_path / "f.root", columns)
    assert run(["prepare", str(path), "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out.splitlines()
    entry = PreparedSample.open(tmp_path / "out").index["categories"]["muminus_offaxis"]
    assert out[0].startswith(f"f.root (training-sample): 3,000 entries, {entry['muons']:,} muons, weight")
    assert "not a muon" in out[1]
    assert out[2] == "weights: their sum is the number of muons per POT"
    assert out[3] == "energy cut 10 GeV; target starts at z = -7084.5 cm"
    assert out[4] == "beam at the origin; x and y as they are"
    assert out[5].split()[-6:] == ["POT", "effective", "largest", "train", "validation", "test"]
    assert out[6].split()[:2] == ["muminus_offaxis", f"{entry['muons']:,}"]
    assert f"{entry['weight']:.4e}" in out[6]
    assert f"{entry['effective']:,.1f}" in out[6]
    assert out[7] == "no muons: muplus_onaxis, muminus_onaxis, muplus_offaxis"
    assert out[8].split() == ["range", "(cm,", "GeV)", "x", "y", "z", "px", "py", "pz"]
    assert f"{entry['minimum'][0]:.6g} to {entry['maximum'][0]:.6g}" in out[9]
    assert out[10] == "warning: no muon starts at x = y = 0: all count as off-axis; was the beam smeared?"
    assert len(out) == 11


def test_command_says_what_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (
        cbmsim(tmp_path / "a.root", [MUON] * 200),
        write_cbmsim(tmp_path / "b.root", [[PROTON, MUON]], [[(4, 13), (1, 13)]]),
    )
    assert run(["prepare", str(a), str(b), "-o", str(tmp_path / "out"), "--cores", "1"]) == 0
    out = capsys.readouterr().out
    assert "a.root (cbmsim-vetoPoint): 200 entries, 200 hits, 200 muon hits, 400 tracks, 200 muons" in out
    assert out.count("dropped 1 (of unknown weight): hit of a track that is not in MCTrack") == 2
    assert "rates cannot be stated; give --pot now or to `shipgen export`" in out
    assert "energy cut unknown; target starts at z = -7084.5 cm (assumed; --target-start states it)" in out


def test_existing_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_training(tmp_path / "f.root", muon_columns(100))
    bad = tmp_path / "bad.root"
    bad.write_text("no ROOT file")
    arguments = ["prepare", str(path), "-o", str(tmp_path / "out")]
    assert run(arguments) == 0
    before = (tmp_path / "out" / "prepared.json").read_bytes()
    assert run(arguments) == InputError.exit_code
    assert "out exists: choose another name, or --force to replace it" in capsys.readouterr().err
    # A run that fails takes nothing away.
    assert run(["prepare", str(bad), "-o", str(tmp_path / "out"), "--force"]) == InputError.exit_code
    assert (tmp_path / "out" / "prepared.json").read_bytes() == before
    assert run([*arguments, "--force", "--span", "0.97"]) == 0
    assert (tmp_path / "out" / "prepared.json").read_bytes() != before
    # --force replaces a prepared sample, not somebody's folder or a file.
    capsys.readouterr()
    assert run(["prepare", str(path), "-o", str(tmp_path), "--force"]) == InputError.exit_code
    assert "there is no prepared.json in it" in capsys.readouterr().err
    assert run(["prepare", str(path), "-o", str(path), "--force"]) == InputError.exit_code
    assert "is a file: choose a folder name" in capsys.readouterr().err
    assert path.is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.root", "-o", "out"], "nothing.root does not exist"),
        (["-o", "out"], "Missing argument"),
        (["f.root"], "Missing option"),
        (["f.root", "-o", "out", "--pot", "-3"], "is not a finite number above zero"),
        (["f.root", "-o", "out", "--span", "2"], "2.0 is not in the range"),
        (["f.root", "-o", "no/such/out"], "does not exist: create it"),
    ],
)
def test_command_fails_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_training(tmp_path / "f.root", muon_columns(10))
    assert run(["prepare", *arguments]) != 0
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
