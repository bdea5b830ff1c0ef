"""Columns of variations in files: written, merged, converted, resumed, told, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot

from helpers.bundles import VARIED, known_factors, write_test_bundle
from shipgen.describe.describe import describe
from shipgen.errors import InputError
from shipgen.files.arrays.choose import LAYOUTS
from shipgen.files.convert import convert, open_muons
from shipgen.files.layouts import SHIELD
from shipgen.files.variation_columns import with_variations
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.selection import Selection
from shipgen.generate.shards import Shard
from shipgen.production.merge import merge
from shipgen.production.produce import produce
from shipgen.production.request import Request, carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

N = 3e5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "varied", variations=1)


def make(bundle: Bundle, path: Path, layout: str, n: float = N, **options: object) -> Path:
    generator = MuonGenerator(n, bundle=bundle, seed=5, workers=2, **options)  # type: ignore[arg-type]
    produce(generator, path, layout=LAYOUTS[layout])
    return path


def columns(path: Path) -> dict[str, np.ndarray]:
    with open_muons(path) as muons:
        pieces = list(muons.columns([branch.column for branch in muons.layout.branches]))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@pytest.mark.parametrize(("layout", "ending"), [("muonback", "root"), ("rntuple", "root"), ("npy", "npy")])
def test_files_have_a_column_for_each(bundle: Bundle, tmp_path: Path, layout: str, ending: str) -> None:
    varied = columns(make(bundle, tmp_path / f"a.{ending}", layout, variations="all"))
    plain = columns(make(bundle, tmp_path / f"b.{ending}", layout))
    assert all((varied[name] == plain[name]).all() for name in plain)
    assert varied.keys() - plain.keys() == VARIED.keys()
    for name, factors in known_factors(varied["pz"].astype(np.float32)).items():
        assert np.allclose(varied[name], factors, rtol=1e-5)
    text = "\n".join(describe(tmp_path / f"a.{ending}"))
    assert 'variations: {"vary_kaons": "more kaons", "vary_mine": ""}' in text
    assert "variations" not in "\n".join(describe(tmp_path / f"b.{ending}"))


def test_branches_are_float32_behind_the_others(bundle: Bundle, tmp_path: Path) -> None:
    with uproot.open(make(bundle, tmp_path / "a.root", "ttree", 1000, variations="kaons")) as file:
        tree = file["converted_ntuple"]
        assert tree.keys()[-2:] == ["id", "vary_kaons"]
        assert tree["vary_kaons"].array(library="np").dtype == np.float32


def test_shards_merge_to_what_one_run_writes(bundle: Bundle, tmp_path: Path) -> None:
    request = Request(
        str(tmp_path / "s.root"),
        n=N,
        seed=5,
        bundle=str(bundle.path),
        selection=Selection(variations=("all",)),
        workers=1,
    )
    assert request.selection.words() == ["--variations", "all"]
    for number in (1, 2):
        carry_out(Request(**{**_values(request), "shard": Shard(number, 2)}), lambda _: None)
    merge(tmp_path / "m.root", sorted(tmp_path.glob("s_shard*.root")))
    whole = columns(make(bundle, tmp_path / "w.root", "muonback", variations="all"))
    merged = columns(tmp_path / "m.root")
    assert all((merged[name] == whole[name]).all() for name in whole)
    # The same command again finds it, one without the columns does not.
    again = carry_out(Request(**{**_values(request), "shard": Shard(1, 2), "resume": True}), lambda _: None)
    assert again.report.found
    other = Request(**{**_values(request), "shard": Shard(1, 2), "resume": True, "selection": Selection()})
    with pytest.raises(InputError, match="exists"):
        carry_out(other, lambda _: None)


def _values(request: Request) -> dict[str, object]:
    return {name: getattr(request, name) for name in Request.__dataclass_fields__}


def test_they_pass_through_conversions(bundle: Bundle, tmp_path: Path) -> None:
    source = make(bundle, tmp_path / "a.root", "ttree", 2000, variations="all")
    convert(source, tmp_path / "b.npz", "npz")
    convert(tmp_path / "b.npz", tmp_path / "c.root", "muonback")
    first, last = columns(source), columns(tmp_path / "c.root")
    assert all((first[name] == last[name]).all() for name in VARIED)
    with pytest.raises(InputError, match="none for variations"):
        convert(source, tmp_path / "d.npz", SHIELD)


def test_fairship_reads_no_more_than_sixteen_leaves() -> None:
    five = [f"vary_{number}" for number in range(5)]
    assert len(with_variations(LAYOUTS["muonback"], five).branches) == 16
    with pytest.raises(InputError, match="has room for 5 variations, and 6 are asked for"):
        with_variations(LAYOUTS["muonback"], [*five, "vary_more"])
    assert len(with_variations(LAYOUTS["ttree"], [*five, "vary_more"]).branches) == 14
