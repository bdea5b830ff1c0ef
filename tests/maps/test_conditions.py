"""Conditions: quantities as independent normal numbers, and networks that are steered by them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.gans import TINY, eager, narrow  # noqa: F401 (fixtures)
from helpers.synthetic import synthetic_category, synthetic_sample
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.enhance.adapt import learn
from shipgen_export.enhance.enhance import maker
from shipgen_export.enhance.regions.targets import Around
from shipgen_export.latent.dimensions import study
from shipgen_export.maps.conditions import ConditionedNormalisation, Conditions, conditioned
from shipgen_export.models.gan import Gan
from shipgen_export.models.settings import GanConfig, VaeConfig
from shipgen_export.sample.sample import CategorySample, PreparedSample
from shipgen_export.training.export import export
from shipgen_export.training.train import train

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

OFF_AXIS = CATEGORIES[2]


def correlated(muons: int, seed: int = 1) -> CategorySample:
    """Muons whose transverse momentum and distance from the beam depend on the momentum."""
    sample = synthetic_category(OFF_AXIS, muons, seed)
    features = sample.features.copy()
    scale = (features[:, 5] / 20) ** 0.7
    features[:, 3:5] *= scale[:, None]
    features[:, :2] /= scale[:, None]
    return replace(sample, features=features)


@pytest.mark.parametrize("names", [("p", "pt"), ("r", "z", "pt", "pz")])
def test_conditions_are_independent_normal_numbers(names: tuple[str, ...]) -> None:
    made = Conditions.fit(correlated(60_000), names)
    fresh = correlated(60_000, seed=2)
    features, weights = fresh.features.astype(np.float64), fresh.weights
    normal, values = made.forward(features), made.values(features)
    # Of muons that the tables were not made of, with their weights.
    shares = weights / weights.sum()
    mean = shares @ normal
    assert mean == pytest.approx(np.zeros(len(names)), abs=0.05)
    assert np.cov(normal.T, aweights=weights) == pytest.approx(np.eye(len(names)), abs=0.1)
    if names == ("p", "pt"):
        assert abs(np.corrcoef(np.log(values.T))[0, 1]) > 0.3
        # Not only uncorrelated: equally spread in slices of the first one.
        for low, high in ((-9, -1), (-0.2, 0.2), (1, 9)):
            inside = (normal[:, 0] > low) & (normal[:, 0] < high)
            assert normal[inside, 1].std() == pytest.approx(1, abs=0.08)
            assert normal[inside, 1].mean() == pytest.approx(0, abs=0.08)
    again = made.inverse(normal)
    for k in range(len(names)):
        near = np.abs(normal[:, k]) < 2.5
        spread = values[near, k].std()
        assert np.abs(again[near, k] - values[near, k]).max() < 0.05 * spread


def test_values_that_muons_share_are_spread() -> None:
    """Of on-axis muons r is 0: a condition that says nothing is noise."""
    sample = synthetic_category(CATEGORIES[0], 5000, 1)
    normal = Conditions.fit(sample, ("r", "p")).forward(sample.features.astype(np.float64))
    assert normal[:, 0].std() > 0.9
    assert abs(np.corrcoef(normal.T)[0, 1]) < 0.05


def test_normalisation_has_the_conditions_behind_its_features() -> None:
    sample = conditioned(correlated(5000), ("p",))
    form = sample.form
    assert isinstance(form, ConditionedNormalisation)
    assert form.shape == 6
    features = sample.features.astype(np.float64)
    forward = form.forward(features)
    assert forward.shape == (5000, 7)
    np.testing.assert_allclose(form.inverse(forward[:, :6]), features, atol=1e-4)
    assert conditioned(sample, ()) is sample


@pytest.mark.parametrize("text", ["mass", "p,p", "charge", "p,pt,z,r,x"])
def test_impossible_conditions_are_refused(text: str) -> None:
    for config in (GanConfig, VaeConfig):
        with pytest.raises(InputError, match="setting conditions"):
            config(conditions=text)
    assert GanConfig(conditions=" P, pt ").condition_names == ("p", "pt")
    assert GanConfig(conditions="p,pt", latent=5).inputs == 7


@pytest.mark.usefixtures("eager")
def test_gan_takes_conditions() -> None:
    """Both networks see them; their values are handed to the discriminator as they are."""
    trained = Gan(replace(TINY, conditions="p,pt"), 4, seed=1)
    assert trained.generator.input_shape == (None, TINY.latent + 2)
    assert trained.discriminator.input_shape == (None, 6)
    random = np.random.default_rng(1)
    real = random.normal(0, 0.3, (3, trained.config.real_batch, 6)).astype(np.float32)
    losses = trained.train(real)
    assert all(np.isfinite(values).all() for values in losses.values())
    wgan = Gan(replace(TINY, conditions="p", loss="wgan-gp", discriminator_steps=2), 4, seed=1)
    real = random.normal(0, 0.3, (2, wgan.config.real_batch, 5)).astype(np.float32)
    assert all(np.isfinite(values).all() for values in wgan.train(real).values())


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of small VAEs that were given the momentum."""
    folder = tmp_path_factory.mktemp("conditions")
    sample = PreparedSample.open(synthetic_sample(folder / "prepared", muons=2000))
    settings: dict[str, Any] = {"conditions": "p", "nodes_e": 24, "nodes_d": 24, "layers_e": 1, "layers_d": 1}
    options: dict[str, Any] = {"pictures": False, "measured": False, "evaluate_every": 10**6, "threads": 1}
    for _ in train("vae", sample, folder / "run", steps=1000, settings=settings, **options):
        pass
    return export(folder / "run", folder / "bundle")


def test_a_network_follows_its_conditions(steered: Bundle) -> None:
    """The last latent is the momentum's rank, and decides the momentum."""
    for place, entry in enumerate(steered.entries):
        assert entry.latent_size == 5
        assert entry.details["conditions"] == {"quantities": ["p"], "latents": [4]}
        effects = study(steered, place, cells=3, muons=5000)
        on_p = effects.effects[:, effects.quantities.index("p")]
        assert on_p[4] > 0.5
        assert on_p[4] > 2 * on_p[:4].max()


def test_muons_around_a_condition_are_made_by_it(steered: Bundle) -> None:
    """Far more of them than else, with weights that make them plain ones again."""
    entry, network = steered.entries[2], steered.networks[2]
    make = maker(entry, network, steered.target_start)
    known = make(np.random.default_rng(1).standard_normal((20_000, 5)))
    middle, spread = float(np.quantile(known["p"], 0.8)), float(known["p"].std() / 10)
    target = Around({"p": middle}, {"p": spread})
    random = np.random.default_rng(2)
    proposal = learn(make, 5, target, random, share=0.9, components=4, muons=10_000).proposal
    assert proposal is not None
    # The latent that is the condition is among the directions.
    assert np.abs(proposal.basis[4]).max() > 0.5
    x, weights = proposal(np.random.default_rng(3).standard_normal((40_000, 6)))
    p = make(x)["p"]
    near = np.abs(p - middle) < 5 * spread
    plain = float((np.abs(known["p"] - middle) < 5 * spread).mean())
    # So small a network lets other latents decide as well.
    assert near.mean() > 2.5 * plain
    assert p[near].mean() == pytest.approx(middle, abs=0.5 * spread)
    assert (weights * near).mean() == pytest.approx(plain, abs=0.02)
