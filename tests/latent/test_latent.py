"""Studies of latent spaces: of networks whose muons are known functions of their latents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.bundles import SCALE
from helpers.synthetic import synthetic_sample
from shipgen.errors import InputError
from shipgen_export.enhance.enhance import enhance
from shipgen_export.enhance.regions.region_file import read_region
from shipgen_export.latent.dimensions import REACH, Study, study
from shipgen_export.latent.latent_pictures import draw_effects, draw_maps
from shipgen_export.latent.latent_study import write_studies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import CompletedProcess

    from shipgen.bundle.bundle import Bundle

#: Place of muplus_offaxis, whose features are offset + scale x tanh(latent), each of its own latent.
OFF_AXIS = 2
FEATURES = ("x", "y", "z", "px", "py", "pz")


@pytest.fixture(scope="module")
def known(bundle: Bundle) -> Study:
    return study(
        bundle, OFF_AXIS, region=read_region("px > 0.5 and x > 0"), dimensions=(0, 3), cells=20, muons=20_000
    )


def test_each_latent_has_its_effect(known: Study) -> None:
    effects = {name: known.effects[:, k] for k, name in enumerate(known.quantities)}
    for number, name in enumerate(FEATURES):
        expected = np.zeros(6)
        expected[number] = 1
        assert effects[name] == pytest.approx(expected, abs=0.03)
    # p follows pz, and r x and y, of which y is spread more widely.
    assert effects["p"][5] == pytest.approx(1, abs=0.03)
    assert effects["r"][1] > effects["r"][0] > 0.1
    assert effects["r"][2:] == pytest.approx(np.zeros(4), abs=0.01)


def test_shares_add_up(known: Study) -> None:
    np.testing.assert_allclose(known.shares.sum(0), 1, rtol=1e-12)
    assert known.shares.min() >= 0
    shares = {name: known.shares[:, k] for k, name in enumerate(known.quantities)}
    assert shares["px"] == pytest.approx([0, 0, 0, 1, 0, 0, 0], abs=0.03)
    assert shares["r"][1] > shares["r"][0] > 0.1
    # The angle between momentum and position is no latent's own.
    assert shares["dphi"][-1] > 0.9


def test_zero_has_its_own_colour(known: Study) -> None:
    figure = draw_effects(known, "made up")
    for ax in figure.axes:
        image = ax.images[0]
        colours = image.cmap(image.norm(image.get_array()))
        nothing = np.asarray(image.get_array()) < 0
        assert nothing.any()
        assert (colours[nothing] == 1).all()
        assert (colours[~nothing][:, :3] < 0.9).any(-1).all()
    maps = draw_maps(known, "made up")
    region = next(ax for ax in maps.axes if ax.get_title().startswith("share in the region"))
    assert (np.ma.getmaskarray(region.images[0].get_array()) == (known.region == 0).T).all()
    of_px = next(ax for ax in maps.axes if ax.get_title() == "mean $p_x$ [GeV]").images[0]
    assert of_px.cmap(of_px.norm(0.0)) == pytest.approx((0.97, 0.97, 0.97, 1), abs=0.01)
    assert region.get_facecolor()[:3] == (0.85, 0.85, 0.85)


def test_maps_show_the_means(known: Study) -> None:
    middles = (known.edges[:-1] + known.edges[1:]) / 2
    assert (known.edges[0], known.edges[-1]) == (-REACH, REACH)
    along_first = known.maps["x"].mean(1)
    np.testing.assert_allclose(along_first, SCALE["x"] * np.tanh(middles), atol=0.1)
    np.testing.assert_allclose(known.maps["px"].mean(0), SCALE["px"] * np.tanh(middles), atol=0.05)
    assert np.ptp(known.maps["x"].mean(0)) < 0.1
    assert known.density.sum() == pytest.approx(1, abs=1e-3)


def test_region_is_where_it_is(known: Study) -> None:
    middles = (known.edges[:-1] + known.edges[1:]) / 2
    expected = np.outer(middles > 0, np.tanh(middles) > 0.5)
    assert known.region is not None
    away = np.abs(middles - np.arctanh(0.5)) > 0.4
    np.testing.assert_allclose(known.region[:, away], expected[:, away].astype(float), atol=0.01)
    assert known.share == pytest.approx(0.5 * 0.2914, abs=0.01)


def test_corners_where_nothing_happens_are_dead(known: Study) -> None:
    """The hyperbolic tangent is flat far out."""
    dead = known.dead
    assert dead[0, 0]
    assert dead[-1, -1]
    assert not dead[8:12, 8:12].any()
    assert known.change[10, 10] > 50 * known.change[0, 0]


def test_dimensions_of_the_largest_effects_are_chosen(bundle: Bundle) -> None:
    plain = study(bundle, OFF_AXIS, cells=4, muons=4000)
    assert set(plain.dimensions) <= {2, 3, 4, 5}
    assert plain.region is plain.share is plain.classifier is None
    of_region = study(bundle, OFF_AXIS, region=read_region("x > 1.9 and py > 1.4"), cells=4, muons=4000)
    assert of_region.dimensions == (0, 4)
    for wrong in ((0, 6), (1, 1)):
        with pytest.raises(InputError, match="not two of the dimensions"):
            study(bundle, OFF_AXIS, dimensions=wrong, cells=4, muons=4000)


def test_of_an_enhanced_bundle_the_plain_network_is_studied(
    bundle: Bundle, known: Study, tmp_path: Path
) -> None:
    region = read_region("px > 0.5 and x > 0")
    made = enhance(region, tmp_path / "b", bundle=bundle, muons=2000, measured=2000).bundle
    again = study(made, OFF_AXIS, region=region, dimensions=(0, 3), cells=20, muons=20_000)
    np.testing.assert_allclose(again.effects, known.effects, atol=1e-3)
    np.testing.assert_allclose(again.maps["z"], known.maps["z"], rtol=1e-4)
    assert again.proposal is not None
    assert known.proposal is None
    # Without being asked, its own region is shown.
    lines = list(write_studies(made, tmp_path / "s", cells=3, muons=1000, pictures=False))
    assert any("of the muons are in the region" in line for line in lines)


def test_classifier_shows_where_networks_are_wrong(bundle: Bundle, tmp_path: Path) -> None:
    """Simulated momenta fall from 10.3 GeV on, those of the bundle lie between 11 and 49."""
    from shipgen_export.sample.sample import PreparedSample

    sample = PreparedSample.open(synthetic_sample(tmp_path / "prepared", muons=3000))
    found = study(
        bundle, OFF_AXIS, sample=sample.load("muplus_offaxis"), dimensions=(0, 5), cells=6, muons=6000
    )
    assert found.classifier is not None
    assert found.classifier.shape == (6, 6)
    assert 0 <= found.classifier.min() < found.classifier.max() <= 1
    # Muons of large momentum are all generated ones.
    assert found.classifier[:, -1].mean() < 0.3


def test_command(shipgen: Callable[..., CompletedProcess[str]], bundle: Bundle, tmp_path: Path) -> None:
    arguments = (
        "latent",
        bundle.path,
        "-o",
        "study",
        "--category",
        "muplus_onaxis",
        "--cells",
        8,
        "--muons",
        2000,
    )
    done = shipgen(*arguments, "--region", "pz > 40")
    assert done.returncode == 0, done.stderr
    assert "latent 3: pz 1.0" in done.stdout
    content = json.loads((tmp_path / "study" / "latent.json").read_text())
    assert set(content["categories"]) == {"muplus_onaxis"}
    assert len(content["categories"]["muplus_onaxis"]["maps"]["p"]) == 8
    for name in ("muplus_onaxis.png", "muplus_onaxis_effects.png"):
        assert (tmp_path / "study" / name).read_bytes()[1:4] == b"PNG"
    again = shipgen(*arguments)
    assert (again.returncode, "--force" in again.stderr) == (3, True)
    wrong = shipgen("latent", bundle.path, "-o", "other", "--dimensions", 0, 9)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (3, 1)
    assert not (tmp_path / "other").exists()
