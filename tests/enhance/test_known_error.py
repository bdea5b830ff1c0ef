"""What a bundle states of its error near a region; enhancing and studying bundles without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shipgen.bundle.bundle import Bundle
from shipgen_export.enhance.known_error import RegionTails

if TYPE_CHECKING:
    from pathlib import Path


def test_the_plain_bundle_says_how_well_it_knows_the_region(bundle: Bundle) -> None:
    figures = {"sample": 0.1, "error": 3e-3, "train": 0.1, "train_error": 3e-3, "student": 0.104}
    figures |= {"made_error": 0.0, "mean": 0.1, "spread": 4e-3}
    rare = {name: 0.01 * value for name, value in figures.items()} | {"student": 0.9e-3}
    stated = {"pT > 1.5 GeV": figures, "pT > 2.5 GeV": rare, "p > 60 GeV": rare}
    entry = replace(bundle.entries[2], details={"uncertainty": {"quantities": stated}})
    # x, y, z, px, py, pz of three muons, of which two have pT above 2.5 GeV.
    features = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [1.6, 2.6, 3], [0, 0, 0], [20, 20, 20]], np.float32)
    for wanted, told in (
        ([1.0, 1.0, 1.0], "-10.00 +- 5.83 % against held-out muons with pT > 2.5 GeV (67% of the region)"),
        ([3.0, 1.0, 1.0], "+4.00 +- 5.83 % against held-out muons with pT > 1.5 GeV (100% of the region)"),
    ):
        region = RegionTails(entry)
        region.add(features, 0.0, np.array(wanted))
        assert told in region.line()
        assert "it is known to 5.00 %" in region.line()
    low = RegionTails(entry)
    low.add(features / 4, 0.0, np.ones(3))
    assert "no tail with a stated error holds half of the region" in low.line()
    assert "does not state its errors" in RegionTails(bundle.entries[2]).line()


def test_neither_command_needs_tensorflow(bundle: Bundle, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from shipgen.cli import main\nmain()"
    )
    enhanced = tmp_path / "enhanced"
    for words in (
        ("enhance", "--region", "pt > 1.5", "--bundle", str(bundle.path), "-o", str(enhanced)),
        ("latent", str(bundle.path), "-o", str(tmp_path / "latent"), "--no-pictures", "--muons", "2000"),
    ):
        more = ("--muons", "2000") if words[0] == "enhance" else ()
        done = subprocess.run(
            [sys.executable, "-c", program, *words, *more], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert Bundle.open(enhanced).weighted
    assert (tmp_path / "latent" / "latent.json").is_file()
