"""The muon source under a stand-in for FairRoot, in Python; with ROOT in `test_fairship_root`."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.bundles import ENERGY_CUT, TARGET_START, write_test_bundle
from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen import MuonGenerator
from shipgen.bundle.network import Network
from shipgen.errors import InputError
from shipgen.fairship import muon_source
from shipgen.generate.events import MuonEvents
from shipgen.muons.categories import MUON_MASS
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64

PDG, PX, PZ, X, Y, Z, PARENT, TRACKED, ENERGY, TIME, WEIGHT = 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11


def run(bundle: Any, events: int, **options: Any) -> tuple[Any, list[Float64]]:
    """Return the source and the tracks of each event, float64[n, 12]."""
    source = muon_source(bundle, base=FairGenerator, **options)
    primary = FairPrimaryGenerator()
    primary.AddGenerator(source)
    assert primary.Init() == [True]
    assert primary.Run(events) == events
    return source, [np.array(event, float).reshape(-1, 12) for event in primary.events]


def all_tracks(bundle: Any, events: int, **options: Any) -> Float64:
    return np.concatenate(run(bundle, events, **options)[1])


def test_a_hundred_thousand_events_are_the_muons_of_produce(bundle: Bundle, tmp_path: Path) -> None:
    source, events = run(bundle, 100_000, seed=1)
    tracks = np.concatenate(events)
    assert {len(event) for event in events} == {1}
    produce(MuonGenerator(bundle, n=3e5, seed=1), tmp_path / "muons.root")
    file = uproot.open(tmp_path / "muons.root")["pythia8-Geant4"].arrays(library="np", entry_stop=100_000)
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=1)))
    np.testing.assert_array_equal(tracks[:, PDG], file["id"])
    np.testing.assert_array_equal(tracks[:, PX : PZ + 1].T, [file[name] for name in ("px", "py", "pz")])
    # cm, exactly those of the batch; the file has them in float32 metres.
    np.testing.assert_array_equal(tracks[:, X], batch.x[:100_000])
    np.testing.assert_array_equal(tracks[:, Z], batch.z[:100_000].astype(float) - TARGET_START)
    np.testing.assert_allclose(tracks[:, Y], file["y"] * 100, rtol=2e-7)
    np.testing.assert_allclose(tracks[:, Z], (file["z"].astype(float) + 70.845) * 100, atol=1e-3)
    assert {tuple(row) for row in tracks[:, PARENT:]} == {(-1, 1, -9e9, 0, 1)}
    assert set(tracks[:, PDG]) == {13, -13}
    assert source.muons.pot == pytest.approx(1e5 / bundle.rate)
    assert source.muons.file_summary() == {
        "PoT": source.muons.pot,
        "EnergyCut": ENERGY_CUT,
        "prodSite": "shipgen",
    }


def test_it_goes_on_into_the_next_chunk(bundle: Bundle) -> None:
    source, (first, second) = run(bundle, 2, seed=3, muons_per_event=CHUNK_SIZE - 100)
    batches = MuonGenerator(bundle, n=3 * CHUNK_SIZE, seed=3)
    px = np.concatenate([batch.px for batch in batches])
    np.testing.assert_array_equal(np.concatenate([first, second])[:, PX], px[: 2 * (CHUNK_SIZE - 100)])
    assert source.muons.muons == 2 * (CHUNK_SIZE - 100)


def test_overhead(bundle: Bundle) -> None:
    """Of an event of one muon, in functions called: seven, and what making a block takes."""
    source = muon_source(bundle, seed=1, base=FairGenerator)
    primary = FairPrimaryGenerator()
    primary.AddTrack = lambda *track: None  # type: ignore[method-assign]  # noqa: ARG005
    source.ReadEvent(primary)
    calls: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _function: calls.update([event]))
    try:
        for _ in range(4000):
            source.ReadEvent(primary)
    finally:
        sys.setprofile(None)
    assert calls["call"] + calls["c_call"] < 7.1 * 4000


def test_same_seed_same_events(bundle: Bundle) -> None:
    options: dict[str, Any] = {"pot_per_event": 5000, "smear_beam": 0.8, "paint_beam": 5, "energy_cut": 20}
    first, again, other = (all_tracks(bundle, 200, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.isin(other[:, PX], first[:, PX]).all()
    drawn = {MuonEvents(bundle).seed for _ in range(3)}
    assert len(drawn) == 3


def test_events_of_some_protons_have_a_poisson_number_of_muons(bundle: Bundle) -> None:
    """Their number does not touch the muons: one after the other they are the same."""
    mean, n = 7.5, 4000
    source, events = run(bundle, n, seed=1, pot_per_event=mean / bundle.rate)
    counts = np.array([len(event) for event in events])
    assert abs(counts.mean() - mean) < 5 * np.sqrt(mean / n)
    # The variance of a Poisson number's variance is mean (1 + 2 mean) / n.
    assert abs(counts.var() - mean) < 5 * np.sqrt(mean * (1 + 2 * mean) / n)
    tracks = np.concatenate(events)
    np.testing.assert_array_equal(tracks, all_tracks(bundle, len(tracks), seed=1))
    assert source.muons.pot == pytest.approx(n * mean / bundle.rate)
    assert source.muons.muons == len(tracks)


def test_events_may_be_empty(bundle: Bundle) -> None:
    source, events = run(bundle, 1000, seed=1, pot_per_event=1)
    assert sum(map(len, events)) < 15
    assert source.muons.pot == 1000


def test_muons_for_a_stated_number_of_protons_are_weighted(bundle: Bundle) -> None:
    source, events = run(bundle, 100, seed=1, muons_per_event=5, pot_per_event=1)
    tracks = np.concatenate(events)
    assert len(tracks) == 500
    assert source.muons.pot == 100
    np.testing.assert_allclose(tracks[:, WEIGHT].sum(), 100 * bundle.rate)


@pytest.mark.parametrize("more", [{}, {"pot_per_event": 50.0}, {"energy_cut": 30.0}])
def test_weights_of_a_bundle_reach_the_tracks(tmp_path: Path, more: dict[str, float]) -> None:
    """Times what an event stands for; their sum is the rate times the protons."""
    enhanced = write_test_bundle(tmp_path / "bundle", muminus_offaxis={"weighted": True})
    batch = next(iter(MuonGenerator(enhanced, n=3e5, seed=1)))
    source, events = run(enhanced, 10_000, seed=1, muons_per_event=2, **more)
    tracks = np.concatenate(events)
    scale = 25 * enhanced.rate if "pot_per_event" in more else 1.0
    momentum = np.sqrt(sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz")))
    passing = np.hypot(momentum, MUON_MASS) - MUON_MASS > more.get("energy_cut", 0)
    weights = batch.weight[passing][:20_000].astype(float)
    np.testing.assert_allclose(tracks[:, WEIGHT], weights * scale, rtol=1e-12)
    assert np.unique(tracks[:, WEIGHT]).size > 1000
    found, expected = tracks[:, WEIGHT].sum(), source.muons.pot * enhanced.rate * passing.mean()
    # The weights of a third of the muons vary by half their mean.
    assert found == pytest.approx(expected, rel=5 * 0.4 / np.sqrt(20_000) + 0.02 * ("energy_cut" in more))


@pytest.mark.parametrize("more", [{}, {"pot_per_event": 50.0}, {"energy_cut": 30.0}])
def test_weights_of_a_variation_are_those_of_produce(tmp_path: Path, more: dict[str, float]) -> None:
    """The bundle's weights times the factors of the muons where their beam is not moved."""
    varied = write_test_bundle(tmp_path / "bundle", variations=1.5, muminus_offaxis={"weighted": True})
    batch = next(iter(MuonGenerator(varied, n=3e5, seed=1, variations="kaons")))
    options = {"muons_per_event": 2, "smear_beam": 1.6, **more}
    tracks, plain = (
        all_tracks(varied, 10_000, seed=1, variation=name, **options) for name in ("kaons", None)
    )
    np.testing.assert_array_equal(tracks[:, :WEIGHT], plain[:, :WEIGHT])
    momentum = np.sqrt(sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz")))
    passing = np.hypot(momentum, MUON_MASS) - MUON_MASS > more.get("energy_cut", 0)
    scale = 25 * varied.rate if "pot_per_event" in more else 1.0
    weights = (batch.weight.astype(float) * scale * batch["vary_kaons"])[passing][: len(tracks)]
    np.testing.assert_allclose(tracks[:, WEIGHT], weights, rtol=1e-15)
    assert (tracks[:, WEIGHT] / plain[:, WEIGHT]).std() > 0.1


@pytest.mark.parametrize("events", [1, 4095, 9000])
def test_a_cut_keeps_the_normalisation(bundle: Bundle, events: int) -> None:
    """POT are those of all muons drawn up to the last one that passed."""
    source, found = run(bundle, events, seed=1, energy_cut=30)
    tracks = np.concatenate(found)
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=1)))
    momentum = np.sqrt(sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz")))
    passing = np.flatnonzero(np.hypot(momentum, MUON_MASS) - MUON_MASS > 30)[:events]
    np.testing.assert_array_equal(tracks[:, PX], batch.px[passing])
    assert source.muons.pot == pytest.approx((passing[-1] + 1) / bundle.rate)
    assert source.muons.file_summary()["EnergyCut"] == 30


def test_a_cut_thins_events_of_some_protons(bundle: Bundle) -> None:
    options: dict[str, Any] = {"seed": 1, "pot_per_event": 1e4}
    _, whole = run(bundle, 500, **options)
    source, thinned = run(bundle, 500, energy_cut=30, **options)
    for all_of_it, left in zip(whole, thinned, strict=True):
        energy = np.sqrt((all_of_it[:, PX : PZ + 1] ** 2).sum(1) + MUON_MASS**2) - MUON_MASS
        np.testing.assert_array_equal(left, all_of_it[energy > 30])
    assert source.muons.muons == sum(map(len, thinned))
    assert source.muons.pot == 500 * 1e4


def test_beam(bundle: Bundle) -> None:
    """The position is added to the same muons: a Gaussian, a circle; each is off unless asked for."""
    n = 20_000
    plain, smeared, painted = (
        all_tracks(bundle, n, seed=1, **options) for options in ({}, {"smear_beam": 0.8}, {"paint_beam": 5.0})
    )
    for moved in (smeared, painted):
        np.testing.assert_array_equal(moved[:, [PDG, PX, PZ, Z]], plain[:, [PDG, PX, PZ, Z]])
    for column in (X, Y):
        shift = smeared[:, column] - plain[:, column]
        assert abs(shift.mean()) < 5 * 0.8 / np.sqrt(n)
        assert abs(shift.std() / 0.8 - 1) < 5 / np.sqrt(2 * n)
    x, y = (painted[:, column] - plain[:, column] for column in (X, Y))
    # Rounded as files are.
    np.testing.assert_allclose(np.hypot(x, y), 5, atol=1e-4)
    assert abs(np.exp(1j * np.arctan2(y, x)).mean()) < 5 / np.sqrt(n)


def test_selection(bundle: Bundle) -> None:
    """Some categories, at another share of the charges: weights make up for it."""
    chosen = ["muplus_offaxis", "muminus_offaxis"]
    source, events = run(bundle, 5000, seed=1, categories=chosen, charge_fraction=0.25)
    tracks = np.concatenate(events)
    assert (np.hypot(tracks[:, X], tracks[:, Y]) > 0).all()
    assert (tracks[:, PDG] == -13).mean() == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 5000) ** 0.5)
    rates = {entry.category.pdg: entry.rate for entry in bundle.entries if not entry.category.on_axis}
    for pdg, rate in rates.items():
        found = tracks[tracks[:, PDG] == pdg, WEIGHT].sum()
        assert found == pytest.approx(rate * source.muons.pot, rel=0.12)
    assert source.muons.rate == pytest.approx(sum(rates.values()))
    facts = source.muons.provenance()
    assert (facts["categories"], facts["charge_fraction"]) == (chosen, 0.25)


def test_target_elsewhere(bundle: Bundle) -> None:
    moved = all_tracks(bundle, 100, seed=1, target_z=-250.0)[:, Z]
    np.testing.assert_allclose(moved + 250, all_tracks(bundle, 100, seed=1)[:, Z])


def test_z_is_zero_where_the_target_starts(bundle: Bundle) -> None:
    """The known bundle's muons start 4.5 to 164.5 cm behind it."""
    z = all_tracks(bundle, 1000, seed=1)[:, Z]
    assert z.min() > 4
    assert z.max() < 165


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"muons_per_event": 0}, "muons_per_event = 0 is out of range"),
        ({"muons_per_event": 1.5}, "muons_per_event = 1.5"),
        ({"muons_per_event": float("nan")}, "muons_per_event = nan"),
        ({"pot_per_event": 0}, "pot_per_event = 0"),
        ({"pot_per_event": "many"}, "pot_per_event = 'many'"),
        ({"energy_cut": -1}, "energy_cut = -1"),
        ({"smear_beam": float("inf")}, "smear_beam = inf"),
        ({"paint_beam": -5}, "paint_beam = -5"),
        ({"categories": ("muons",)}, "no category 'muons'"),
        ({"charge_fraction": 1}, "charge_fraction = 1 is not between 0 and 1"),
        ({"target_z": float("nan")}, "target_z = nan"),
        ({"energy_cut": 20, "muons_per_event": 1, "pot_per_event": 1}, "give one of the two"),
    ],
)
def test_options_out_of_range_are_refused_when_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        muon_source(base=FairGenerator, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundle": "/nowhere"}, "/nowhere is no bundle"),
        ({"seed": -1}, "the seed -1 is not"),
        ({"energy_cut": 5}, "energy_cut = 5 GeV is below that of bundle test, 10 GeV"),
        ({"pot_per_event": 1e12}, "muons an event: choose less than 6.67e+09"),
    ],
)
def test_init_returns_false_with_one_line(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    """FairRoot ignores that, and the first event ends the run without a second line."""
    source = muon_source(**{"bundle": bundle, "base": FairGenerator, **options})
    primary = FairPrimaryGenerator()
    primary.AddGenerator(source)
    assert primary.Init() == [False]
    assert primary.Run(10) == 0
    assert primary.events == [[]]
    error = capsys.readouterr().err
    assert error.startswith("shipgen: ")
    assert message in error
    assert error.count("\n") == 1


def test_wrong_version_and_damage_are_told(
    tmp_path: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    del bundle
    index = write_test_bundle(tmp_path / "b").path / "bundle.json"
    index.write_text(index.read_text().replace('"format_version": 1', '"format_version": 7'))
    assert not muon_source(tmp_path / "b", base=FairGenerator).Init()
    assert "version 7; this shipgen reads" in capsys.readouterr().err


def test_muons_that_are_no_numbers_end_the_run(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Network.columns_of_drawn

    def spoil(self: Network, drawn: Any, options: Any = None) -> Any:
        columns = make(self, drawn, options)
        columns[-1, -1] = np.nan
        return columns

    monkeypatch.setattr(Network, "columns_of_drawn", spoil)
    source = muon_source(bundle, seed=1, muons_per_event=3, base=FairGenerator)
    primary = FairPrimaryGenerator()
    primary.AddGenerator(source)
    assert primary.Init() == [True]
    assert [primary.Run(5) for _ in range(2)] == [0, 0]
    error = capsys.readouterr().err
    assert "muons with a number that is not finite (seed 1, chunk 0)" in error
    assert error.count("\n") == 1


def test_a_failure_of_the_simulation_is_told_not_thrown(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def AddTrack(self, *track: Any) -> None:  # noqa: N802
            raise TypeError(f"{len(track)} numbers")

    source = muon_source(bundle, seed=1, base=FairGenerator)
    assert source.ReadEvent(Broken()) is False
    assert capsys.readouterr().err == "shipgen: TypeError: 12 numbers\n"


PROGRAM = """
import sys
for name in ("uproot", "awkward", "click", "rich", "xxhash", "tensorflow", "google", "flatbuffers", "ROOT"):
    sys.modules[name] = None
{more}
sys.path.insert(0, {tests!r})
from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen.fairship import muon_source
source = muon_source({bundle!r}, seed=1, base=FairGenerator)
primary = FairPrimaryGenerator()
primary.AddGenerator(source)
print(primary.Init(), primary.Run(10))
try:
    muon_source({bundle!r})
except Exception as error:
    print(error)
"""


def test_numpy_and_onnxruntime_are_enough(bundle: Bundle) -> None:
    """As in FairShip's environment; and without ONNX Runtime, or ROOT, one line says so."""
    results = []
    for more in ("", "sys.modules['onnxruntime'] = None"):
        tests = str(Path(__file__).parents[1])
        program = PROGRAM.format(more=more, tests=tests, bundle=str(bundle.path))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        results.append((done.stdout.splitlines(), done.stderr))
    no_root = "ROOT cannot be imported: run this in FairShip's environment"
    (found, error), (missing, told) = results
    assert (found[1:], error) == (["[True] 10", no_root], "")
    assert found[0].startswith("shipgen: bundle test ")
    assert missing == ["[False] 0", no_root]
    assert told.startswith("shipgen: running networks needs ONNX Runtime: install")
    assert told.count("\n") == 1


def test_sources_are_independent_of_each_other(bundle: Bundle) -> None:
    """Two beside each other give what each gives alone."""
    primary = FairPrimaryGenerator()
    for seed in (1, 2):
        primary.AddGenerator(muon_source(bundle, seed=seed, base=FairGenerator))
    primary.Run(5000)
    both = np.array(primary.events, float)
    for number, seed in enumerate((1, 2)):
        np.testing.assert_array_equal(both[:, number], all_tracks(bundle, 5000, seed=seed))
    assert all(len(event) == 2 for event in primary.events)
    assert all(one != other for one, other in pairwise(primary.events))
