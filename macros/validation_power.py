#!/usr/bin/env python3
"""Measure how often the tests of `shipgen validate` fail for equal samples, and what they find in wrong ones.

Usage: validation_power.py PREPARED -o RESULT.json [--protons 10000] [--pairs 20] [--wrong [WORD]]
       [--forms fast]

PREPARED is a prepared sample of `shipgen simulate`. Its protons are dealt out, in an order that --seed
shuffles, into disjoint pairs of samples of so many protons. With --wrong the first of each pair is distorted,
in five ways or those with WORD in their name; without, tests should fail as often as their level says.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shipgen_export.merit.classifiers import FORMS
from shipgen_export.merit.weighted_muons import WeightedMuons
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.validation.compare import Result, validate
from shipgen_export.validation.samples.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

#: Levels at which failing tests are counted.
LEVELS = (0.05, 0.01)


def scale_momentum(muons: dict[str, WeightedMuons]) -> None:
    """Scale pz of all muons by 1.02."""
    for one in muons.values():
        one.features[:, -1] *= 1.02


def flip_positive(muons: dict[str, WeightedMuons]) -> None:
    """Make 2 % of the positive muons negative."""
    flip_charges(muons, ("muplus",))


def flip_charges(muons: dict[str, WeightedMuons], charges: tuple[str, ...] = ("muplus", "muminus")) -> None:
    """Give 2 % of the muons of these charges the other one."""
    for axis in ("onaxis", "offaxis"):
        names = f"muplus_{axis}", f"muminus_{axis}"
        both = [muons[name] for name in names]
        flipped = [
            (np.arange(len(one)) % 50 == 0) & name.startswith(charges)
            for one, name in zip(both, names, strict=True)
        ]
        for place, name in enumerate(names):
            parts = both[place].at(~flipped[place]), both[1 - place].at(flipped[1 - place])
            columns = ("features", "weights", "group")
            muons[name] = WeightedMuons(
                *(np.concatenate([getattr(p, column) for p in parts]) for column in columns)
            )


def correlate_signs(muons: dict[str, WeightedMuons]) -> None:
    """Turn the sign of x of a tenth of the off-axis muons whose x and y have opposite signs."""
    for name in ("muplus_offaxis", "muminus_offaxis"):
        features = muons[name].features
        opposite = np.flatnonzero(features[:, 0] * features[:, 1] < 0)
        features[opposite[::10], 0] *= -1


def one_more_often(muons: dict[str, WeightedMuons]) -> None:
    """Make one category 5 % too frequent."""
    one = muons["muminus_onaxis"]
    muons["muminus_onaxis"] = WeightedMuons(one.features, one.weights * 1.05, one.group)


WRONG = {
    "pz scaled by 1.02": scale_momentum,
    "2 % of the positive muons made negative": flip_positive,
    "2 % of all charges flipped": flip_charges,
    "x and y with correlated signs": correlate_signs,
    "one category 5 % too frequent": one_more_often,
}


def read(prepared: PreparedSample, chosen: np.ndarray) -> dict[str, WeightedMuons]:
    """Return the muons of the `chosen` protons, bool[protons], with weights per POT."""
    start = prepared.index["target_start"]
    found = {}
    for category in prepared.categories:
        sample = prepared.load(category.name)
        places = np.flatnonzero(chosen[sample.group])
        features = sample.features[places].copy()
        z = category.features.index("z")
        features[:, z] = features[:, z].astype(np.float64) - start
        weights = sample.weights[places] * (len(chosen) / chosen.sum() / prepared.index["pot"])
        found[category.name] = WeightedMuons(features, weights, sample.group[places])
    return found


def run(muons: list[dict[str, WeightedMuons]], protons: int, forms: list[str], seed: int) -> Result:
    """Compare two samples."""
    pair = [Sample.of_muons(side, each, pot=protons) for side, each in zip("ab", muons, strict=True)]
    return validate(pair[0], pair[1], forms=forms, memory=bool(forms), seed=seed)


def main() -> None:
    """Read the arguments, compare pair by pair, write and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("prepared", type=Path, metavar="PREPARED")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--protons", type=int, nargs="+", default=[10_000])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--wrong", nargs="?", const="", metavar="WORD")
    parser.add_argument("--forms", nargs="*", default=[], choices=list(FORMS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    prepared = PreparedSample.open(options.prepared)
    number = int(sum(source["pot"] for source in prepared.index["sources"]))
    order = np.random.default_rng(options.seed).permutation(number)
    chosen: dict[str, Callable[[dict[str, WeightedMuons]], None] | None] = {"equal": None}
    if options.wrong is not None:
        chosen = {name: distort for name, distort in WRONG.items() if options.wrong in name}
    found: dict[str, list[list[dict[str, object]]]] = defaultdict(list)
    for protons in options.protons:
        for pair in range(min(options.pairs, number // (2 * protons))):
            sides = []
            for half in (2 * pair, 2 * pair + 1):
                dealt = np.zeros(number, bool)
                dealt[order[half * protons : (half + 1) * protons]] = True
                sides.append(read(prepared, dealt))
            for name, distort in chosen.items():
                made = {
                    key: WeightedMuons(one.features.copy(), one.weights, one.group)
                    for key, one in sides[0].items()
                }
                if distort is not None:
                    distort(made)
                result = run([made, sides[1]], protons, options.forms, pair + 1)
                failed = {id(test) for test in result.failed}
                tests = [{**asdict(test), "failed": id(test) in failed} for test in result.tests]
                found[f"{name}, {protons} protons"].append(tests)
                first = f"{result.failed[0].category}, {result.failed[0].text}" if result.failed else "none"
                print(
                    f"{name}, {protons} protons, pair {pair}: {len(result.failed)} fail: {first}", flush=True
                )
            options.output.write_text(json.dumps(found))
    for name, pairs in found.items():
        summarise(name, pairs)


def summarise(name: str, pairs: list[list[dict[str, object]]]) -> None:
    """Print how often tests of each family fail."""
    reports = sum(any(test["failed"] for test in tests) for tests in pairs)
    print(f"{name}: {reports} of {len(pairs)} reports with a test that fails")
    families = list(dict.fromkeys(test["family"] for tests in pairs for test in tests))
    for family in families:
        each = [test for tests in pairs for test in tests if test["family"] == family]
        p = np.array([test["p"] for test in each], float)
        shares = ", ".join(f"p < {level:g}: {np.mean(p < level):.4f}" for level in LEVELS)
        where = sum(any(t["failed"] for t in tests if t["family"] == family) for tests in pairs)
        print(f"  {family:20} {len(p):6} tests, {shares}, mean p {p.mean():.3f}, fails in {where} reports")


if __name__ == "__main__":
    main()
