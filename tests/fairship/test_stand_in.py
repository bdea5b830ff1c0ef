"""The stand-in for FairShip's FixedTargetGenerator: what it honours, refuses, ignores and answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers import fairship_stand_in
from helpers.bundles import TARGET_START
from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen import MuonGenerator
from shipgen.errors import InputError
from shipgen.fairship import FixedTargetGenerator, muon_source
from shipgen.fairship.metadata import stated_title
from shipgen.fairship.stand_in import RefusedError
from shipgen.generate.selection import Selection

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module ROOT with a geometry."""
    monkeypatch.delitem(sys.modules, "ROOT", raising=False)
    made = fairship_stand_in.root()
    made.gGeoManager = fairship_stand_in._Geometry()
    yield made
    sys.modules.pop("ROOT", None)


def read(generator: Any, events: int) -> Any:
    primary = FairPrimaryGenerator()
    primary.AddGenerator(generator)
    assert primary.Init() == [True]
    assert primary.Run(events) == events
    return np.array([track for event in primary.events for track in event], float)


@pytest.mark.usefixtures("root")
def test_what_the_macro_says_is_done(bundle: Bundle) -> None:
    """As the newest macros say it: seed, beam, target, cut."""
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    generator.SetZoffset(-8.4)
    generator.SetXoffset(1.5)
    generator.SetYoffset(-2.0)
    generator.SetSmearBeam(1.6)
    generator.SetPaintRadius(5.0)
    generator.SetTargetCoordinates(20.0, 180.0)
    generator.SetMom(400.0)
    generator.SetEnergyCut(30.0)
    generator.SetSeed(7)
    tracks = read(generator, 500)
    selection = Selection(smear_beam=1.6, paint_beam=5.0)
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=7, selection=selection)))
    momentum = np.sqrt(sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz")))
    passing = np.flatnonzero(np.hypot(momentum, 0.1056583755) - 0.1056583755 > 30)[:500]
    np.testing.assert_array_equal(tracks[:, 1], batch.px[passing])
    np.testing.assert_array_equal(tracks[:, 4], batch.x[passing].astype(float) + 1.5)
    np.testing.assert_array_equal(tracks[:, 5], batch.y[passing].astype(float) - 2.0)
    np.testing.assert_allclose(tracks[:, 6], batch.z[passing].astype(float) - TARGET_START + 20, atol=1e-9)
    assert generator.GetPotForCharm() == pytest.approx((passing[-1] + 1) / bundle.rate)
    facts = generator.muons.provenance()
    assert (facts["seed"], facts["energy_cut"], facts["target_z"], facts["offset_x"]) == (7, 30, 20, 1.5)


@pytest.mark.usefixtures("root")
def test_the_target_is_found_in_the_geometry(bundle: Bundle) -> None:
    """Macros up to 2025 name a volume, the front of whose first part is the target's."""
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    generator.SetTarget("/TargetArea_1", 0.5, 0.0)
    generator.SetSeed(7)
    tracks = read(generator, 200)
    expected = read(muon_source(bundle, seed=7, target_z=-6928.5, offset_x=0.5, base=FairGenerator), 200)
    np.testing.assert_array_equal(tracks, expected)


@pytest.mark.parametrize(
    ("methods", "said", "expected"),
    [
        (("SetSmearBeam", "SetPaintRadius"), {}, Selection(smear_beam=0.8, paint_beam=5.0)),
        (("SetSmearBeam", "SetPaintRadius"), {"SetSmearBeam": 0.0}, Selection(paint_beam=5.0)),
        (("SetTargetCoordinates",), {}, Selection()),
    ],
    ids=["own", "said", "none"],
)
def test_a_beam_that_the_macro_does_not_say_is_the_originals(
    bundle: Bundle, root: Any, methods: tuple[str, ...], said: dict[str, float], expected: Selection
) -> None:
    """It smears by itself since it can, also under macros that do not ask for it."""
    root.FixedTargetGenerator = type("FixedTargetGenerator", (), dict.fromkeys(methods))
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    for name, value in said.items():
        getattr(generator, name)(value)
    generator.SetTargetCoordinates(0.0, 160.0)
    generator.SetSeed(7)
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=7, selection=expected)))
    np.testing.assert_array_equal(read(generator, 200)[:, 4], batch.x[:200])


@pytest.mark.usefixtures("root")
def test_where_the_target_is_may_be_said(bundle: Bundle) -> None:
    generator = FixedTargetGenerator(bundle, target_z=-100.0, base=FairGenerator)
    generator.SetTargetCoordinates(0.0, 160.0)
    generator.SetSeed(7)
    expected = read(muon_source(bundle, seed=7, target_z=-100.0, base=FairGenerator), 50)
    np.testing.assert_array_equal(read(generator, 50), expected)


def test_a_target_that_is_not_found_is_not_guessed(bundle: Bundle, root: Any) -> None:
    for path, message in ((None, "does not name the target"), ("/nowhere_1", "no volume /nowhere_1")):
        generator = FixedTargetGenerator(bundle, base=FairGenerator)
        if path:
            generator.SetTarget(path, 0, 0)
        with pytest.raises(RefusedError, match=f"{message}.*: say where it starts: target_z"):
            generator.Init()
    root.gGeoManager = None
    with pytest.raises(RefusedError, match="there is no geometry to find the target /nowhere_1 in"):
        generator.Init()


REFUSED = [
    ("InitForCharmOrBeauty", ("charm.root", 10, 4e13, 0), r"leave out --charm \(-C\) and --beauty"),
    ("SetBoost", (50.0,), r"boosted by 50: leave out --boostDiMuon \(-b\)"),
    ("SetTauOnly", (), r"leave out --tau-only \(-t\)"),
    ("SetJpsiMainly", (), r"leave out --Jpsi-mainly \(-J\)"),
    ("SetVetoJpsi", (), "leave out --jpsi-inject"),
    ("SetDrellYan", (), "Drell-Yan"),
    ("SetPhotonCollision", (), "photon collisions"),
    ("SetG4only", (), r"leave out --G4only \(-G\)"),
    ("WithEvtGen", (), r"add --pythiaDecay \(-P\)"),
    ("SetOpt4DP", (None,), r"leave out --4darkPhoton \(-D\)"),
    ("SetPythiaTune", ("FTFT",), "the tune FTFT"),
    ("SetParameters", ("SoftQCD:all = on",), "settings of Pythia"),
    ("SetCharmTarget", (), "another target"),
    ("SetMom", (120.0,), "protons of 120 GeV"),
    ("SetEnergyCut", (0.5,), r"muons below 10 GeV, the cut of the bundle: give --ecut \(-e\) 10 or more"),
    ("SetSeed", (-3,), "the seed -3"),
    ("SetSmearBeam", (-1.0,), "smear_beam = -1"),
    ("SetXoffset", (float("nan"),), "offset_x = nan"),
    ("SetTargetCoordinates", (10.0, 10.0), "a target from z = 10 to 10 cm"),
    ("SetNovelty", (1,), "asks the generator for SetNovelty, which this version of shipgen does not know"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED)
def test_what_networks_cannot_do_is_refused_at_once(
    bundle: Bundle, name: str, arguments: tuple[Any, ...], message: str
) -> None:
    """As one line: a macro that does not catch it ends with that, and without success."""
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    with pytest.raises(RefusedError, match=message) as caught:
        getattr(generator, name)(*arguments)
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, SystemExit)
    assert caught.value.code == f"shipgen: {caught.value}"
    assert "\n" not in str(caught.value)


def test_a_bundle_that_cannot_be_used_is_refused_when_it_is_made(bundle: Bundle) -> None:
    with pytest.raises(RefusedError, match="bundle test has no variations: add"):
        FixedTargetGenerator(bundle, variation="kaons", base=FairGenerator)
    with pytest.raises(RefusedError, match="/nowhere is no bundle"):
        FixedTargetGenerator("/nowhere", base=FairGenerator)
    with pytest.raises(RefusedError, match="muons_per_event = 0"):
        FixedTargetGenerator(muons_per_event=0, base=FairGenerator)


@pytest.mark.usefixtures("root")
def test_what_has_no_effect_is_said_once(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    for name, arguments in (
        ("SetZoffset", (-8.4,)),
        ("SetDebug", (False,)),
        ("SetHeartBeat", (1000,)),
        ("SetHeartBeat", (1000,)),
        *((name, (1.0,)) for name in ("SetChicc", "SetChibb")),
        *((name, ()) for name in ("SetOnlyMuons", "UseRandom1", "UseRandom3", "Print")),
        ("SetBoost", (1.0,)),
        ("SetPythiaTune", ("default",)),
        ("SetCharmTarget", (False,)),
        ("SetTargetCoordinates", (0.0, 160.0)),
        ("SetSeed", (0,)),
    ):
        getattr(generator, name)(*arguments)
    read(generator, 10)
    assert generator.Init()
    loaded, said, without = capsys.readouterr().out.splitlines()
    assert said == (
        "shipgen: in place of FixedTargetGenerator: 1 muon(s) an event, not a proton; kinetic energy above "
        "10 GeV; target from z = 0 cm, beam at x = 0, y = 0 cm, not smeared: prompt muons start at x = y = 0"
    )
    assert without == (
        "shipgen: without effect: SetZoffset (protons start there, muons in the target), SetDebug, "
        "SetHeartBeat, SetChicc, SetChibb, SetOnlyMuons (there are no others), UseRandom1, UseRandom3, Print"
    )
    assert loaded.startswith("shipgen: bundle test ")
    assert generator.muons.seed > 0


@pytest.mark.usefixtures("root")
def test_it_answers_with_a_pythia_of_its_own(bundle: Bundle) -> None:
    """From which macros copy branching ratios to Geant4; the same one at each question."""
    generator = FixedTargetGenerator(bundle, base=FairGenerator)
    pythia = generator.GetPythia()
    assert isinstance(pythia, fairship_stand_in._Pythia)
    assert generator.GetPythia() is generator.GetPythiaN() is pythia


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("POT = 1000 with ecut=10.0", "POT = 666108 with ecut=12 shipgen"),
        ("POT = 1000 with ecut=0.5 X100.0", "POT = 666108 with ecut=12 X100.0 shipgen"),
        ("POT equivalent = 1.35E+09 with ecut=1.0", "POT = 666108 with ecut=12 shipgen"),
        ("", "POT = 666108 with ecut=12 shipgen"),
        ("POT = 666108 with ecut=12 shipgen", "POT = 666108 with ecut=12 shipgen"),
    ],
)
def test_titles_state_what_holds(title: str, expected: str) -> None:
    assert stated_title(title, 666108.0, 12.0) == expected
