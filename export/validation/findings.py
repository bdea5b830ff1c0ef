"""What tests find, and which of it counts when there are many tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Test:
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

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def significant(tests: Sequence[Test], level: float) -> list[Test]:
    """Return the tests that fail, the worst first.

    A test fails when p is below `level` over the number of tests (Bonferroni): two samples of the same
    distribution get a test that fails with probability `level` at most.
    """
    failed = [test for test in tests if test.p < level / len(tests)]
    return sorted(failed, key=lambda test: (test.p, -test.size))
