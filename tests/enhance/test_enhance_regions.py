"""Regions as files: tables in p and pT, example muons, given kinematics; and what makes no region."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from shipgen.bundle.bundle import Bundle
from shipgen.errors import InputError
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.selection import Selection
from shipgen.muons.quantities import Quantities
from shipgen.production.produce import produce
from shipgen_export.enhance.adapt import learn
from shipgen_export.enhance.enhance import maker
from shipgen_export.enhance.regions.momentum_tables import Distribution, Table
from shipgen_export.enhance.regions.region_file import read_region
from shipgen_export.enhance.regions.targets import Around, Examples, Inside

if TYPE_CHECKING:
    from pathlib import Path

P_EDGES, PT_EDGES = [50.0, 100.0, 400.0], [0.5, 1.0, 5.0]
WEIGHTS = [[0.0, 1.0], [2.0, 10.0]]

CSV = """# p in GeV
pt_min, pt_max, p_min, p_max, weight
1, 5, 50, 100, 1
0.5, 1, 100, 400, 2
1, 5, 100, 400, 10
"""


@pytest.fixture(scope="module")
def plain() -> Bundle:
    return Bundle.open()


def muons(p: Any, pt: Any) -> Quantities:
    """Muons of given momenta."""
    p, pt = np.asarray(p, float), np.asarray(pt, float)
    zero = np.zeros(len(p))
    columns = {"px": pt, "pz": np.sqrt(p**2 - pt**2), "pdg": zero + 13}
    return Quantities(dict.fromkeys(("x", "y", "z", "py"), zero) | columns)


def write_table(folder: Path, kind: str) -> str:
    """Write the same table in one of the forms; return what names it."""
    keys = {"p_edges": P_EDGES, "pt_edges": PT_EDGES, "weights": WEIGHTS}
    if kind == "csv":
        (folder / "t.csv").write_text(CSV)
        return str(folder / "t.csv")
    if kind == "npz":
        np.savez(folder / "t.npz", **keys)
        return str(folder / "t.npz")
    if kind == "json":
        (folder / "t.json").write_text(json.dumps({"table": keys}))
        return str(folder / "t.json")
    if kind == "toml names csv":
        (folder / "t.csv").write_text(CSV)
        (folder / "t.toml").write_text('table = "t.csv"\n')
        return str(folder / "t.toml")
    with uproot.recreate(folder / "t.root") as file:
        file["hard"] = (np.array(WEIGHTS), np.array(P_EDGES), np.array(PT_EDGES))
        file["line"] = (np.array([1.0]), np.array([0.0, 1.0]))
    return f"{folder / 't.root'}:hard"


@pytest.mark.parametrize("kind", ["csv", "npz", "json", "toml names csv", "root"])
def test_table_of_weights(kind: str, tmp_path: Path) -> None:
    table = read_region(write_table(tmp_path, kind))
    assert isinstance(table, Table)
    q = muons([60, 60, 150, 150, 150, 30, 500], [0.7, 2, 0.7, 2, 0.2, 2, 2])
    np.testing.assert_array_equal(table.importance(q), [0, 1, 2, 10, 0, 0, 0])
    scaled = table.scaled(q)
    spread = np.std(q["p"]), np.std(q["pt"])
    expected = [
        min(0.3 / spread[1], 40 / spread[0]),
        0,
        0,
        0,
        0.3 / spread[1],
        20 / spread[0],
        100 / spread[0],
    ]
    np.testing.assert_allclose(scaled.distance(q), expected, atol=1e-300)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p_min,p_max\n1,2\n", "names the columns"),
        ("", "names the columns"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,2,3,4\n", "5 numbers"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,2,3,4,x\n", "5 numbers"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,3,0,1,1\n2,4,0,1,1\n", "overlaps"),
        ("p_min,p_max,pt_min,pt_max,weight\n2,1,0,1,1\n", "empty or overlaps"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,2,0,1,-1\n", "negative"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,2,0,1,nan\n", "not finite"),
        ("p_min,p_max,pt_min,pt_max,weight\n1,2,0,1,0\n", "all weights are 0"),
        ("p_min,p_max,pt_min,pt_max,weight\n", "not increasing"),
    ],
)
def test_what_is_no_table_is_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_region(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.toml", "expression = 'p > 1'\naround.p = [1, 2]\n", "exactly one of the keys"),
        ("r.toml", "region = 'p > 1'\n", "exactly one of the keys"),
        ("r.toml", "expression = 'p > 1'\nseed = 1\n", "unknown key 'seed'"),
        ("r.toml", "expression = 1\n", "must be text"),
        ("r.toml", "expression = 'p >'\n", "character 4"),
        ("r.toml", "expression 1\n", "no TOML"),
        ("r.json", "[1]", "must have one of the keys"),
        ("r.json", "{", "no JSON"),
        ("r.toml", "table = 'gone.csv'\n", "does not exist"),
        ("r.toml", "examples = 'gone.root'\n", "does not exist"),
        ("r.toml", "examples = 'r.toml'\nradius = -1\n", "radius = -1"),
        ("r.toml", "examples = 'r.toml'\nneighbours = 1.5\n", "whole number"),
        ("r.toml", "examples = 'r.toml'\nquantities = ['mass']\n", "no list of x, y, z"),
        ("r.toml", "around.p = 50\n", "not a value with a spread"),
        ("r.toml", "around.p = [50, 0]\n", "no value with a spread"),
        ("r.toml", "around.mass = [50, 1]\n", "cannot be made around 'mass'"),
        ("r.toml", "around.charge = [1, 1]\n", "cannot be made around"),
        ("r.toml", "around = 1\n", "must have quantities"),
        ("r.txt", "# only a comment\n", "empty"),
        ("r.npz", "no archive", "no NumPy archive"),
    ],
)
def test_what_is_no_region_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as failure:
        read_region(str(tmp_path / name))
    assert "\n" not in str(failure.value)


def test_histograms_of_another_kind_are_refused(tmp_path: Path) -> None:
    name = write_table(tmp_path, "root")
    with pytest.raises(InputError, match="no histogram gone: it has hard"):
        read_region(name.replace(":hard", ":gone"))
    with pytest.raises(InputError, match="not a histogram in p and pT"):
        read_region(name.replace(":hard", ":line"))


def test_an_expression_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "hard.region").write_text("# what leaks\npt > 2 and\np > 50\n")
    region = read_region(str(tmp_path / "hard.region"))
    assert isinstance(region, Inside)
    assert region.text == "pt > 2 and p > 50"
    assert read_region("pt > 2 and p > 50").text == region.text


def test_table_is_drawn_from_as_it_says(plain: Bundle, tmp_path: Path) -> None:
    """Muons of the proposal lie in the bins in proportion to their weights times the plain muons."""
    table = read_region(write_table(tmp_path, "csv"))
    entry, network = plain.entries[1], plain.networks[1]
    make = maker(entry, network, plain.target_start)
    found = learn(make, 5, table, np.random.default_rng(1), share=0.9, components=4, muons=20_000)
    assert found.proposal is not None
    known = make(np.random.default_rng(2).standard_normal((300_000, 5)))
    importance = table.importance(known)
    assert found.share == pytest.approx((importance > 0).mean(), rel=0.05)
    wanted = np.array([importance[importance == value].sum() for value in (1, 2, 10)])
    x = found.proposal.mixture.draw(50_000, np.random.default_rng(3))
    normal = np.random.default_rng(4).standard_normal((50_000, 5))
    drawn = table.importance(make(normal + (x - normal @ found.proposal.basis) @ found.proposal.basis.T))
    got = np.array([(drawn == value).sum() for value in (1, 2, 10)])
    assert (drawn > 0).mean() > 0.6
    assert got / got.sum() == pytest.approx(wanted / wanted.sum(), abs=0.1)


def test_distribution_is_what_is_made(plain: Bundle, tmp_path: Path) -> None:
    """Muons fill the bins as they are asked to, whatever plain ones do; weights are the ratio of the two."""
    edges = "p_edges = [20, 40, 60, 80, 100]\npt_edges = [0.2, 0.8, 1.4]\n"
    wanted = np.array([[1, 1], [2, 1], [1, 1], [1, 2]])
    (tmp_path / "r.toml").write_text(f"[distribution]\n{edges}weights = {wanted.tolist()}\n")
    target = read_region(str(tmp_path / "r.toml"))
    assert isinstance(target, Distribution)
    assert target.text == "distribution of r.toml"
    make = maker(plain.entries[0], plain.networks[0], plain.target_start)
    found = learn(make, 5, target, np.random.default_rng(1), share=0.99, components=8, muons=30_000)
    assert found.proposal is not None
    x, weights = found.proposal(np.random.default_rng(2).standard_normal((100_000, 6)))
    q, known = make(x), make(np.random.default_rng(3).standard_normal((100_000, 5)))
    drawn, there = (
        np.histogram2d(each["p"], each["pt"], [target.p_edges, target.pt_edges])[0] for each in (q, known)
    )
    assert drawn / drawn.sum() == pytest.approx(wanted / wanted.sum(), rel=0.5)
    # Plain muons differ from it by far.
    assert np.ptp(np.log(there / wanted)) > np.log(50)
    back = np.histogram2d(q["p"], q["pt"], [target.p_edges, target.pt_edges], weights=weights)[0]
    assert back == pytest.approx(there, abs=5 * np.sqrt(there).max())
    (tmp_path / "t.csv").write_text(CSV)
    (tmp_path / "r.toml").write_text("distribution = 't.csv'\n")
    again = read_region(str(tmp_path / "r.toml"))
    assert (type(again), again.text) == (Distribution, "distribution of table t.csv")


def test_muons_around_given_kinematics_spread_as_asked(plain: Bundle, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("[around]\np = [50, 2]\npT = [1.2, 0.05]\n")
    target = read_region(str(tmp_path / "r.toml"))
    assert isinstance(target, Around)
    assert target.text == "around p 50 +- 2 GeV, pt 1.2 +- 0.05 GeV"
    for number in (0, 3):
        entry, network = plain.entries[number], plain.networks[number]
        make = maker(entry, network, plain.target_start)
        size = network.latent_size
        found = learn(make, size, target, np.random.default_rng(1), share=0.999, components=4, muons=50_000)
        assert found.proposal is not None
        q = make(found.proposal.draw(50_000, np.random.default_rng(2)))
        near = target.importance(q) > 0
        assert near.mean() > 0.99
        for name, middle, spread in (("p", 50, 2), ("pt", 1.2, 0.05)):
            assert q[name][near].mean() == pytest.approx(middle, abs=0.1 * spread)
            assert q[name][near].std() == pytest.approx(spread, rel=0.1)
    around_angle = Around({"phi": 3.1}, {"phi": 0.2})
    q = Quantities(
        {
            **{name: np.zeros(2) for name in "xyz"},
            "px": [-1.0, 1],
            "py": [-0.1, 0],
            "pz": [9.0, 9],
            "pdg": [13, 13],
        }
    )
    assert around_angle.distance(q).tolist() == [0, pytest.approx(3.1 / 0.2 - 5)]


def test_muons_like_examples(plain: Bundle, tmp_path: Path) -> None:
    """Examples from a produced file: dangerous ones are known, and more like them are made."""
    produce(MuonGenerator(plain, n=300_000, seed=1, workers=1), tmp_path / "m.root")
    whole = read_region(str(tmp_path / "m.root"))
    assert isinstance(whole, Examples)
    assert 290_000 < len(whole.columns["pdg"]) < 310_000
    assert set(whole.columns["category"]) == {1, 2, 3, 4}
    assert whole.columns["z"].min() > -0.01
    chosen = (Quantities(whole.columns)["pt"] > 1.6) & (whole.columns["category"] == 4)
    np.savez(tmp_path / "few.npz", **{name: values[chosen] for name, values in whole.columns.items()})
    (tmp_path / "r.toml").write_text('examples = "few.npz"\nquantities = ["p", "pt"]\n')
    target = read_region(str(tmp_path / "r.toml"))
    assert 100 < chosen.sum() < 250
    entry, network = plain.entries[3], plain.networks[3]
    make = maker(entry, network, plain.target_start)
    found = learn(make, 7, target, np.random.default_rng(1), share=0.5, components=4, muons=20_000)
    assert found.proposal is not None
    q = make(found.proposal.draw(20_000, np.random.default_rng(2)))
    inside = target.scaled(make(np.random.default_rng(3).standard_normal((20_000, 7)))).importance(q) > 0
    assert inside.mean() > 0.2 > 50 * found.share
    assert (q["pt"][inside] > 1.55).mean() > 0.9
    # Of other categories there is no example.
    other = maker(plain.entries[0], plain.networks[0], plain.target_start)
    assert (
        learn(other, 5, target, np.random.default_rng(1), share=0.5, components=2, muons=2000).proposal
        is None
    )


def test_examples_of_a_smeared_beam_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """Of which category they are is not known."""
    made = MuonGenerator(bundle, n=1000, seed=1, workers=1, selection=Selection(paint_beam=5.0))
    produce(made, tmp_path / "m.root")
    with pytest.raises(InputError, match=r"smeared beam.*produced without --smear-beam"):
        read_region(str(tmp_path / "m.root"))


def test_examples_that_make_no_region(tmp_path: Path) -> None:
    names = ("x", "y", "z", "px", "py", "pz", "pdg")
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="lacks y, z, px, py, pz, pdg"):
        read_region(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.zeros(0)))
    with pytest.raises(InputError, match="no muon"):
        read_region(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.array([np.nan])))
    with pytest.raises(InputError, match="not finite"):
        read_region(str(tmp_path / "a.npz"))
    one = {name: np.array([13.0 if name == "pdg" else 1.0]) for name in names}
    np.savez(tmp_path / "a.npz", **one)
    region = read_region(str(tmp_path / "a.npz"))
    q = Quantities(
        {name: np.linspace(values[0], values[0] + 1, 2) for name, values in one.items() if name != "pdg"}
        | {"pdg": np.full(2, 13.0)}
    )
    with pytest.raises(InputError, match="give a radius"):
        region.scaled(q)
    np.savez(tmp_path / "a.npz", **{name: np.repeat(values, 9) for name, values in one.items()})
    with pytest.raises(InputError, match="are the same muon: give a radius"):
        read_region(str(tmp_path / "a.npz")).scaled(q)
