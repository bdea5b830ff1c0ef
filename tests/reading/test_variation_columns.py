"""Factors of variations that files bring: names of one's own, produced files, some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.bundles import VARIED, known_factors, write_test_bundle
from helpers.muon_files import muon_columns
from shipgen.files.arrays.choose import LAYOUTS
from shipgen.generate.generator import MuonGenerator
from shipgen.production.produce import produce
from shipgen_export.reading.formats.array_files import ArrayChoice
from shipgen_export.reading.prepare import prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("layout", "ending"), [("muonback", "root"), ("ttree", "root"), ("rntuple", "root"), ("npz", "npz")]
)
def test_produced_files_bring_them(tmp_path: Path, layout: str, ending: str) -> None:
    bundle = write_test_bundle(tmp_path / "b", variations=1)
    file = tmp_path / f"a.{ending}"
    produce(MuonGenerator(2000, bundle=bundle, seed=1, variations="all"), file, layout=LAYOUTS[layout])
    sample = prepare([file], tmp_path / "p")
    for category in sample.categories:
        found = sample.variations(category.name)
        assert tuple(found) == tuple(VARIED)
        pz = sample.load(category.name).features[:, -1]
        for name, factors in known_factors(pz).items():
            assert found[name] == pytest.approx(factors, rel=1e-5)


def test_columns_of_ones_own_are_kept(tmp_path: Path) -> None:
    """Those that all files have, whatever the order; muons of odd factors are left out and counted."""
    files = []
    for number, names in enumerate((("vary_a", "vary_b", "vary_c"), ("vary_c", "vary_a"))):
        columns = {
            name: values for name, values in muon_columns(600, seed=number).items() if name != "process"
        }
        columns |= {name: np.full(600, 1 + place / 10) for place, name in enumerate(names)}
        columns["vary_a"][:3] = -1
        files.append(tmp_path / f"{number}.npz")
        np.savez(files[-1], **columns)
    choice = ArrayChoice(unit="cm", frame="global")
    sample = prepare(files, tmp_path / "p", arrays=choice, pot=1e6, energy_cut=10.0)
    found = {category.name: sample.variations(category.name) for category in sample.categories}
    assert {tuple(columns) for columns in found.values()} == {("vary_a", "vary_c")}
    whole = np.concatenate([np.column_stack(list(columns.values())) for columns in found.values()])
    rows = {tuple(row) for row in np.round(whole.astype(np.float64), 3).tolist()}
    assert rows == {(1.0, 1.2), (1.1, 1.0)}
    (dropped,) = sample.index["dropped"]
    assert (dropped["reason"], dropped["muons"]) == ("a factor of a variation is negative or not finite", 6)
