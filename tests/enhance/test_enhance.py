"""Enhanced bundles: the graph against NumPy, the gain in the region, and that nothing else changes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from helpers.bundles import write_levelled_bundle
from shipgen.bundle.bundle import Bundle
from shipgen.errors import BundleError, InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.muons.quantities import QUANTITIES, Quantities
from shipgen.muons.regions import Expression
from shipgen_export.enhance import adapt
from shipgen_export.enhance.enhance import Enhanced, enhance, maker
from shipgen_export.enhance.graph import build_enhanced_graph
from shipgen_export.enhance.mixture import Mixture, fit, log_sum
from shipgen_export.enhance.proposal import Proposal
from shipgen_export.enhance.regions.region_file import read_region

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

#: Holds one in a thousand of the default bundle's muons.
REGION = "pt > 1.85"


def proposal(latent_size: int, d: int, components: int = 4) -> Proposal:
    """A proposal with narrow, wide and far components in some directions."""
    random = np.random.default_rng(latent_size)
    basis = np.linalg.qr(random.normal(size=(latent_size, d)))[0]
    factors = np.tril(random.normal(0, 0.3, (components, d, d)), -1) + np.eye(d)
    factors *= 10 ** random.uniform(-1.5, 0.4, (components, d, 1))
    means = random.normal(0, 3, (components, d))
    return Proposal(0.7, basis, Mixture(np.full(components, 1 / components), means, factors))


@pytest.fixture(scope="module")
def plain() -> Bundle:
    return Bundle.open()


@pytest.fixture(scope="module")
def enhanced(plain: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Enhanced:
    output = tmp_path_factory.mktemp("enhanced") / "high_pt"
    return enhance(read_region(REGION), output, bundle=plain, muons=20_000, measured=200_000)


@pytest.mark.parametrize(("d", "components"), [(1, 1), (2, 4), (4, 9)])
@pytest.mark.parametrize("layout", ["rows", "columns", "levels"])
def test_graph_agrees_with_numpy(
    layout: str, d: int, components: int, bundle: Bundle, plain: Bundle, tmp_path: Path
) -> None:
    """In all layouts; also far out, where densities differ by more than float32 holds."""
    source = {"rows": bundle, "columns": plain}.get(layout) or write_levelled_bundle(tmp_path / "levels")
    entry, network = source.entries[2], source.networks[2]
    assert network.feature_major == (layout != "rows")
    made = proposal(entry.latent_size, d, components)
    graph = build_enhanced_graph(
        (source.path / entry.file).read_bytes(),
        made,
        feature_major=network.feature_major,
        stream=entry.stream,
    )
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    latent = np.random.default_rng(1).standard_normal((4000, entry.latent_size + 1), np.float32)
    latent[:200, :-1] *= 3
    fed = np.ascontiguousarray(latent.T) if network.feature_major else latent
    muons, weights = session.run(None, {"latent": fed})
    assert [output.name for output in session.get_outputs()] == ["muons", "weight"]
    x, expected = made(latent)
    # Where the component is chosen by a number at its threshold, float32 may choose another.
    clear = np.abs(latent[:, -1:] - made.thresholds).min(1) > 1e-5
    x = x.astype(np.float32)
    wanted = network(np.ascontiguousarray(x.T) if network.feature_major else x)
    if network.feature_major:
        muons, wanted = muons.T, wanted.T
    width = wanted.max(0) - wanted.min(0)
    assert (np.abs(muons - wanted) / width)[clear].max() < 1e-4
    assert np.ptp(expected) > 3
    np.testing.assert_allclose(weights[clear], expected[clear], rtol=2e-3, atol=1e-34)
    assert (weights > 0).all()
    assert np.isfinite(weights).all()
    assert weights.max() <= 1 / 0.3 * (1 + 1e-5)


def test_weights_are_one_on_average_and_turn_draws_into_plain_ones() -> None:
    made = proposal(5, 2, 3)
    x, weights = made(np.random.default_rng(2).standard_normal((400_000, 6)))
    error = weights.std() / len(weights) ** 0.5
    assert weights.mean() == pytest.approx(1, abs=4 * error)
    assert (weights @ x / len(x)) == pytest.approx(np.zeros(5), abs=0.02)
    assert np.cov(x.T, aweights=weights) == pytest.approx(np.eye(5), abs=0.03)
    # Without them, draws are the proposal's: the share of each component is as stated.
    assert np.cov(x.T).max() > 1.5
    np.testing.assert_array_equal(np.searchsorted(made.thresholds, [-9, 9]), [0, made.mixture.components])
    again = Proposal.from_json(made.to_json())
    np.testing.assert_array_equal(again.weights(x[:100]), weights[:100])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 1.0}, "share"),
        ({"basis": [[1.0], [1.0]]}, "orthonormal"),
        ({"components": [{"fraction": 1.0, "mean": [0.0]}]}, "cannot be read"),
        ({"components": [{"fraction": 1.0, "mean": [0.0], "factor": [[0.0]]}]}, "no width"),
        ({"components": [{"fraction": 1.0, "mean": [0.0, 1.0], "factor": [[1.0]]}]}, "fit each other"),
        ({"components": [{"fraction": 1.0, "mean": [float("nan")], "factor": [[1.0]]}]}, "not finite"),
    ],
)
def test_what_is_no_proposal_is_refused(change: dict[str, object], message: str) -> None:
    part = {"fraction": 1.0, "mean": [0.5], "factor": [[0.5]]}
    content = {"share": 0.5, "basis": [[1.0], [0.0]], "components": [part]}
    assert Proposal.from_json(content).latent_size == 2
    with pytest.raises(InputError, match=message):
        Proposal.from_json({**content, **change})


def test_fit_finds_the_components() -> None:
    random = np.random.default_rng(3)
    factors = np.array([[[0.5, 0], [0.3, 0.2]], [[0.1, 0], [0, 1.0]]])
    true = Mixture(np.array([0.3, 0.7]), np.array([[2.0, 0], [-1, 1]]), factors)
    points = true.draw(20_000, random)
    # Half of the points, twice as heavy, and half of no weight that lie elsewhere.
    weights = np.concatenate([np.full(20_000, 2.0), np.zeros(5000)])
    found = fit(np.concatenate([points, np.full((5000, 2), 9.0)]), weights, 2, random)
    order = np.argsort(-found.means[:, 0])
    assert found.fractions[order] == pytest.approx(true.fractions, abs=0.02)
    assert found.means[order] == pytest.approx(true.means, abs=0.05)
    assert found.covariances[order] == pytest.approx(true.covariances, abs=0.05)
    held_out = true.draw(5000, random)
    assert found.log_density(held_out).mean() == pytest.approx(true.log_density(held_out).mean(), abs=0.01)
    # The density is one: its integral over a grid is.
    grid = np.stack(np.meshgrid(*[np.arange(-6, 6, 0.05)] * 2), -1).reshape(-1, 2)
    assert np.exp(true.with_wide(1.5, 0.2).log_density(grid)).sum() * 0.05**2 == pytest.approx(1, abs=1e-3)
    # One that is wide enough for what lies far out.
    least = true.evened(0.5).with_wide(1.0, 0.1, least=1.0).covariances[-1]
    assert np.linalg.eigvalsh(least).min() == pytest.approx(1)
    assert log_sum(np.array([[-2000.0, -np.inf], [-2000.0, -np.inf]])) == pytest.approx(
        [-2000 + np.log(2), -np.inf]
    )


def test_gain_is_what_was_asked_for(enhanced: Enhanced, plain: Bundle) -> None:
    """With half of the muons drawn towards the region."""
    *rows, together = enhanced.gain.rows
    assert together.plain == pytest.approx(1.76e-3, rel=0.05)
    assert together.enhanced > 50 * together.plain
    assert together.gain > 100
    assert together.largest < 100
    assert together.outside > 0.45
    for row, entry, found in zip(rows, plain.entries, enhanced.learned, strict=True):
        assert row.name == entry.category.name
        assert row.gain > 60
        assert row.weight == pytest.approx(1, abs=4 * row.error)
        assert row.share == pytest.approx(row.plain, abs=4 * np.hypot(row.share_error, found.error))
    assert [entry.rate for entry in enhanced.bundle.entries] == [entry.rate for entry in plain.entries]


def _made(source: Bundle, n: float, seed: int) -> tuple[Quantities, np.ndarray]:
    batches = list(MuonGenerator(source, n=n, seed=seed, workers=1))
    columns = {
        name: np.concatenate([batch.columns()[name] for batch in batches]) for name in batches[0].columns()
    }
    return Quantities(columns, source.target_start), columns["weight"].astype(np.float64)


def _chi2(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[float, int]:
    """Return chi2 of weighted histograms in bins of equal content, and their number."""
    # Of at most some 50,000 of them, which is enough for edges.
    edges = np.unique(np.quantile(other[0][:: 1 + len(other[0]) // 50_000], np.linspace(0, 1, 21)))
    edges[0], edges[-1] = -np.inf, np.inf
    sums, squares = [], []
    for values, weights in (one, other):
        place = np.searchsorted(edges, values, side="right") - 1
        sums.append(np.bincount(place, weights, len(edges) - 1))
        squares.append(np.bincount(place, weights**2, len(edges) - 1))
    return float(np.sum((sums[0] - sums[1]) ** 2 / (squares[0] + squares[1]))), len(edges) - 1


def test_weighted_muons_are_the_plain_ones(enhanced: Enhanced, plain: Bundle) -> None:
    """Each quantity's histogram, in the region and outside, in the same number of protons."""
    one, weights = _made(enhanced.bundle, 300_000, 4)
    other, ones = _made(plain, 2_000_000, 5)
    # Sums of weights against the rate, with errors of both samples.
    total = weights.sum()
    assert total == pytest.approx(300_000, abs=4 * np.square(weights).sum() ** 0.5)
    scale = 300_000 / 2_000_000
    region = Expression.parse(REGION)
    inside, there = region.holds(one), region.holds(other)
    assert 3 / inside.mean() < 1 / there.mean()
    found = []
    for name in QUANTITIES:
        for chosen, known in ((inside, there), (~inside, ~there)):
            # Prompt muons start at exactly 0, which is no bin's edge.
            apart = [
                q["r"] > 0 if name in {"x", "y", "r", "phi_xy", "dphi"} else q["r"] >= 0 for q in (one, other)
            ]
            mine, theirs = chosen & apart[0], known & apart[1]
            chi2, bins = _chi2((one[name][mine], weights[mine]), (other[name][theirs], ones[theirs] * scale))
            found.append((chi2 - bins) / (2 * bins) ** 0.5)
            assert chi2 < bins + 5 * (2 * bins) ** 0.5, (name, chi2, bins)
    # Quantities are not independent; on average chi2 is still its number of bins.
    assert abs(np.mean(found)) < 1


def test_bundle_says_what_it_is(
    enhanced: Enhanced, plain: Bundle, shipgen: Callable[..., CompletedProcess[str]]
) -> None:
    bundle = Bundle.open(enhanced.bundle.path)
    assert bundle.weighted
    assert bundle.provenance["enhanced"]["base"]["sha256"] == plain.sha256
    for entry, old in zip(bundle.entries, plain.entries, strict=True):
        stated = entry.details["proposal"]
        assert stated["region"] == REGION
        assert stated["plain_sha256"] == old.sha256
        made = Proposal.from_json(stated)
        assert (made.latent_size, entry.latent_size) == (old.latent_size, old.latent_size + 1)
        # What is stated is what is in the graph.
        network = bundle.networks[bundle.entries.index(entry)]
        latent = np.random.default_rng(6).standard_normal((500, entry.latent_size), np.float32)
        weights = network.columns(np.ascontiguousarray(latent.T))[-1]
        np.testing.assert_allclose(weights, made(latent)[1], rtol=1e-3)
    told = shipgen("info", bundle.path)
    assert told.returncode == 0, told.stderr
    assert REGION in told.stdout


def test_an_enhanced_bundle_is_not_enhanced_again(enhanced: Enhanced, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="enhanced already"):
        enhance(read_region("p > 50"), tmp_path / "twice", bundle=enhanced.bundle)
    entry = enhanced.bundle.entries[0]
    with pytest.raises(BundleError, match="weighted muons already"):
        build_enhanced_graph(
            (enhanced.bundle.path / entry.file).read_bytes(),
            proposal(entry.latent_size, 1),
            feature_major=True,
        )


def test_the_seed_decides_everything(bundle: Bundle, tmp_path: Path) -> None:
    region = read_region("px > 0.9")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        enhance(region, tmp_path / name, bundle=bundle, muons=2000, measured=2000, seed=seed, name="x")
    read = [(tmp_path / name / "muplus_offaxis.onnx").read_bytes() for name in "abc"]
    assert read[0] == read[1] != read[2]
    assert Bundle.open(tmp_path / "a").sha256 == Bundle.open(tmp_path / "b").sha256


def test_a_category_without_the_region_stays_plain(bundle: Bundle, tmp_path: Path) -> None:
    made = enhance(
        read_region("charge > 0 and r > 3"), tmp_path / "part", bundle=bundle, muons=5000, measured=20_000
    )
    weighted = {entry.category.name: entry.weighted for entry in made.bundle.entries}
    assert weighted == {
        "muplus_onaxis": False,
        "muminus_onaxis": False,
        "muplus_offaxis": True,
        "muminus_offaxis": False,
    }
    # r > 3 of x = 2 tanh, y = 3 tanh: as often as NumPy says.
    latent = np.random.default_rng(7).standard_normal((400_000, 2))
    share = float((np.hypot(2 * np.tanh(latent[:, 0]), 3 * np.tanh(latent[:, 1])) > 3).mean())
    assert made.learned[2].share == pytest.approx(share, abs=4 * made.learned[2].error + 0.002)
    batch = next(iter(MuonGenerator(made.bundle, n=20_000, seed=1)))
    assert set(batch.weight[batch.pdg == 13].tolist()) == {1.0}
    assert len(set(batch.weight[(batch.pdg == -13) & (batch.x != 0)].tolist())) > 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("px > 5", "no muon of bundle test is in the region 'px > 5'"),
        ("pt < 100", "all muons of bundle test are in the region 'pt < 100'"),
        ("sqrt(-p) > 0", "no muon"),
        (
            "charge > 0",
            "all of muplus_onaxis, muplus_offaxis and nothing else: `shipgen produce --category mup",
        ),
    ],
)
def test_no_muon_or_all_of_them(text: str, message: str, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        enhance(read_region(text), tmp_path / "none", bundle=bundle, muons=2000)
    assert not list(tmp_path.iterdir())


def test_options_out_of_range(bundle: Bundle, tmp_path: Path) -> None:
    for options in ({"share": 1.0}, {"share": 0.0}, {"components": 0}, {"muons": 10}):
        with pytest.raises(InputError, match=next(iter(options))):
            enhance(read_region("px > 0"), tmp_path / "none", bundle=bundle, **options)  # type: ignore[arg-type]


def test_a_rare_region_is_found(plain: Bundle) -> None:
    """Three in a million, which no 20,000 plain muons show: found in rounds, its share without bias."""
    entry, network = plain.entries[2], plain.networks[2]
    target = read_region("pt > 2.4 and p > 80")
    found = adapt.learn(
        maker(entry, network, plain.target_start),
        network.latent_size,
        target,
        np.random.default_rng(8),
        share=0.5,
        components=3,
        muons=20_000,
    )
    random = np.random.default_rng(9)
    held = 0
    for _ in range(40):
        latent = random.standard_normal((7, 100_000), np.float32)
        columns = Quantities.of_features(entry.category, network.columns(latent), plain.target_start)
        held += int(target.importance(columns).sum())
    assert held >= 5
    assert found.share * 4e6 == pytest.approx(held, abs=4 * held**0.5)
    assert found.error < 0.1 * found.share
    assert found.proposal is not None
    drawn = maker(entry, network, plain.target_start)(found.proposal.draw(5000, random))
    assert target.importance(drawn).mean() > 0.2


def test_weights_do_not_grow_far_out(enhanced: Enhanced) -> None:
    """Muons of transverse momenta that one in 1e8 has are no heavier than the region's mean."""
    for entry, row in zip(enhanced.bundle.entries, enhanced.gain.rows, strict=False):
        stated = Proposal.from_json(entry.details["proposal"])
        mean = row.plain / row.enhanced
        # Latent 2 is the rank of pT; the others are as they are in the region, and plain.
        x = np.zeros((5, stated.latent_size))
        x[:, 2] = np.linspace(4.5, 6.5, 5)
        assert stated.weights(x).max() < 5 * mean, entry.category.name


def test_a_search_may_end_with_its_last_round(plain: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose muons count like the others."""
    monkeypatch.setattr(adapt, "_ROUNDS", 2)
    entry, network = plain.entries[2], plain.networks[2]
    make = maker(entry, network, plain.target_start)
    options = {"share": 0.5, "components": 2, "muons": 3000}
    found = adapt.learn(make, 7, read_region("pt > 2.2"), np.random.default_rng(1), **options)
    assert found.drawn == 9000
    assert found.proposal is not None


def test_kinematics_that_are_not_reached_are_told(bundle: Bundle, tmp_path: Path) -> None:
    """Half of the muons are plain ones here, and lie in a wide region anyway."""
    (tmp_path / "r.toml").write_text("[around]\np = [30, 4]\n")
    region = read_region(str(tmp_path / "r.toml"))
    for share, right in ((0.1, False), (0.99, True)):
        options = {"share": share, "components": 8, "muons": 10_000, "measured": 20_000}
        made = enhance(region, tmp_path / "made", bundle=bundle, force=True, **options)  # type: ignore[arg-type]
        told = list(made.gain.lines())
        assert any("; asked for 30 +- 4" in line for line in told)
        assert any("not what was asked for" in line for line in told) != right


def test_a_table_may_cover_all_muons(bundle: Bundle, tmp_path: Path) -> None:
    """All are wanted, some more: statistics of what is counted with the table's weights are gained."""
    header = "p_min,p_max,pt_min,pt_max,weight\n"
    (tmp_path / "all.csv").write_text(f"{header}0,48,0,9,1\n48,99,0,9,200\n")
    region = read_region(str(tmp_path / "all.csv"))
    made = enhance(region, tmp_path / "made", bundle=bundle, muons=4000, measured=40_000)
    for row, entry in zip(made.gain.rows, made.bundle.entries, strict=False):
        assert entry.weighted
        assert row.plain == row.enhanced == 1
        assert row.gain > 3
        assert row.weight == pytest.approx(1, abs=4 * row.error)
    # The effective number of muons, each times its table's weight, against as many plain ones.
    spread = []
    for source in (made.bundle, bundle):
        batch = next(iter(MuonGenerator(source, n=100_000, seed=1, exact=True)))
        values = region.importance(Quantities.of_batch(batch, source.target_start)) * batch.weight
        spread.append(values.std() / values.mean())
    assert made.gain.rows[-1].gain == pytest.approx((1 + spread[1] ** 2) / (1 + spread[0] ** 2), rel=0.1)
    (tmp_path / "even.csv").write_text(f"{header}0,99,0,9,7\n")
    with pytest.raises(InputError, match=r"all muons of bundle test are in the region 'table even\.csv'"):
        enhance(read_region(str(tmp_path / "even.csv")), tmp_path / "none", bundle=bundle, muons=4000)


def test_macros_compare_and_draw(bundle: Bundle, tmp_path: Path) -> None:
    enhance(read_region("px > 0.9"), tmp_path / "b2", bundle=bundle, muons=5000, measured=2000)
    macros = Path(__file__).parents[2] / "macros"

    def run(name: str, *arguments: object) -> str:
        command = [sys.executable, macros / name, *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    told = run("compare_enhanced.py", "b2", "px > 0.9", 40_000, 100_000, bundle.path)
    lines = {line.split()[0]: line for line in told.splitlines()[1:]}
    assert set(QUANTITIES) <= set(lines)
    for name in QUANTITIES:
        inside, outside = (
            (float(chi2), int(bins)) for chi2, bins in re.findall(r"([\d.]+) /\s+(\d+)", lines[name])
        )
        assert all(chi2 < bins + 6 * (2 * bins) ** 0.5 for chi2, bins in (inside, outside))
    assert abs(float(lines["together:"].split()[-2])) < 5
    assert abs(float(lines["rate"].split()[-2])) < 5
    run("plot_enhanced.py", "b2", "gain.png", 20_000, bundle.path)
    assert (tmp_path / "gain.png").read_bytes().startswith(b"\x89PNG")


def test_command(shipgen: Callable[..., CompletedProcess[str]], bundle: Bundle, tmp_path: Path) -> None:
    done = shipgen(
        "enhance", "--region", "px > 0.9", "--bundle", bundle.path, "-o", "b2", "--muons", 5000, "--seed", 3
    )
    assert done.returncode == 0, done.stderr
    assert "ESS gain" in done.stdout
    assert "together" in done.stdout
    made = shipgen("produce", "--bundle", "b2", "--n", 5000, "-o", "m.root", "--seed", 1)
    assert made.returncode == 0, made.stderr
    for region, code, message in (
        ("px > ", 3, "character 5 (its end)"),
        ("gone.toml", 3, "does not exist"),
        ("px > 9", 3, "no muon"),
    ):
        failed = shipgen("enhance", "--region", region, "--bundle", bundle.path, "-o", "b3", "--muons", 2000)
        assert failed.returncode == code
        assert message in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert not (tmp_path / "b3").exists()
