"""What tests find, and which of it counts when there are many tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence


class BothSides(TypedDict):
    """A number of generated muons and of the reference, with their standard errors."""

    generated: float
    generated_error: float
    reference: float
    reference_error: float


@dataclass(frozen=True)
class Finding:
    """One statistical test that generated and reference muons are of the same distribution.

    Attributes
    ----------
    family : str
        Such as ``"histogram"``.
    category, quantity : str
        Of which muons, and what.
    p : float
        Probability of a result as bad or worse if they are.
    size : float
        How bad, to order results whose p is 0: a pull, or chi2 over degrees of freedom.
    text : str
        What was found and where.
    """

    family: str
    category: str
    quantity: str
    p: float
    size: float
    text: str


#: Family of the tests for copies. They take no part of the level: their p is 1, or as good as 0.
COPIES = "copies"
_CERTAIN = 1e-9

#: Tests that ask the same question share a part of the level: the smaller a family, the less its tests pay
#: for the others.
_FAMILIES = {
    "rates": "amounts",
    "rates of the bundle": "amounts",
    "charge ratio": "amounts",
    "histogram": "distributions",
    "bin": "distributions",
    "KS": "distributions",
    "tail": "tails",
    "correlation": "correlations",
    "classifier": "classifiers",
    "memory": "memory",
}


def significant(tests: Sequence[Finding], level: float) -> list[Finding]:
    """Return the tests that fail, the worst first.

    The level is parted evenly among the groups of tests there are (amounts, distributions, tails,
    correlations, classifiers, memory) and within each among its tests (Bonferroni): two samples of the same
    distribution get any test that fails with probability `level` at most, however tests depend on each other.
    """
    groups = Counter(_FAMILIES[test.family] for test in tests if test.family != COPIES)
    limits = {COPIES: _CERTAIN}
    limits |= {
        name: level / len(groups) / groups[group] for name, group in _FAMILIES.items() if group in groups
    }
    failed = [test for test in tests if test.p < limits[test.family]]
    return sorted(failed, key=lambda test: (test.family != COPIES, test.p, -test.size))
