"""What a bundle states of its own error near a region: in the tails that hold most of the region's muons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen.describe.describe import difference, own_error
from shipgen_export.training.spread import tails

if TYPE_CHECKING:
    from shipgen.bundle.entries import Entry
    from shipgen.muons.columns import Float32, Float64

#: A tail says something of a region that it holds so much of.
_LEAST = 0.5


class RegionTails:
    """Counts in which tails the muons of a region lie, one category's.

    Parameters
    ----------
    entry : Entry
        The category in the bundle; its details state the errors.
    """

    def __init__(self, entry: Entry) -> None:
        self._name = entry.category.name
        self._stated = entry.details.get("uncertainty", {}).get("quantities", {})
        self._inside = 0.0
        self._sums: dict[str, float] = {}

    def add(self, features: Float32, start: float, wanted: Float64) -> None:
        """Count muons: features in rows, float[d, n]; how much each counts, float64[n]."""
        self._inside += float(wanted.sum())
        for name, chosen in tails(features.T.astype(np.float64), start).items():
            self._sums[name] = self._sums.get(name, 0.0) + float(wanted[chosen].sum())

    def line(self) -> str:
        """Say how well the category is known where its region is."""
        if not self._stated:
            return f"  {self._name}: the plain bundle does not state its errors"
        if not self._inside > 0:
            return f"  {self._name}: none of its muons is in the region"
        near = [
            name
            for name, sum_ in self._sums.items()
            if sum_ >= _LEAST * self._inside and name in self._stated
        ]
        if not near:
            return f"  {self._name}: not stated, for no tail with a stated error holds half of the region"
        # The narrowest says most.
        tail = min(near, key=lambda name: float(self._stated[name]["train"]))
        share, figures = self._sums[tail] / self._inside, self._stated[tail]
        found, own = difference(figures), own_error(figures)
        # What is no number says itself why.
        found += " %" * ("+-" in found)
        return (
            f"  {self._name}: {found} against held-out muons with {tail} ({share:.0%} of the region); "
            f"from its training sample alone it is known to {own} %"
        )
