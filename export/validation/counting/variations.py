"""Named variations of a sample: what counts for the total band, and how it is added up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.variation_columns import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float64

#: Not steps of one standard error but another model of all that the others vary: drawn by themselves.
ALTERNATIVES = ("vary_hadrons",)


def name_of(column: str) -> str:
    """Return how pictures and tables call the variation of a column."""
    return column.removeprefix(PREFIX)


def steps(columns: Sequence[str]) -> list[int]:
    """Return the places of the variations that are parts of the total band."""
    return [place for place, column in enumerate(columns) if column not in ALTERNATIVES]


def quadrature(deviations: Float64) -> Float64:
    """Return the root of the sum of squares over the first axis, which is that of variations.

    Variations are of things that have nothing to do with each other, so that their deviations add up like
    errors, which an envelope would understate; each is a step one way, and the other way is as likely.
    """
    return np.asarray(np.sqrt(np.square(deviations).sum(0)))
