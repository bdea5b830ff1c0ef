"""Networks that say how many muons each of theirs stands for: weights from graph to file."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.bundles import edit_index, known_weights, write_test_bundle
from helpers.production_runs import provenance, read, start
from shipgen.bundle.bundle import Bundle
from shipgen.errors import BundleError
from shipgen.fairship import muon_source
from shipgen.files.layouts import OUTPUT_LAYOUTS
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.streams import LATENT, stream
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.order import Order
from shipgen.production.produce import find_complete, produce

if TYPE_CHECKING:
    from pathlib import Path

#: Of four categories one is weighted on axis and one off axis.
WEIGHTED = ("muminus_onaxis", "muplus_offaxis")
N = 300_000


@pytest.fixture(scope="module", name="enhanced")
def enhanced_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    faults = {name: {"weighted": True} for name in WEIGHTED}
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "enhanced", **faults)


def test_the_index_says_which_networks_are_weighted(enhanced: Bundle, bundle: Bundle) -> None:
    index = json.loads((enhanced.path / "bundle.json").read_text())
    assert {item["name"]: item["weighted"] for item in index["categories"]} == {
        entry.category.name: entry.category.name in WEIGHTED for entry in bundle.entries
    }
    assert enhanced.weighted
    assert not bundle.weighted
    assert [entry.weighted for entry in enhanced.entries] == [net.weighted for net in enhanced.networks]


def test_an_index_that_contradicts_its_networks_is_refused(enhanced: Bundle, tmp_path: Path) -> None:
    for entry in enhanced.entries:
        (tmp_path / entry.file).write_bytes((enhanced.path / entry.file).read_bytes())
    index = (enhanced.path / "bundle.json").read_text()

    def say(number: int, weighted: object) -> None:
        (tmp_path / "bundle.json").write_text(index)
        edit_index(tmp_path, lambda index: index["categories"][number].update(weighted=weighted))

    for number, what in ((0, "makes no weights"), (1, "makes weights")):
        say(number, not enhanced.entries[number].weighted)
        with pytest.raises(BundleError, match=f"{what}, against bundle.json: export it again"):
            Bundle.open(tmp_path)
    say(0, "yes")
    with pytest.raises(BundleError, match="'weighted' of muplus_onaxis is neither true nor false"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("pot", [None, 1e9])
def test_a_muons_weight_is_the_plans_times_the_networks(enhanced: Bundle, pot: float | None) -> None:
    """Each weight is that of the latent that made the muon, in the same order."""
    # With --pot and --exact the plan's weight is not 1.
    amount: dict[str, Any] = {"n": N} if pot is None else {"pot": (N + 0.4) / enhanced.rate}
    generator = MuonGenerator(enhanced, **amount, seed=1, exact=True)
    assert (generator.plan.weight == 1) == (pot is None)
    first = next(iter(generator))
    chunk = generator.plan.chunk(0)
    for number, entry in enumerate(enhanced.entries):
        count = chunk.counts(4)[number]
        latent = stream(1, 0, LATENT + entry.category.number).standard_normal(
            (count, entry.latent_size), np.float32
        )
        weights = known_weights(latent) if entry.category.name in WEIGHTED else np.ones(count, np.float32)
        expected = weights * np.float32(generator.plan.weight)
        np.testing.assert_allclose(first.weight[chunk.labels == number], expected, rtol=1e-6)


def test_weights_do_not_change_the_muons(enhanced: Bundle, bundle: Bundle) -> None:
    weighted, plain = (list(MuonGenerator(each, n=N, seed=2)) for each in (enhanced, bundle))
    for one, other in zip(weighted, plain, strict=True):
        for name in ("pdg", "x", "y", "z", "px", "py", "pz"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert (other.weight == 1).all()


@pytest.mark.parametrize("layout", ["muonback", "ttree", "rntuple"])
def test_files_hold_the_weights_and_their_true_sum(enhanced: Bundle, tmp_path: Path, layout: str) -> None:
    generator = MuonGenerator(enhanced, n=N, seed=3, exact=True)
    report = produce(generator, tmp_path / "out.root", layout=OUTPUT_LAYOUTS[layout])
    weights = np.concatenate([batch.weight for batch in generator])
    name = "weight" if layout == "rntuple" else "w"
    with uproot.open(tmp_path / "out.root") as file:
        found = file[OUTPUT_LAYOUTS[layout].tree][name].array(library="np")
        facts = json.loads(str(file["shipgen"]))
    np.testing.assert_array_equal(found, weights)
    total = weights.sum(dtype=float)
    assert facts["sum_of_weights"] == report.weight == pytest.approx(total, rel=1e-12)
    # On average 1; their variance is exp(1/4) - 1 in a weighted category, 0 in the others: 5 deviations.
    assert abs(total - N) < 5 * np.sqrt(N * 0.3)
    assert total != N


def test_sums_survive_an_interruption(enhanced: Bundle, tmp_path: Path) -> None:
    options = ("--n", "8e5", "--max-per-file", 350_000)
    for folder, stop in (("whole", None), ("cut", (signal.SIGKILL, 3))):
        (tmp_path / folder).mkdir()
        start(enhanced, tmp_path / folder, *options, stop=stop).communicate(timeout=120)
    assert not (tmp_path / "cut" / "out_002.root").exists()
    done = start(enhanced, tmp_path / "cut", *options, "--resume")
    output, error = done.communicate(timeout=120)
    assert (done.returncode, error) == (0, "")
    total = 0.0
    for number in range(3):
        name = f"out_{number:03}.root"
        whole, cut = (tmp_path / folder / name for folder in ("whole", "cut"))
        np.testing.assert_array_equal(read(whole)["w"], read(cut)["w"])
        sums = [provenance(path)["sum_of_weights"] for path in (whole, cut)]
        assert sums[0] == sums[1] == pytest.approx(read(cut)["w"].sum(dtype=float), rel=1e-12)
        total += sums[0]
    assert f"sum of weights {total:.9g}," in output
    generator = MuonGenerator(enhanced, n=8e5, seed=1)
    order = Order.of(generator, tmp_path / "cut" / "out.root", max_per_file=350_000)
    found = find_complete(order)
    assert found is not None
    assert found.weight == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused_on_loading(tmp_path: Path, factor: float) -> None:
    faults = {"muplus_offaxis": {"weighted": True, "weight_factor": factor}}
    with pytest.raises(BundleError, match=r"muplus_offaxis\.onnx makes (muons of a weight that|no finite)"):
        write_test_bundle(tmp_path / "bad", **faults)


class Spoiled:
    """A session whose weight number 17 of the call number 20 is `value`."""

    def __init__(self, session: Any, value: float) -> None:
        self._session, self._value, self._left = session, value, 20

    def run(self, *arguments: Any) -> Any:
        muons, weights = self._session.run(*arguments)
        if not self._left:
            weights[17] = self._value
        self._left -= 1
        return [muons, weights]


@pytest.mark.parametrize(
    ("value", "what"), [(0, "a weight that is not above"), (-2, "a weight that"), (np.nan, "a number that")]
)
def test_weights_that_are_none_end_a_production(enhanced: Bundle, value: float, what: str) -> None:
    generator = MuonGenerator(enhanced, n=CHUNK_SIZE, seed=1, exact=True, workers=1)
    spoiled = replace(generator.networks[2], _session=Spoiled(generator.networks[2]._session, value))
    generator.networks = (*generator.networks[:2], spoiled, generator.networks[3])
    with pytest.raises(BundleError, match=rf"made 1 of \d+,\d+ muons with {what}.* \(seed 1, chunk 0\)"):
        list(generator)


def test_large_batches_of_a_device_have_the_same_weights(enhanced: Bundle) -> None:
    """The path of a GPU, on the CPU's provider."""
    generator = MuonGenerator(enhanced, n=CHUNK_SIZE, seed=1, exact=True)
    (expected,) = generator
    generator.networks = tuple(replace(network, device="cuda") for network in enhanced.networks)
    (made,) = generator
    for name, column in expected.columns().items():
        np.testing.assert_allclose(made.columns()[name], column, rtol=1e-6, atol=1e-5)


def test_events_carry_the_weights(enhanced: Bundle) -> None:
    events = MuonEvents(enhanced, EventOptions(seed=5, muons_per_event=3, pot_per_event=1e4))
    passed: list[tuple[Any, ...]] = []
    for _ in range(200):
        events.next_event(lambda *track: passed.append(track))
    batch = next(iter(MuonGenerator(enhanced, n=CHUNK_SIZE, seed=5, exact=True)))
    expected = batch.weight[:600].astype(float) * events.weight
    np.testing.assert_allclose([track[-1] for track in passed], expected, rtol=1e-6)
    assert len({track[-1] for track in passed}) > 200


def test_the_muon_source_passes_weights_on(enhanced: Bundle) -> None:
    class Base:
        def __init__(self, name: str) -> None:
            self.name = name

    class Primary:
        def __init__(self) -> None:
            self.tracks: list[tuple[Any, ...]] = []

        def AddTrack(self, *track: Any) -> None:  # noqa: N802
            self.tracks.append(track)

    source, primary = muon_source(enhanced, seed=5, base=Base), Primary()
    assert source.Init()
    for _ in range(50):
        assert source.ReadEvent(primary)
    weights = [track[11] for track in primary.tracks]
    batch = next(iter(MuonGenerator(enhanced, n=CHUNK_SIZE, seed=5, exact=True)))
    np.testing.assert_allclose(weights, batch.weight[:50], rtol=1e-6)
