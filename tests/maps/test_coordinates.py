from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipgen.errors import InputError
from shipgen_export.maps.coordinates import Cartesian, Cylinder, read_coordinates

START = -7084.5

momenta = st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.floats(1, 400))
places = st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(START, START + 600))


def cylinder(*, on_axis: bool, directed: bool, sided: bool = False) -> Cylinder:
    axis = (0.0, 0.0) if on_axis else (0.3, -0.2)
    return Cylinder(on_axis, START, axis=axis, margin=1.0, directed=directed, sided=sided)


@given(place=places, momentum=momenta)
def test_off_axis_muons_come_back_where_everything_is_a_coordinate(
    place: tuple[float, ...], momentum: tuple[float, ...]
) -> None:
    made = cylinder(on_axis=False, directed=True, sided=True)
    muon = np.array([[*place, *momentum]])
    if math.hypot(*momentum[:2]) < 1e-6:
        return
    back = made.inverse(made.forward(muon), np.empty((1, 0)))
    np.testing.assert_allclose(back, muon, rtol=1e-9, atol=1e-8)


@given(z=st.floats(START, START + 600), momentum=momenta)
def test_on_axis_muons_come_back(z: float, momentum: tuple[float, ...]) -> None:
    made = cylinder(on_axis=True, directed=True)
    muon = np.array([[z, *momentum]])
    np.testing.assert_allclose(made.inverse(made.forward(muon), np.empty((1, 0))), muon, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("on_axis", [True, False])
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("sided", [True, False])
def test_coordinates_come_back_whatever_is_drawn(on_axis: bool, directed: bool, sided: bool) -> None:
    random = np.random.default_rng(1)
    made = cylinder(on_axis=on_axis, directed=directed, sided=sided)
    n = 1000
    columns = {
        "p": 10 + random.exponential(20, n),
        "depth": random.exponential(40, n),
        "pt": random.gamma(2, 0.3, n),
        "offset": random.exponential(0.5, n),
        "turn": random.uniform(-np.pi, np.pi, n) if sided else random.uniform(0, np.pi, n),
        "azimuth": random.uniform(-np.pi, np.pi, n),
    }
    coordinates = np.stack([columns[name] for name in made.names], 1)
    features = made.inverse(coordinates, random.standard_normal((n, made.drawn)))
    assert features.shape == (n, 4 if on_axis else 6)
    np.testing.assert_allclose(made.forward(features), coordinates, rtol=1e-7, atol=1e-8)


def test_what_is_drawn_is_even() -> None:
    """Azimuth and side of 100,000 equal muons: uniform, fair and independent, within 4 standard errors."""
    n = 100_000
    made = cylinder(on_axis=False, directed=False)
    drawn = np.random.default_rng(2).standard_normal((n, 2))
    muons = made.inverse(np.tile([20.0, 30.0, 0.5, 1.0, 0.3], (n, 1)), drawn)
    azimuth = np.arctan2(muons[:, 4], muons[:, 3])
    x, y = muons[:, 0] - made.axis[0], muons[:, 1] - made.axis[1]
    side = np.sign(x * muons[:, 4] - y * muons[:, 3])
    for values in (side, *(f(k * azimuth) for f in (np.cos, np.sin) for k in (1, 2)), side * np.cos(azimuth)):
        assert abs(values.mean()) < 4 / math.sqrt(n)


def test_rotated_and_mirrored_muons_have_the_same_coordinates() -> None:
    random = np.random.default_rng(3)
    made = Cylinder(False, START)
    low, high = [-2, -2, START + 1, -1, -1, 10], [2, 2, START + 90, 1, 1, 90]
    muons = random.uniform(low, high, (100, 6))
    angle = 0.7
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    rotated = muons.copy()
    rotated[:, :2], rotated[:, 3:5] = muons[:, :2] @ rotation.T, muons[:, 3:5] @ rotation.T
    mirrored = muons * [-1, 1, 1, -1, 1, 1]
    for other in (rotated, mirrored):
        np.testing.assert_allclose(made.forward(other), made.forward(muons), rtol=1e-9)


def test_muons_without_such_coordinates_are_refused() -> None:
    made = Cylinder(False, START, margin=1.0)
    muon = np.array([[1.0, 1.0, START, 0.1, 0.1, 10.0]])
    with pytest.raises(InputError, match="does not fly downstream"):
        made.forward(muon * [1, 1, 1, 1, 1, -1])
    with pytest.raises(InputError, match="2 cm upstream"):
        made.forward(muon - [0, 0, 2, 0, 0, 0])


def test_no_muon_starts_further_out_than_the_sample_reaches() -> None:
    made = Cylinder(False, START, margin=1.0, widest=8.0)
    coordinates = np.array([[20.0, 50.0, 0.4, offset, 0.3] for offset in (0.5, 2.0, 5.9, 6.1, 50.0, 1e6)])
    bounded, free = (
        np.hypot(*each.inverse(coordinates, np.ones((6, 2)))[:, :2].T)
        for each in (made, Cylinder(False, START, margin=1.0))
    )
    inside = free < 6
    assert inside.any()
    np.testing.assert_array_equal(bounded[inside], free[inside])
    assert (np.diff(bounded) > 0).all()
    assert 7.9 < bounded[-1] < 8


def test_parameters_survive_json() -> None:
    made = cylinder(on_axis=False, directed=True)
    assert read_coordinates(made.to_json()) == made
    assert read_coordinates(Cartesian(on_axis=True).to_json()) == Cartesian(on_axis=True)
    for damage in ({"map": "sphere"}, {"axis": [1]}, {"start": math.nan}, {"other": 1}):
        with pytest.raises(InputError, match="coordinates"):
            read_coordinates({**made.to_json(), **damage})
