"""Muons without a preferred direction, and samples of them: for tests of symmetries, coordinates and maps."""

from __future__ import annotations

import numpy as np

from shipgen.muons.categories import category_by_name
from shipgen_export.maps.coordinates import Cartesian, Cylinder
from shipgen_export.maps.symmetry import find_symmetries
from shipgen_export.sample.sample import CategorySample, split_by_group
from shipgen_export.sample.transforms import Normalisation

START = -7084.5
MUONS = 60_000


def even_muons(seed: int) -> np.ndarray:
    """Off-axis muons with no preferred direction, three of each proton with the same azimuth."""
    random = np.random.default_rng(seed)
    n = MUONS
    azimuth = np.repeat(random.uniform(0, 2 * np.pi, n // 3), 3)
    turn = random.normal(0, 0.5, n)
    pt, r = random.gamma(2, 0.2, n), random.exponential(1, n)
    return np.stack(
        [
            r * np.cos(azimuth),
            r * np.sin(azimuth),
            START + random.exponential(40, n),
            pt * np.cos(azimuth + turn),
            pt * np.sin(azimuth + turn),
            10 + random.exponential(15, n),
        ],
        axis=1,
    )


def find(muons: np.ndarray, axis: tuple[float, float] = (0.0, 0.0)) -> tuple[bool, bool]:
    weights = np.random.default_rng(1).uniform(0.5, 1.5, len(muons))
    found = find_symmetries(muons, weights, np.arange(len(muons)) // 3, axis)
    return found.directed, found.sided


def sample_of(muons: np.ndarray, name: str = "muplus_offaxis") -> CategorySample:
    category = category_by_name(name)
    features = muons[:, -len(category.features) :]
    group = np.arange(len(muons)) // 3
    return CategorySample(
        category,
        features=features.astype(np.float32),
        weights=np.ones(len(muons)),
        group=group,
        split=split_by_group(group),
        normalisation=Normalisation.fit(category.features, features),
    )


CATEGORY = category_by_name("muplus_offaxis")


def category_sample(muons: np.ndarray, name: str = "muplus_offaxis") -> CategorySample:
    category = category_by_name(name)
    if category.on_axis:
        muons = muons[:, 2:]
    group = np.arange(len(muons)) // 3
    return CategorySample(
        category,
        muons.astype(np.float32),
        np.random.default_rng(4).uniform(0.5, 1.5, len(muons)),
        group,
        split_by_group(group),
        Normalisation.fit(category.features, muons),
    )


def turned(muons: np.ndarray) -> np.ndarray:
    """The same muons in a sample that prefers directions, and a side."""
    x, y, z, px, py, pz = muons.T
    return np.stack([1.3 * x + 0.4 * y, y, z, 1.2 * px + 0.3 * y * 0.1, py, pz], 1)


def backwards(muons: np.ndarray) -> np.ndarray:
    """The same muons, some of which fly upstream."""
    return muons * np.where(np.arange(len(muons))[:, None] % 50 == 0, [1, 1, 1, 1, 1, -1], 1)


CASES = {
    "even": (even_muons(1), "muplus_offaxis", (Cylinder, 2)),
    "on axis": (even_muons(2), "muminus_onaxis", (Cylinder, 2)),
    "offset beam": (even_muons(3) + np.array([30.0, 0, 0, 0, 0, 0]), "muplus_offaxis", (Cylinder, 2)),
    "preferred directions": (turned(even_muons(3)), "muminus_offaxis", (Cylinder, 0)),
    "upstream": (backwards(even_muons(3)), "muplus_offaxis", (Cartesian, 0)),
}
