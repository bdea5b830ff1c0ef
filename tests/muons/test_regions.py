"""Regions as expressions: what they hold, how far muons are from them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen.muons.batch import Batch
from shipgen.muons.categories import CATEGORIES, MUON_MASS
from shipgen.muons.quantities import QUANTITIES, Quantities
from shipgen.muons.regions import Expression

START = -7084.5


def _muons(n: int = 500) -> Quantities:
    random = np.random.default_rng(1)
    place = random.normal(0, 2, (2, n)) * (random.random(n) < 0.7)
    px, py = random.normal(0, 1, (2, n))
    columns = {
        "x": place[0],
        "y": place[1],
        "z": START + random.exponential(30, n),
        "px": px,
        "py": py,
        "pz": 10 + random.exponential(20, n),
        "pdg": random.choice([13, -13], n),
    }
    return Quantities(columns, START)


MUONS = _muons()


def test_quantities_follow_from_the_features() -> None:
    q = MUONS
    assert q.muons == len(q["p"]) == 500
    np.testing.assert_allclose(q["p"] ** 2, q["px"] ** 2 + q["py"] ** 2 + q["pz"] ** 2)
    np.testing.assert_allclose(q["ekin"], np.sqrt(q["p"] ** 2 + MUON_MASS**2) - MUON_MASS)
    np.testing.assert_allclose(np.tan(q["theta"]), q["pt"] / q["pz"])
    np.testing.assert_allclose(np.cos(q["dphi"]), np.cos(q["phi"] - q["phi_xy"]), atol=1e-12)
    assert q["z"].min() >= 0
    np.testing.assert_array_equal(q["charge"], np.where(q["pdg"] == 13, -1, 1))
    for category in CATEGORIES:
        own = (q["pdg"] == category.pdg) & ((q["r"] == 0) == category.on_axis)
        np.testing.assert_array_equal(q["category"] == category.number, own)
    assert all(len(q[name]) == 500 for name in QUANTITIES)


def test_quantities_of_a_batch_and_of_features_are_the_same() -> None:
    random = np.random.default_rng(2)
    for category in CATEGORIES:
        features = random.normal(1, 1, (len(category.features), 20)).astype(np.float32)
        columns = dict(zip(category.features, features, strict=True))
        zero = np.zeros(20, np.float32)
        batch = Batch(
            np.full(20, category.pdg, np.int32),
            *(columns.get(name, zero) for name in ("x", "y", "z", "px", "py", "pz")),
            np.ones(20, np.float32),
        )
        one, other = Quantities.of_batch(batch, START), Quantities.of_features(category, features, START)
        for name in QUANTITIES:
            np.testing.assert_array_equal(one[name], other[name])
        assert set(one["category"]) == {category.number}
        rows = Quantities.of_rows(features.T, START)
        for name in ("z", "p", "pt", "phi"):
            np.testing.assert_array_equal(rows[name], other[name])
        # Those of the place are not in it where the rows have none.
        assert [name in rows for name in ("r", "phi_xy", "dphi", "charge")] == 3 * [not category.on_axis] + [
            False
        ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pt > 1.5 and p>20", lambda q: (q["pt"] > 1.5) & (q["p"] > 20)),
        ("p > 20, PT > 1", lambda q: (q["pt"] > 1) & (q["p"] > 20)),
        ("not (p > 20 or r == 0)", lambda q: (q["p"] <= 20) & (q["r"] != 0)),
        ("15 < p <= 30", lambda q: (q["p"] > 15) & (q["p"] <= 30)),
        ("not 15 < p <= 30", lambda q: (q["p"] <= 15) | (q["p"] > 30)),
        ("category == muplus_offaxis", lambda q: q["category"] == 3),
        ("charge != 1", lambda q: q["pdg"] == 13),
        ("abs(phi) < pi/4 or sqrt(x**2 + y**2) > 3", lambda q: (np.abs(q["phi"]) < np.pi / 4) | (q["r"] > 3)),
        (
            "-z > -20 # near\n and max(px, py) > 0",
            lambda q: (q["z"] < 20) & (np.maximum(q["px"], q["py"]) > 0),
        ),
        ("log(px) > -1", lambda q: q["px"] > np.exp(-1)),
        ("pt/p - 2*(1e-2 + 1e-3) >= 0", lambda q: q["pt"] / q["p"] >= 0.022),
    ],
)
def test_an_expression_holds_where_it_says(text: str, expected: object) -> None:
    expression = Expression.parse(text)
    wanted = expected(MUONS)  # type: ignore[operator]
    assert 0 < wanted.sum() < len(wanted)
    np.testing.assert_array_equal(expression.holds(MUONS), wanted)
    scales = expression.scales(MUONS)
    # No distance inside, some outside.
    np.testing.assert_array_equal(expression.distance(MUONS, scales) == 0, wanted)


def test_distance_is_in_units_of_the_spread() -> None:
    expression = Expression.parse("p > 1000 and pt > 50")
    distance = expression.distance(MUONS, expression.scales(MUONS))
    expected = (1000 - MUONS["p"]) / MUONS["p"].std() + (50 - MUONS["pt"]) / MUONS["pt"].std()
    np.testing.assert_allclose(distance, expected)
    either = Expression.parse("p > 1000 or pt > 50")
    least = np.minimum((1000 - MUONS["p"]) / MUONS["p"].std(), (50 - MUONS["pt"]) / MUONS["pt"].std())
    np.testing.assert_allclose(either.distance(MUONS, either.scales(MUONS)), least)
    # A condition that is nowhere defined is nowhere near, and one on a constant has a scale.
    nowhere = Expression.parse("sqrt(-p) > 1")
    assert np.isinf(nowhere.distance(MUONS, nowhere.scales(MUONS))).all()
    assert not nowhere.holds(MUONS).any()
    assert Expression.parse("r - r > 2").scales(MUONS) == (1.0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("# nothing", "empty"),
        ("pt > 1.5 and", "character 13"),
        ("pt > > 2", "character 6.*'> 2'"),
        ("pt", "a condition is wanted"),
        ("pt > 1 and p", "character 12.*a condition is wanted"),
        ("(pt > 1) > 0", "a number is wanted"),
        ("pot > 2", "character 1.*'pot'.*did you mean pt"),
        ("p > 1 and enrgy > 2", "character 11.*did you mean energy"),
        ("qqq > 2", "there are x, y, z"),
        ("sqr(p) > 2", "did you mean sqrt"),
        ("sqrt(p, 2) > 2", "takes 1 number"),
        ("atan2(x) > 2", "takes 2 numbers"),
        ("sqrt(x=1) > 2", "takes 1 number"),
        ("p > 1 & r > 2", "character 7.*write 'and'"),
        ("p > 1 || r > 2", "write 'or'"),
        ("p is 1", "compare by one of <, <="),
        ("p in (1, 2)", "compare by one of|only numbers"),
        ("p > True", "True is no number"),
        ("p > 'a'", "'a' is no number"),
        ("p > 1j", "no number"),
        ("1 > 2", "character 1 .*the same for all muons"),
        ("p > 1 and 2 < pi", "character 11.*the same for all muons"),
        ("1 < 2 < p", "the same for all muons"),
        ("p > 1" + "0" * 400, "too large"),
        ("p[0] > 1", "only numbers"),
        ("p.real > 1", "only numbers"),
        ("p % 2 > 1", "only numbers"),
        ("p > 1 if r else 2", "a condition is wanted"),
        ("[p > 1 for p in r]", "a condition is wanted"),
        ("p := 1", "invalid syntax"),
        ("p > 1; r > 2", "invalid syntax"),
        ("()", "no condition"),
        ("p > 1\x00", "wrong at character"),
        ("-" * 3000 + "p > 1", "cannot be read|deep"),
        ("(" * 300 + "p > 1" + ")" * 300, "too many nested|cannot be read"),
        ("1 + " * 500 + "p > 1", "nested more than"),
        ("p > 1 and " * 500 + "p > 1", "more than 4000"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as failure:
        Expression.parse(text)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch hacked') > 0",
        "(lambda: 1)() > 0",
        "p.__class__ > 0",
        "exec('1') > 0",
        "open('hacked', 'w') > 0",
        "f'{p}' > 0",
        "(yield) > 0",
    ],
)
def test_nothing_is_run(text: str, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(InputError):
        Expression.parse(text)
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]
