"""Categories, charge fraction and beam of a production: right numbers, right weights, recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from helpers.bundles import write_test_bundle
from shipgen.commands.selection_options import take_selection
from shipgen.errors import InputError
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.selection import EVERYTHING, Selection
from shipgen.muons.categories import CATEGORIES, CATEGORY_NAMES
from shipgen.production.produce import produce
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from shipgen.bundle.bundle import Bundle

OFF_AXIS = ("muplus_offaxis", "muminus_offaxis")


@pytest.fixture(scope="module")
def weighted_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of known muons, one network with weights of its own."""
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "w", muplus_offaxis={"weighted": True})


def produced(
    bundle: Bundle, selection: Selection, n: float = 300_000, **options: object
) -> dict[str, np.ndarray]:
    generator = MuonGenerator(bundle, n=n, seed=3, workers=1, selection=selection, **options)  # type: ignore[arg-type]
    batches = list(generator)
    made = {
        name: np.concatenate([batch.columns()[name] for batch in batches]) for name in batches[0].columns()
    }
    return {**made, "pot": np.array(generator.plan.pot), "total": np.array(generator.plan.total)}


def in_category(muons: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    on_axis = (muons["x"] == 0) & (muons["y"] == 0)
    return {
        category.name: (muons["pdg"] == category.pdg) & (on_axis == category.on_axis)
        for category in CATEGORIES
    }


def test_only_some_categories(bundle: Bundle) -> None:
    """The same number of protons gives the same number of their muons, and each has weight 1."""
    some = produced(bundle, Selection(OFF_AXIS))
    assert (some["weight"] == 1).all()
    counts = {name: int(own.sum()) for name, own in in_category(some).items()}
    assert counts["muplus_onaxis"] == counts["muminus_onaxis"] == 0
    rates = {entry.category.name: entry.rate for entry in bundle.entries}
    for name in OFF_AXIS:
        expected = rates[name] * float(some["pot"])
        assert counts[name] == pytest.approx(expected, abs=4 * expected**0.5)
    one = produced(bundle, Selection(("muminus_onaxis",)), n=1000, exact=True)
    assert len(one["pdg"]) == 1000
    assert set(one["pdg"]) == {13}


@pytest.mark.parametrize("fraction", [0.5, 0.05])
@pytest.mark.parametrize("categories", [(), OFF_AXIS])
def test_charge_fraction(fraction: float, categories: tuple[str, ...], bundle: Bundle) -> None:
    """To a thousandth; weights bring each category back to its rate."""
    muons = produced(bundle, Selection(categories, charge_fraction=fraction), n=1_500_000)
    share = (muons["pdg"] == -13).mean()
    assert share == pytest.approx(fraction, abs=1e-3)
    pot = float(muons["pot"])
    chosen = categories or CATEGORY_NAMES
    for entry in bundle.entries:
        own = in_category(muons)[entry.category.name]
        weights = muons["weight"][own].astype(float)
        if entry.category.name not in chosen:
            assert not own.any()
            continue
        assert len(set(weights)) == 1
        assert weights.sum() == pytest.approx(entry.rate * pot, abs=4 * weights[0] * own.sum() ** 0.5)
    rate = sum(entry.rate for entry in bundle.entries if entry.category.name in chosen)
    assert float(muons["weight"].sum(dtype=float)) == pytest.approx(rate * pot, rel=0.01)


def test_charge_fraction_of_a_weighted_bundle(weighted_bundle: Bundle) -> None:
    """Both factors of the weight: the network's and the charge's."""
    muons = produced(weighted_bundle, Selection(charge_fraction=0.3), n=400_000)
    pot = float(muons["pot"])
    for entry in weighted_bundle.entries:
        weights = muons["weight"][in_category(muons)[entry.category.name]].astype(float)
        assert len(set(weights)) > (1000 if entry.weighted else 0)
        assert weights.sum() == pytest.approx(entry.rate * pot, abs=4 * np.square(weights).sum() ** 0.5)


def test_beam_moves_muons_and_nothing_else(bundle: Bundle) -> None:
    plain = produced(bundle, EVERYTHING, n=200_000)
    moved = produced(bundle, Selection(smear_beam=0.8, paint_beam=5.0), n=200_000)
    for name in ("pdg", "z", "px", "py", "pz", "weight"):
        np.testing.assert_array_equal(plain[name], moved[name])
    dx, dy = (moved[name].astype(float) - plain[name] for name in ("x", "y"))
    # A circle of radius R has variance R^2 / 2 along each axis, and a fixed distance.
    for shift in (dx, dy):
        assert shift.mean() == pytest.approx(0, abs=0.05)
        assert shift.var() == pytest.approx(5**2 / 2 + 0.8**2, rel=0.02)
    assert np.mean(dx**2 + dy**2) == pytest.approx(25 + 2 * 0.64, rel=0.01)
    assert np.corrcoef(dx, dy)[0, 1] == pytest.approx(0, abs=0.02)
    smeared = produced(bundle, Selection(smear_beam=0.8), n=200_000)
    assert (smeared["x"].astype(float) - plain["x"]).std() == pytest.approx(0.8, rel=0.01)


SELECTIONS = (
    EVERYTHING,
    Selection(smear_beam=0.8, paint_beam=5.0),
    Selection(paint_beam=4.0),
    Selection(OFF_AXIS, charge_fraction=0.3, smear_beam=1.6),
    Selection(("muminus_onaxis", "muplus_offaxis")),
)


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_one_rule_for_files_the_library_and_the_source(
    weighted_bundle: Bundle, selection: Selection, tmp_path: Path
) -> None:
    """FairShip's source with the same options has the same muons at the same places, to the last bit."""
    events, n = MuonEvents(weighted_bundle, EventOptions(seed=3, selection=selection)), 3000
    tracks: list[tuple[float, ...]] = []
    for _ in range(n):
        events.next_event(lambda *track: tracks.append(track))
    source = np.array(tracks)
    generator = MuonGenerator(weighted_bundle, n=300_000, exact=True, seed=3, selection=selection)
    batch = next(iter(generator))
    produce(generator, tmp_path / "m.root", layout=OUTPUT_LAYOUTS["ttree"])
    with uproot.open(tmp_path / "m.root") as opened:
        file = opened["converted_ntuple"].arrays(library="np", entry_stop=n)
    columns = {"id": 0, "px": 1, "py": 2, "pz": 3, "x": 4, "y": 5, "w": 11}
    names = {"id": "pdg", "w": "weight"}
    for name, place in columns.items():
        np.testing.assert_array_equal(source[:, place], file[name])
        np.testing.assert_array_equal(source[:, place], getattr(batch, names.get(name, name))[:n])
    np.testing.assert_array_equal(source[:, 6], batch.z[:n].astype(float) - weighted_bundle.target_start)
    np.testing.assert_allclose(source[:, 6], file["z"], atol=1e-9)
    assert events.rate == generator.plan.rate
    assert events.pot == pytest.approx(n / generator.plan.rate)


def test_a_bundle_stays_as_it_was_read(bundle: Bundle) -> None:
    """Rates of sampling are the plan's; those of the bundle are what its hash stands for."""
    generator = MuonGenerator(bundle, n=1000, seed=1, selection=Selection(OFF_AXIS, charge_fraction=0.3))
    rates = [entry.rate for entry in bundle.entries]
    assert generator.bundle is bundle
    assert [entry.rate for entry in generator.bundle.entries] == rates
    assert generator.plan.rates[:2] == (0, 0)
    drawn = zip(generator.plan.rates, generator.plan.factors, strict=True)
    np.testing.assert_allclose([rate * factor for rate, factor in drawn], [0, 0, *rates[2:]])
    assert generator.plan.rates[2] == pytest.approx(0.3 * sum(rates[2:]))


def test_charge_fraction_in_the_source(bundle: Bundle) -> None:
    events = MuonEvents(bundle, EventOptions(seed=1, selection=Selection(charge_fraction=0.5)))
    tracks: list[tuple[float, ...]] = []
    for _ in range(20_000):
        events.next_event(lambda *track: tracks.append(track))
    weights = np.array([track[-1] for track in tracks])
    assert len(set(weights)) == 2
    assert weights.sum() == pytest.approx(events.pot * bundle.rate, rel=0.01)


def test_a_string_is_one_category_and_a_list_is_some() -> None:
    one = Selection(categories=("muplus_onaxis",))
    assert Selection(categories="muplus_onaxis") == one  # type: ignore[arg-type]
    assert hash(Selection(categories=["muplus_onaxis"])) == hash(one)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": ("muplus",)}, "no category 'muplus'"),
        ({"categories": "muplus"}, "no category 'muplus'"),
        ({"charge_fraction": 0.0}, "between 0 and 1"),
        ({"charge_fraction": 1.0}, "choose its categories"),
        ({"charge_fraction": float("nan")}, "between 0 and 1"),
        ({"smear_beam": -1.0}, "smear_beam = -1"),
        ({"paint_beam": float("inf")}, "paint_beam = inf"),
        ({"paint_beam": 1e39}, "paint_beam = 1e\\+39"),
        ({"smear_beam": "wide"}, "smear_beam = 'wide'"),
        ({"charge_fraction": "half"}, "charge_fraction = 'half'"),
    ],
)
def test_impossible_selections_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Selection(**options)  # type: ignore[arg-type]


def test_a_fraction_needs_both_charges(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="both charges"):
        Selection(("muplus_offaxis",), charge_fraction=0.5).rates(bundle)
    assert EVERYTHING.rates(bundle).drawn == tuple(entry.rate for entry in bundle.entries)


def test_options_of_produce(
    shipgen: Callable[..., CompletedProcess[str]], bundle: Bundle, tmp_path: Path
) -> None:
    """Recorded in the file, and part of what makes a production the same."""
    common = ("produce", "--bundle", bundle.path, "--n", 50_000, "--seed", 1, "-o", "m.root")
    chosen = ("--category", "muplus_offaxis,muminus_offaxis", "--charge-fraction", 0.25, "--smear-beam", 0.8)
    done = shipgen(*common, *chosen)
    assert done.returncode == 0, done.stderr
    with uproot.open(tmp_path / "m.root") as file:
        facts = read_objects(file, "shipgen")[-1]
        muons = file["pythia8-Geant4"].arrays(["id", "w"], library="np")
    assert facts is not None
    assert facts["selection"] == {
        "categories": ["muplus_offaxis", "muminus_offaxis"],
        "charge_fraction": 0.25,
        "smear_beam_cm": 0.8,
        "paint_beam_cm": 0.0,
    }
    assert facts["beam"].startswith("smeared by 0.8 cm")
    assert facts["sum_of_weights"] == pytest.approx(muons["w"].sum(dtype=float), rel=1e-6)
    assert (muons["id"] == -13).mean() == pytest.approx(0.25, abs=0.01)
    rate = sum(entry.rate for entry in bundle.entries if not entry.category.on_axis)
    assert facts["sum_of_weights"] == pytest.approx(rate * facts["pot"], rel=0.02)
    again = shipgen(*common, *chosen, "--resume")
    assert "nothing was done" in again.stdout
    other = shipgen(*common, "--category", "muplus_offaxis", "--resume")
    assert "nothing was done" not in other.stdout
    for names, message in (("muplus", "no category 'muplus'"), (",", "--category names none")):
        wrong = shipgen(*common, "--category", names, "--force")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (3, 1)
        assert message in wrong.stderr
    words = " ".join(Selection(OFF_AXIS, 0.25, 0.8).words())
    assert words == (
        "--category muplus_offaxis --category muminus_offaxis --charge-fraction 0.25 --smear-beam 0.8"
    )


@pytest.mark.parametrize("names", ["", " ", ","])
def test_names_that_are_empty_are_no_choice(names: str) -> None:
    """As of a variable of a script that is not set: neither all variations nor none."""
    options = {"categories": (), "charge_fraction": None, "smear_beam": 0.0, "paint_beam": 0.0}
    assert take_selection({**options, "variations": None}).variations == ()
    assert take_selection({**options, "variations": "all"}).variations == ("all",)
    with pytest.raises(InputError, match="--variations names none: leave the names out for all"):
        take_selection({**options, "variations": names})
