"""Networks of variations in a bundle: what is read, what is refused, what older versions see."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import VARIED, edit_index, known_factors, write_test_bundle
from shipgen.bundle.bundle import Bundle
from shipgen.bundle.factors import load_factors
from shipgen.describe.describe import describe
from shipgen.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    edit_index(folder, lambda index: edit(index["categories"][0]["variations"]))


def test_a_bundle_says_its_variations(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "b", variations=1)
    assert bundle.variations == VARIED
    assert write_test_bundle(tmp_path / "none").variations == {}
    for entry, network in zip(bundle.entries, load_factors(bundle), strict=True):
        muons = np.arange(12.0 * network.features, dtype=np.float32).reshape(network.features, 12)
        wanted = known_factors(muons[-1])
        for row, name in zip(network(muons), network.columns, strict=True):
            assert row == pytest.approx(wanted[name], rel=1e-5)
        # What other versions do not know is passed over, as details of the entry are.
        assert "variations" not in entry.details
    lines = list(describe(bundle.path))
    (kaons,) = (line for line in lines if line.startswith("  vary_kaons"))
    assert kaons.split()[1:] == ["+25.00"] * 4 + ["more", "kaons"]


def test_a_column_that_one_category_lacks_is_none_of_the_bundle(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "b", variations=1)
    change(bundle.path, lambda stated: stated["columns"].__setitem__(0, {"name": "vary_other"}))
    assert tuple(Bundle.open(bundle.path).variations) == ("vary_mine",)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda stated: stated.__setitem__("file", "../x.onnx"), "outside the folder"),
        (lambda stated: stated.__setitem__("file", "none.onnx"), "missing, damaged or not the bundle's own"),
        (lambda stated: stated.__setitem__("sha256", "0"), "missing, damaged or not the bundle's own"),
        (lambda stated: stated.__setitem__("file", "muplus_onaxis.onnx"), "used twice"),
        (lambda stated: stated.pop("columns"), "'columns' is missing"),
        (lambda stated: stated["columns"].append({"name": "weight"}), "have a column 'weight'"),
        (lambda stated: stated["columns"].append({"name": "vary_mine"}), "have a column 'vary_mine'"),
    ],
)
def test_what_is_wrong_is_said_when_a_bundle_is_opened(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    bundle = write_test_bundle(tmp_path / "b", variations=1)
    change(bundle.path, edit)
    with pytest.raises(BundleError, match=told):
        Bundle.open(bundle.path)


@pytest.mark.parametrize("what", ["huge", "fifo"])
def test_files_that_have_no_end(tmp_path: Path, what: str) -> None:
    bundle = write_test_bundle(tmp_path / "b", variations=1)
    (file,) = bundle.path.glob("muplus_onaxis.var*")
    if what == "huge":
        os.truncate(file, 2**40)
    else:
        file.unlink()
        os.mkfifo(file)
    with pytest.raises(BundleError, match="missing, damaged or not the bundle's own"):
        Bundle.open(bundle.path)


def test_a_failure_while_running_is_one_line(tmp_path: Path) -> None:
    class Failing:
        def run(self, *_: object) -> None:
            raise RuntimeError("no kernel\nat line 7")

    network = load_factors(write_test_bundle(tmp_path / "b", variations=1))[0]
    with pytest.raises(BundleError, match=r"cannot be computed: no kernel$"):
        replace(network, _session=Failing())(np.zeros((network.features, 3), np.float32))


def test_networks_of_another_kind_are_refused(tmp_path: Path) -> None:
    bundle = write_test_bundle(tmp_path / "negative", variations=-1)
    with pytest.raises(BundleError, match="not all finite and above zero"):
        load_factors(bundle)
    bundle = write_test_bundle(tmp_path / "more", variations=1)
    change(bundle.path, lambda stated: stated["columns"].append({"name": "vary_more"}))
    with pytest.raises(BundleError, match=r"expected: train them again"):
        load_factors(Bundle.open(bundle.path))
    with pytest.raises(BundleError, match="has no variations of muplus_onaxis"):
        load_factors(write_test_bundle(tmp_path / "none"))
