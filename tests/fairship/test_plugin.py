"""The compiled source: it is built, its own tests run, and it makes the muons that Python makes.

Bit for bit where numbers are drawn, and for factors of variations, and within 1e-6 where networks worked on
them. One file: builds are slow.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import edit_index, external_model, write_levelled_bundle, write_test_bundle
from helpers.fairroot_stand_in import FairGenerator, FairPrimaryGenerator
from shipgen import MuonGenerator
from shipgen.bundle.bundle import DEFAULT_BUNDLE
from shipgen.bundle.levels import LEVELLED, fill
from shipgen.errors import BundleError, InputError
from shipgen.fairship import muon_source
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.plan import Plan
from shipgen.generate.selection import Selection
from shipgen.generate.streams import BEAM, LATENT, stream
from shipgen.muons.categories import CATEGORIES
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Float64

    Draw = Callable[..., bytes]

pytestmark = pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler")
needs_root = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

SOURCES = Path(__file__).parents[2]
MUON = np.dtype([("pdg", "<i4"), *((name, "<f4") for name in ("x", "y", "z", "px", "py", "pz", "weight"))])
FEATURES = ("x", "y", "z", "px", "py", "pz")
OFF_AXIS = ("muplus_offaxis", "muminus_offaxis")


def tool(name: str) -> str:
    """Return the path of a program of this environment, or of the system."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is missing: it comes with the extra 'test'"
    return found


def run(*command: object, expect: int = 0, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, check=False, timeout=1500, env=environment
    )
    assert done.returncode == expect, (done.stdout + done.stderr).decode(errors="replace")
    return done


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build with all that is there, without a warning."""
    folder = tmp_path_factory.mktemp("plugin") / "build"
    ninja = tool("ninja")
    run(
        tool("cmake"),
        *("-S", SOURCES, "-B", folder, "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        f"-DCMAKE_INSTALL_PREFIX={folder.parent / 'installed'}",
        "-DCMAKE_INSTALL_LIBDIR=lib",
        "-DSHIPGEN_MUONS_WARNINGS_AS_ERRORS=ON",
    )
    run(ninja, "-C", folder)
    return folder


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of known muons, with variations."""
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "varied", variations=1)


@pytest.fixture(scope="module")
def draw(build: Path) -> Draw:
    """Run `draw_muons`, and return what it writes."""
    return lambda *words: run(build / "tests" / "plugin" / "draw_muons", *words).stdout


def test_tests_in_cpp(build: Path) -> None:
    """Those that need ROOT run where it is: the macro, and the generator against a stand-in for FairRoot."""
    done = run(tool("ctest"), "--test-dir", build, "--output-on-failure").stdout.decode()
    assert "100% tests passed" in done
    names = ["test_streams", "test_bundle", "test_events", "test_without_onnxruntime"]
    if find_spec("ROOT") is not None:
        names += ["test_source", "test_macro"]
    assert all(f"{name} ." in done for name in names)


@pytest.mark.parametrize(("seed", "chunk", "category"), [(1, 0, 1), (0, 3, 2), (2**63 - 1, 381_469, 4)])
def test_latents_are_the_same(draw: Draw, seed: int, chunk: int, category: int) -> None:
    found = np.frombuffer(draw("latents", seed, chunk, LATENT + category, 100_003), np.float32)
    expected = stream(seed, chunk, LATENT + category).standard_normal(100_003, np.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("seed", "chunk", "category"), [(1, 0, 1), (2**63 - 1, 381_469, 4)])
def test_levels_are_the_same(draw: Draw, seed: int, chunk: int, category: int) -> None:
    found = np.frombuffer(draw("levels", seed, chunk, LATENT + category, 100_000), np.float32)
    outputs = stream(seed, chunk, LATENT + category).bit_generator.random_raw(12_500)
    np.testing.assert_array_equal(found, fill(outputs, np.empty(100_000, np.float32)))
    assert len(set(found.tolist())) == 256


@pytest.mark.parametrize(
    ("rates", "amount", "seed", "exact"),
    [
        ((1.5e-4, 1.6e-4, 6.5e-4, 5.4e-4), {"n": 600_000}, 1, False),
        ((1.5e-4, 1.6e-4, 6.5e-4, 5.4e-4), {"pot": 3.3e6}, 2**63 - 1, True),
        ((0.1, 0.7, 0.1, 0.1), {"pot": 12.5}, 7, False),
        ((0.0, 2.0, 0.0, 5.0), {"n": 5}, 3, True),
        ((0.0, 0.0, 0.0, 1 / 3), {"n": CHUNK_SIZE}, 4, True),
        ((1e-17, 1.0, 1.0, 0.0), {"pot": 1234.5}, 5, True),
    ],
)
def test_plans_are_the_same(
    draw: Draw, rates: tuple[float, ...], amount: dict[str, float], seed: int, *, exact: bool
) -> None:
    """Totals, weights and the category of each muon."""
    plan = Plan.make(rates, **amount, seed=seed, exact=exact)
    number = amount["n"] if "n" in amount else -amount["pot"]
    found = draw("plan", seed, number, int(exact), *map(repr, rates))
    assert np.frombuffer(found[:16], np.float64).tolist() == [plan.total, plan.weight]
    np.testing.assert_array_equal(
        np.frombuffer(found[16:], np.uint8), np.concatenate([chunk.labels for chunk in plan])
    )


def test_nothing_is_left_in_the_home_of_the_user(
    build: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(build / "tests" / "plugin" / "draw_muons", "muons", bundle.path, 5, 1000, 0).stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["default", "test", "levels"])
def test_muons_are_the_same(draw: Draw, bundle: Bundle, tmp_path: Path, which: str) -> None:
    """Of a bundle that is feature-major, one that is row-major and one of levels; more than a chunk."""
    path = {"default": DEFAULT_BUNDLE, "test": bundle.path, "levels": tmp_path / "levels"}[which]
    if which == "levels":
        assert {network.stream for network in write_levelled_bundle(path).networks} == {LEVELLED}
    generator = MuonGenerator(path, n=CHUNK_SIZE + 50_000, seed=5, workers=1)
    assert {network.feature_major for network in generator.networks} == {which != "test"}
    found = np.frombuffer(draw("muons", path, 5, CHUNK_SIZE + 50_000, 0), MUON)
    batches = list(generator)
    for name in MUON.names or ():
        expected = np.concatenate([getattr(batch, name) for batch in batches])
        if name in FEATURES:
            np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(found[name], expected)


def split_events(content: bytes) -> tuple[float, list[Float64]]:
    """Return the POT and the tracks of each event that `draw_muons events` wrote, float64[n, 8]."""
    pot, _, rest = content.partition(b"\n")
    numbers, events, place = np.frombuffer(rest, np.float64), [], 0
    while place < len(numbers):
        stop = place + 1 + 8 * int(numbers[place])
        events.append(numbers[place + 1 : stop].reshape(-1, 8))
        place = stop
    return float(pot), events


def read_events(
    bundle: Bundle | Path, events: int, options: dict[str, Any]
) -> tuple[MuonEvents, list[list[tuple[float, ...]]]]:
    """Return the source in Python and its events: PDG code, momentum, position, weight of each track."""
    muons: MuonEvents = muon_source(bundle, seed=9, base=FairGenerator, **options).muons
    read: list[list[tuple[float, ...]]] = []
    for _ in range(events):
        read.append([])
        muons.next_event(lambda *track: read[-1].append((*track[:7], track[11])))
    return muons, read


def words_of(options: dict[str, Any]) -> list[str]:
    """Return options as `draw_muons` takes them."""
    return [
        f"{name}={','.join(value) if isinstance(value, tuple) else value}" for name, value in options.items()
    ]


@pytest.mark.parametrize(
    ("events", "options"),
    [
        (3000, {}),
        (3000, {"muons_per_event": 3, "target_z": -250.0, "offset_x": 1.5, "offset_y": -20.0}),
        (2000, {"pot_per_event": 3000.0}),
        (2000, {"muons_per_event": 2, "pot_per_event": 1.0}),
        (3000, {"energy_cut": 30.0}),
        (300, {"pot_per_event": 1e4, "energy_cut": 20.0}),
        (3, {"muons_per_event": 100_000, "smear_beam": 0.8, "paint_beam": 5.0}),
        (1000, {"smear_beam": 1.6}),
        (2000, {"categories": ("muplus_offaxis", "muminus_onaxis")}),
        (
            2000,
            {"categories": OFF_AXIS, "charge_fraction": 0.3, "smear_beam": 1.6},
        ),
        (2000, {"charge_fraction": 0.9, "pot_per_event": 3000.0}),
    ],
)
def test_events_are_the_same(draw: Draw, bundle: Bundle, events: int, options: dict[str, Any]) -> None:
    muons, expected = read_events(bundle, events, options)
    pot, found = split_events(draw("events", bundle.path, 9, events, *words_of(options)))
    assert [len(event) for event in found] == [len(event) for event in expected]
    np.testing.assert_allclose(
        np.concatenate(found), np.concatenate([event for event in expected if event]), rtol=1e-6, atol=1e-6
    )
    assert pot == pytest.approx(muons.pot, rel=1e-15)


@pytest.mark.parametrize(
    ("which", "options"),
    [
        ("default", {"muons_per_event": 140_000, "smear_beam": 1.6, "variation": "vary_kaons"}),
        ("default", {"energy_cut": 30.0, "paint_beam": 5.0, "variation": "pairs"}),
        ("test", {"muons_per_event": 140_000, "charge_fraction": 0.4, "variation": "mine"}),
        ("weighted", {"pot_per_event": 1e4, "variation": "kaons"}),
        ("levels", {"categories": OFF_AXIS, "variation": "kaons"}),
    ],
)
def test_weights_of_a_variation_are_the_same(
    draw: Draw, varied: Bundle, tmp_path: Path, which: str, options: dict[str, Any]
) -> None:
    """To the last bit, over batches and more than a chunk; the muons are those without."""
    path = {"default": DEFAULT_BUNDLE, "test": varied.path}.get(which, tmp_path / which)
    if which == "weighted":
        write_test_bundle(path, variations=1.5, muplus_offaxis={"weighted": True})
    elif which == "levels":
        write_test_bundle(path, variations=1, **{one.name: {"levelled": True} for one in CATEGORIES})
    options = {"muons_per_event": 10_000, **options}
    words = words_of({name: value for name, value in options.items() if name != "variation"})
    (pot, plain), (same_pot, found) = (
        split_events(draw("events", path, 9, 2, *words, *more))
        for more in ((), (f"variation={options['variation']}",))
    )
    muons, expected = read_events(path, 2, options)
    assert pot == same_pot == pytest.approx(muons.pot, rel=1e-15)
    moved, unmoved = np.concatenate(found), np.concatenate(plain)
    assert len(moved) == 2 * options["muons_per_event"]
    np.testing.assert_array_equal(moved[:, :7], unmoved[:, :7])
    np.testing.assert_array_equal(moved[:, 7], np.concatenate(expected)[:, 7])
    assert (moved[:, 7] / unmoved[:, 7]).std() > 0.01


def test_the_beam_is_at_the_same_place(draw: Draw, bundle: Bundle) -> None:
    """To the last bit: all that a muon of the axis has is the beam's, and others are moved by as much."""
    selection = Selection(smear_beam=0.8, paint_beam=5.0)
    batch = next(iter(MuonGenerator(bundle, n=300_000, seed=9, selection=selection)))
    words = ("events", bundle.path, 9, 1, "muons_per_event=100000")
    (plain,), (moved,) = (
        split_events(draw(*words, *more))[1] for more in ((), ("smear_beam=0.8", "paint_beam=5"))
    )
    on_axis = (plain[:, 4] == 0) & (plain[:, 5] == 0)
    assert 0.1 < on_axis.mean() < 0.9
    for column, expected in ((4, batch.x), (5, batch.y)):
        np.testing.assert_array_equal(moved[on_axis, column], expected[:100_000][on_axis])
    x, y = np.zeros((2, CHUNK_SIZE), np.float32)
    x[:100_000], y[:100_000] = plain[:, 4], plain[:, 5]
    selection.beam.move(x, y, stream(9, 0, BEAM))
    np.testing.assert_array_equal(moved[:, 4], x[:100_000])
    np.testing.assert_array_equal(moved[:, 5], y[:100_000])


def test_networks_may_say_weights(draw: Draw, build: Path, tmp_path: Path) -> None:
    """The muon's weight is the plan's, or the event's, times the network's."""
    names = ("muminus_onaxis", "muplus_offaxis")
    bundle = write_test_bundle(tmp_path / "weighted", **{name: {"weighted": True} for name in names})
    # A rounded total, which a weight of the plan makes up for.
    generator = MuonGenerator(bundle, pot=70_000.25, seed=1, exact=True, workers=1)
    assert generator.plan.weight != 1
    found = np.frombuffer(draw("muons", bundle.path, 1, -70_000.25, 1), MUON)
    (batch,) = generator
    np.testing.assert_array_equal(found["pdg"], batch.pdg)
    np.testing.assert_allclose(found["weight"], batch.weight, rtol=1e-6)
    assert found["weight"].std() > 0.1

    muons = MuonEvents(bundle, EventOptions(seed=1, muons_per_event=2, pot_per_event=3))
    weights: list[float] = []
    for _ in range(500):
        muons.next_event(lambda *track: weights.append(track[11]))
    _, events = split_events(draw("events", bundle.path, 1, 500, "muons_per_event=2", "pot_per_event=3"))
    np.testing.assert_allclose(np.concatenate(events)[:, 7], weights, rtol=1e-6)

    with pytest.raises(BundleError, match="weight that is not above zero"):
        write_test_bundle(tmp_path / "bad", muplus_onaxis={"weighted": True, "weight_factor": -1.0})
    done = run(build / "tests" / "plugin" / "draw_muons", "muons", tmp_path / "bad", 1, 1000, 1, expect=1)
    assert b"made muons with a weight that is not above zero" in done.stderr


def test_errors_are_one_line(build: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Also of networks that make no numbers, and of a library that is not ONNX Runtime."""
    program = build / "tests" / "plugin" / "draw_muons"
    with pytest.raises(BundleError, match="makes no finite muons"):
        write_test_bundle(tmp_path / "infinite", muplus_offaxis={"factor": float("inf")})
    # Where the program stands, so that ONNX Runtime would find it.
    np.eye(4, dtype=np.float32).tofile(tmp_path / "numbers")
    model = external_model(4, os.path.relpath(tmp_path / "numbers"))
    digest = hashlib.sha256(model).hexdigest()
    outside = write_test_bundle(tmp_path / "outside").path
    (outside / "muplus_onaxis.onnx").write_bytes(model)
    edit_index(outside, lambda index: index["categories"][0].update(sha256=digest))
    pipe = write_test_bundle(tmp_path / "pipe").path
    (pipe / "muplus_onaxis.onnx").unlink()
    os.mkfifo(pipe / "muplus_onaxis.onnx")
    for words, variables, message in (
        (("muons", "/nowhere", 1, 10, 1), {}, "/nowhere is no bundle"),
        (
            ("muons", tmp_path / "infinite", 1, 10, 1),
            {},
            "muplus_offaxis.onnx made muons with a number that is not",
        ),
        (
            ("muons", outside, 1, 10, 1),
            {},
            "can run: it has numbers in another file, whose hash nobody states",
        ),
        (("muons", pipe, 1, 10, 1), {}, "muplus_onaxis.onnx cannot be read: it is no file"),
        (("muons", bundle.path, 1, 10, 1), {"SHIPGEN_ONNXRUNTIME": "libm.so.6"}, "is not ONNX Runtime"),
        (("events", bundle.path, 1, 10, "energy_cut=5"), {}, "below that of bundle test, 10 GeV"),
    ):
        done = run(program, *words, expect=1, **variables)
        assert message in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1


def test_errors_of_variations_are_those_of_python(build: Path, bundle: Bundle, tmp_path: Path) -> None:
    program = build / "tests" / "plugin" / "draw_muons"
    folders = {name: tmp_path / name for name in ("varied", "negative", "outside", "other", "lost", "pipe")}
    for name, folder in folders.items():
        write_test_bundle(folder, variations=-1 if name == "negative" else 1)
    # Where the program stands, so that ONNX Runtime would find it.
    np.eye(4, dtype=np.float32).tofile(tmp_path / "numbers")
    models = {
        "outside": external_model(4, os.path.relpath(tmp_path / "numbers")),
        "other": (folders["other"] / "muplus_onaxis.onnx").read_bytes(),
    }
    for name, model in models.items():
        (folders[name] / "muplus_onaxis.variations.onnx").write_bytes(model)
        digest = hashlib.sha256(model).hexdigest()
        edit_index(
            folders[name],
            lambda index, digest=digest: index["categories"][0]["variations"].update(sha256=digest),
        )
    (folders["lost"] / "muplus_onaxis.variations.onnx").write_bytes(b"another one")
    (folders["pipe"] / "muplus_onaxis.variations.onnx").unlink()
    os.mkfifo(folders["pipe"] / "muplus_onaxis.variations.onnx")
    whole = {
        (bundle.path, "kaons"): "bundle test has no variations: add those of its sample by `shipgen train",
        (folders["varied"], "bad"): "bundle test has no variation 'bad': choose from kaons, mine",
        (folders["varied"], "all"): "bundle test has no variation 'all': choose from kaons, mine",
        (folders["negative"], "mine"): "variations.onnx are not all finite and above zero: train them again",
        (folders["lost"], "kaons"): "variations.onnx are missing, damaged or not the bundle's own: get",
        (folders["pipe"], "kaons"): "variations.onnx are missing, damaged or not the bundle's own: get",
    }
    parts = {
        (folders["outside"], "kaons"): "variations.onnx is no ONNX model that can run: ",
        (folders["other"], "kaons"): "where 'muons' float32[4, N] and 'factors' float32[2, N] are expected: ",
    }
    for (path, name), message in {**whole, **parts}.items():
        error = run(program, "events", path, 1, 10, f"variation={name}", expect=1).stderr.decode()
        with pytest.raises((BundleError, InputError)) as told:
            MuonEvents(path, EventOptions(seed=1, variation=name)).open()
        assert message in error
        assert message in str(told.value)
        assert error.count("\n") == 1
        if (path, name) in whole:
            assert error == f"{told.value}\n"


def test_a_factor_that_cannot_be_ends_the_series(draw: Draw, tmp_path: Path) -> None:
    """Finite where networks are tried out, infinite for the fastest muons; of what is asked for."""
    path = write_test_bundle(tmp_path / "wild", variations=2.085e38).path
    first, second, *others = draw("errors", path, 1, 200_000, "variation=kaons").decode().splitlines()
    assert set(others) == {second}
    with pytest.raises(BundleError) as told:
        MuonEvents(path, EventOptions(seed=1, variation="kaons")).next_event(lambda *_: None)
    assert first == str(told.value)
    assert first.endswith("not all finite and above zero (seed 1, chunk 0): train them again")
    assert second == "no more muons after an error: make a new series"
    assert draw("errors", path, 1, 200_000, "variation=mine") == b""


def test_an_error_ends_the_series(draw: Draw, tmp_path: Path) -> None:
    """As in Python, which does not go on with other muons."""
    # Finite where a bundle is tried out when it is opened, infinite for one muon in 20,000.
    wild = write_test_bundle(tmp_path / "wild", muminus_offaxis={"weighted": True, "weight_factor": 5.5e37})
    first, second, *others = draw("errors", wild.path, 1, 200_000).decode().splitlines()
    assert set(others) == {second}
    assert "muminus_offaxis.onnx made muons with a number that is not finite (seed 1, chunk 0)" in first
    assert second == "no more muons after an error: make a new series"
    muons, told = MuonEvents(wild, EventOptions(seed=1)), []
    while len(told) < 2:
        try:
            muons.next_event(lambda *_: None)
        except (BundleError, InputError) as error:
            told.append(str(error))
        assert muons.events < 200_000
    assert "muons with a number that is not finite (seed 1, chunk 0)" in told[0]
    assert told[1] == "no more muons after an error: make a new source"


def test_a_cut_above_all_muons_is_told(draw: Draw, bundle: Bundle) -> None:
    """It would be an event without an end."""
    found = draw("errors", bundle.path, 1, 1, "energy_cut=1000").decode()
    assert found == "none of 1e+07 muons in a row is above energy_cut = 1000 GeV: choose a lower one\n"


def test_no_names_of_numpy_are_exported(build: Path) -> None:
    """NumPy, loaded after the library, would call them in place of its own."""
    assert not hasattr(CDLL(str(build / "lib" / "libShipgenMuons.so")), "random_poisson")


SOURCE = """
import json, sys
import ROOT
import onnxruntime  # its copy of ONNX Runtime beside that of the source
ROOT.gInterpreter.Declare('#include "FairPrimaryGenerator.h"')
ROOT.gSystem.Load({library!r})
results = []
for bundle, variation in {bundles!r}:
    primary = ROOT.FairPrimaryGenerator()
    source = ROOT.shipgen_muons.MuonSource(bundle)
    ROOT.SetOwnership(source, False)
    source.SetSeed(1)
    source.SetPotPerEvent(2000)
    source.SetEnergyCut(15)
    source.SetVariation(variation)
    primary.AddGenerator(source)
    primary.Init()
    done = primary.Run(1000)
    told = [json.loads(str(text) or "null") for text in (source.GetFileSummary(), source.GetProvenance())]
    results.append([done, source.ClassName(), told, list(primary.Counts()), list(primary.Tracks())])
print(json.dumps(results))
"""


def run_sources(build: Path, *bundles: tuple[object, str], **variables: str) -> tuple[list[Any], str]:
    """Run the generator for FairRoot in PyROOT, under the stand-in; return what it prints and tells.

    Of each bundle with a variation; empty: none.
    """
    library = build / "lib" / "libShipgenMuonsStandIn.so"
    text = SOURCE.format(library=str(library), bundles=[(str(path), name) for path, name in bundles])
    headers = (SOURCES / "shipgen" / "plugin" / "include", SOURCES / "tests" / "plugin" / "stand_in")
    variables["ROOT_INCLUDE_PATH"] = ":".join(map(str, headers))
    done = run(sys.executable, "-W", "ignore", "-c", text, **variables)
    # ONNX Runtime may write lines of its own.
    own = [line for line in done.stderr.decode().splitlines(keepends=True) if "] shipgen: " in line]
    return json.loads(done.stdout), "".join(own)


@needs_root
def test_the_generator_passes_the_tracks_that_python_passes(build: Path, varied: Bundle) -> None:
    variations = (None, "kaons")
    results, error = run_sources(build, *((varied.path, name or "") for name in variations))
    facts = f"bundle test {varied.sha256[:12]}, seed 1, 0.0015 muons per proton on target"
    assert error == 2 * f"[info] shipgen: {facts}\n"
    for variation, (events, name, found, counts, tracks) in zip(variations, results, strict=True):
        assert (events, name) == (1000, "shipgen_muons::MuonSource")
        primary = FairPrimaryGenerator()
        source = muon_source(
            varied, seed=1, pot_per_event=2000, energy_cut=15, variation=variation, base=FairGenerator
        )
        primary.AddGenerator(source)
        primary.Run(1000)
        provenance = source.muons.provenance()
        assert set(found[1].pop("versions")) == {"shipgen", "onnxruntime"}
        assert provenance.pop("versions")
        assert found == [source.muons.file_summary(), provenance]
        assert ("variation" in provenance) == (variation is not None)
        assert counts == [len(event) for event in primary.events]
        expected = np.array([track for event in primary.events for track in event], float)
        np.testing.assert_allclose(np.reshape(tracks, (-1, 12)), expected, rtol=1e-6, atol=1e-6)


@needs_root
def test_what_is_missing_ends_the_run_without_a_crash(build: Path) -> None:
    """A bundle, and ONNX Runtime: one line each."""
    sources, errors = run_sources(
        build, ("/nowhere", ""), (DEFAULT_BUNDLE, ""), SHIPGEN_ONNXRUNTIME="/nowhere.so"
    )
    for events, _, _, counts, tracks in sources:
        assert (events, counts, tracks) == (0, [0], [])
    bundle, runtime = errors.splitlines()
    assert bundle.startswith("[error] shipgen: /nowhere is no bundle")
    assert runtime.startswith("[error] shipgen: running networks needs ONNX Runtime")


INSTALLED = """
import ROOT
ROOT.gSystem.Load("libShipgenMuonsDict")
options = ROOT.shipgen_muons.Options()
options.seed, options.muons_per_event = 1, 3
events = ROOT.shipgen_muons.MuonEvents(options)
print(events.NextEvent().size(), events.GetBundle().Path())
options.bundle = "/nowhere"
try:
    ROOT.shipgen_muons.MuonEvents(options)
except ROOT.shipgen_muons.BundleError as error:
    print("refused", error.what())
"""


def test_installed(build: Path, tmp_path: Path) -> None:
    """Another project finds the core; PyROOT the dictionary, whose errors are Python's."""
    run(tool("cmake"), "--install", build)
    prefix = build.parent / "installed"
    bundle = str(prefix / "share" / "shipgen_muons" / "default")
    consumer = SOURCES / "tests" / "plugin" / "consumer"
    ninja = ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}")
    run(tool("cmake"), "-S", consumer, "-B", tmp_path, *ninja, f"-DCMAKE_PREFIX_PATH={prefix}")
    run(tool("cmake"), "--build", tmp_path)
    assert run(tmp_path / "consumer").stdout.decode().split() == ["1", bundle]
    if find_spec("ROOT") is None:
        return
    done = run(sys.executable, "-W", "ignore", "-c", INSTALLED, LD_LIBRARY_PATH=str(prefix / "lib"))
    first, second = done.stdout.decode().splitlines()
    assert (first.split(), second.split()[0]) == (["3", bundle], "refused")
