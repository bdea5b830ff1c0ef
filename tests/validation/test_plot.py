"""``shipgen plot``: bins, sums and panels of any source."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.bundles import write_test_bundle
from helpers.muon_files import muon_columns, write_training
from shipgen.errors import InputError, MissingExtraError
from shipgen.files.layouts import VARIATION_COLUMNS
from shipgen.generate.generator import MuonGenerator, generate_muons
from shipgen.production.produce import produce
from shipgen_export.plots import Curve, draw_curves, draw_ratios, ratio_limits
from shipgen_export.reading.formats.array_files import ArrayChoice
from shipgen_export.validation.plotting import plot as plot_module
from shipgen_export.validation.plotting.bins import growing_edges, widening_edges
from shipgen_export.validation.plotting.figure import draw, shortened
from shipgen_export.validation.plotting.plot import plot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen_export.validation.plotting.figure import Scene


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Scene, Any]]:
    """Return what is drawn from here on: scenes and their figures."""
    found: list[tuple[Scene, Any]] = []

    def kept(scene: Scene) -> Any:
        found.append((scene, draw(scene)))
        return found[-1][1]

    monkeypatch.setattr(plot_module, "draw", kept)
    return found


def test_two_files(bundle: Bundle, tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    produce(MuonGenerator(bundle, n=5000, seed=1), tmp_path / "muons.root")
    columns = muon_columns(1000)
    columns["weight"] = np.where(columns["pdg"] < 0, 2e-4, 1e-4)
    write_training(tmp_path / "sample.root", columns)
    lines = plot([tmp_path / "muons.root", tmp_path / "sample.root"], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert lines[0].startswith("muons.root: ")
    assert len(lines) == 10
    assert "muons per POT" in lines[5]
    scene, figure = drawn[0]
    # A circle is one: the same bins along x and y.
    np.testing.assert_array_equal(*scene.maps["x", "y"])
    # Densities, mu+ and mu- apart, add up to the weights that are not beyond the bins.
    for place, pdg in enumerate((-13, 13)):
        weights = columns["weight"][columns["pdg"] == pdg]
        found = scene.curve(1, "p", (place,), "k").values @ np.diff(scene.edges["p"])
        beyond = scene.counted[1].spectra["p"].beyond[place]
        assert beyond <= 3
        assert found + beyond * weights[0] == pytest.approx(weights.sum(), rel=1e-6)
    # Both files have both maps, on one scale of colours.
    titles = [ax.get_title() for ax in figure.axes]
    assert [sum(name in title for title in titles) for name in ("muons.root", "sample.root")] == [2, 2]
    norms = [mesh.norm for ax in figure.axes if ax.get_title() for mesh in ax.collections]
    scales = {(norm.vmin, norm.vmax) for norm in norms}
    assert len(scales) == 2
    assert "bins of 6 %" in next(ax.get_xlabel() for ax in figure.axes if ax.get_xlabel().startswith("p"))


def test_errors_are_those_of_protons(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    """Three muons of one proton at the same place count as one of three times the weight."""
    columns = muon_columns(3000)
    for name in ("pdg", "x", "y", "z", "px", "py", "pz"):
        columns[name] = np.repeat(columns[name][::3], 3)
    columns["weight"] = np.full(3000, 1e-4)
    write_training(tmp_path / "sample.root", columns, pot=1_000_000)
    plot([tmp_path / "sample.root"], tmp_path / "figure.svg")
    scene = drawn[0][0]
    found = scene.counted[0].spectra["phi"]
    number = found.sums / 3e-4
    np.testing.assert_allclose(found.variances, number * 3e-4**2, rtol=1e-3)
    assert "errors by proton" in drawn[0][1].legends[0].get_texts()[0].get_text()
    # A proton's muons are all of one charge here: both charges are independent.
    ratio, error, band = found.charge_ratio([])
    expected = ratio * np.sqrt(1 / number[0] + 1 / number[1])
    np.testing.assert_allclose(error, expected, rtol=1e-3)
    assert band is None


def test_variations_are_bands(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    """Factors add up in quadrature, without that which is another model."""
    factors = {name: np.ones(900) for name in VARIATION_COLUMNS}
    factors |= {
        "vary_pions": np.full(900, 1.3),
        "vary_kaons": np.full(900, 0.6),
        "vary_hadrons": np.full(900, 9.0),
    }
    write_training(tmp_path / "sample.root", muon_columns(900) | factors)
    plot([tmp_path / "sample.root", tmp_path / "sample.root"], tmp_path / "figure.png")
    scene, figure = drawn[0]
    curve = scene.curve(1, "pt", (0,), "k")
    assert curve.band is not None
    np.testing.assert_allclose(curve.band, 0.5 * curve.values, rtol=1e-5)
    band = scene.counted[1].spectra["p"].charge_ratio(scene.counted[1].steps)[2]
    assert band is not None
    # Both charges go up alike.
    assert np.nanmax(band) < 1e-6
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any(text.startswith("variations in quadrature: pions, kaons") for text in texts)
    assert any("hadrons, not in the band" in text for text in texts)


def test_variations_of_bundles_and_their_files(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    """Factors that networks make are drawn as those of a simulation, from a file and from the bundle."""
    varied = write_test_bundle(tmp_path / "varied", variations=1)
    produce(MuonGenerator(varied, n=4000, seed=2, variations="all"), tmp_path / "muons.root")
    plot([varied.path, tmp_path / "muons.root"], tmp_path / "figure.svg", muons=4000, seed=1)
    scene = drawn[0][0]
    batch = generate_muons(4000, bundle=varied, seed=2, variations="all")
    deviations = [
        batch.weight @ factors.astype(np.float64) / batch.weight.sum() - 1
        for factors in batch.variations.values()
    ]
    for one in scene.counted:
        assert one.variations == tuple(varied.variations)
        found = one.spectra["phi"]
        whole = found.varied.sum((1, 2)) / found.sums.sum() - 1
        np.testing.assert_allclose(whole, deviations, atol=0.03)
    np.testing.assert_allclose(whole, deviations, atol=1e-6)


def test_spill_names_target(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    columns = muon_columns(600)
    write_training(tmp_path / "sample.root", columns)
    long = "a" * 300
    lines = plot(
        [tmp_path / "sample.root"], tmp_path / "figure.png", spill=4e13, target="ship2018", names=[long]
    )
    assert f"{columns['weight'].sum() * 4e13:.4e} a spill of 4e+13 POT" in lines[0]
    scene, figure = drawn[0]
    edges, whole = scene.edges["phi"], sum(scene.curve(0, "phi", (k,), "k").values.sum() for k in (0, 1))
    assert whole * (edges[1] - edges[0]) == pytest.approx(columns["weight"].sum() * 4e13, rel=1e-6)
    # 17 gaps of 0.5 cm in the target, the first behind 8 cm.
    assert len(scene.gaps) == 18
    assert scene.gaps[0] == pytest.approx((8.0, 8.5))
    width = figure.get_figwidth() * figure.dpi
    figure.canvas.draw()
    assert figure.legends[0].get_window_extent().x1 < width


def test_target_start(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    write_training(tmp_path / "sample.root", muon_columns(600))
    for start in (None, -7184.5):
        plot([tmp_path / "sample.root"], tmp_path / "figure.png", target_start=start, force=True)
    near, far = (_mean(scene, "z") for scene, _ in drawn)
    # z from the start: 1 m more.
    assert far - near == pytest.approx(100, abs=3)


def _mean(scene: Scene, name: str) -> float:
    edges = scene.edges[name]
    return float(np.average((edges[1:] + edges[:-1]) / 2, weights=scene.counted[0].spectra[name].sums.sum(0)))


def test_axes_end_where_muons_do(tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    """Muons of small weight, as an enhanced sample has them, are drawn to their end but three."""
    columns = muon_columns(3000)
    columns["px"][:100] = np.linspace(6, 9.9, 100)
    columns["weight"][:100] = 1e-10
    write_training(tmp_path / "sample.root", columns)
    plot([tmp_path / "sample.root"], tmp_path / "figure.png")
    scene = drawn[0][0]
    assert 9.5 < scene.edges["pt"][-1] < 12
    assert np.diff(scene.edges["pt"])[0] < 0.1
    assert scene.counted[0].spectra["pt"].beyond.sum() <= 3


def test_edges() -> None:
    assert growing_edges(10, 100)[[0, 1]] == pytest.approx([10, 10.6])
    assert growing_edges(10, 100)[-1] >= 100
    found = widening_edges(0.0, 2.0, 9.0)
    np.testing.assert_allclose(np.diff(found)[:40], 0.05)
    assert found[-1] >= 9
    assert (np.diff(np.diff(found)) > -1e-12).all()


def test_limits_follow_what_is_known_well() -> None:
    """Bins that know nothing do not decide on the axis; marks stand where they leave it."""
    from matplotlib.figure import Figure

    edges = np.arange(5.0)
    values = np.array([100.0, 103.0, 98.0, 500.0])
    errors = np.array([2.0, 2.0, 2.0, 450.0])
    reference = Curve(
        "r", edges, np.array([100.0, 100.0, 100.0, 100.0]), np.full(4, 1.0), "0.75", filled=True
    )
    low, high = ratio_limits([(values / 100, errors / 100)])
    assert 0.9 < low < 0.96
    assert 1.05 < high < 1.1
    axes = Figure().subplots(2, 1)
    draw_curves(axes[0], [Curve("g", edges, values, errors), reference])
    draw_ratios(axes[1], [Curve("g", edges, values, errors), reference])
    marks = [line for line in axes[1].lines if line.get_marker() == "^"]
    assert [line.get_xdata().tolist() for line in marks] == [[3.5]]
    assert marks[0].get_ydata()[0] == axes[1].get_ylim()[1]


def test_shortened() -> None:
    assert shortened("muons.root") == "muons.root"
    text = shortened("begin" + "-" * 300 + "end", 40)
    assert len(text) <= 40
    assert text.startswith("begin")
    assert text.endswith("end")


def test_command(shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    write_training(tmp_path / "sample.root", muon_columns(1000))
    done = shipgen("plot", "sample.root", "-o", "figure.pdf", "--spill")
    assert done.returncode == 0, done.stderr
    assert "a spill of 4e+13 POT" in done.stdout
    assert done.stdout.splitlines()[-1] == "figure.pdf"
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_without_matplotlib_the_extra_is_named() -> None:
    program = "import sys; sys.modules['matplotlib'] = None; from shipgen.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plot", "muons.root", "-o", "figure.png"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (MissingExtraError.exit_code, 1)
    assert "extra 'plot'" in done.stderr


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure\.txt is no picture"):
        plot([tmp_path / "sample.root"], tmp_path / "figure.txt")
    with pytest.raises(InputError, match="7 files are too many"):
        plot([tmp_path / "sample.root"] * 7, tmp_path / "figure.png")
    columns = muon_columns(30)
    names = ("pdg", "x", "y", "z", "px", "py", "pz")
    np.savez(tmp_path / "muons.npz", **{name: columns[name] for name in names})
    arrays = ArrayChoice("cm", "fairship")
    with pytest.raises(InputError, match=r"muons\.npz stand for: leave --spill out"):
        plot([tmp_path / "muons.npz"], tmp_path / "figure.png", arrays=arrays, spill=4e13)
    assert not (tmp_path / "figure.png").exists()


def test_shares_are_of_all_muons(bundle: Bundle, tmp_path: Path, drawn: list[tuple[Scene, Any]]) -> None:
    """Beside a sample of unknown rates, those of a known one become shares of all muons, off axis or on."""
    produce(MuonGenerator(bundle, n=5000, seed=1), tmp_path / "muons.root")
    with uproot.open(tmp_path / "muons.root") as file:
        stored = file["pythia8-Geant4"].arrays(library="np")
    named = {"id": "pdg", "w": "weight"}
    columns = {named.get(name, name): stored[name] for name in ("id", "w", "x", "y", "z", "px", "py", "pz")}
    np.savez(tmp_path / "muons.npz", **columns)
    arrays = ArrayChoice("m", "fairship")
    paths = [tmp_path / "muons.root", tmp_path / "muons.npz"]
    plot(paths, tmp_path / "figure.png", arrays=arrays)
    first, second = drawn[0][0].counted
    shares = []
    for name in ("p", "pt", "z", "r", "phi"):
        shares.append(float(first.spectra[name].sums.sum()))
        assert shares[-1] == pytest.approx(second.spectra[name].sums.sum(), rel=1e-3)
    assert 0 < min(shares) < 0.95 < max(shares) < 1 + 1e-9
