"""The plan of a production: how many muons, in which chunks, and the category of each.

The total is drawn once; all chunks but the last are full. Each muon's category is drawn on its own with the
rates' shares, so the categories' totals are independent Poisson numbers (multinomial if the total is exact)
and any part of a production is a fair sample. A full chunk depends on the seed and its index alone, never on
the amount, workers or order, so a production can be split, resumed and checked chunk by chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shipgen.errors import InputError
from shipgen.generate.streams import COUNTS, MIXING, SEED_LIMIT, stream, words
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

#: More muons than anybody can store.
LARGEST = 1e15

#: Values that a word of a random stream takes.
_WORDS = 2**32


class Rates(NamedTuple):
    """What muons are drawn with; a bundle's own rates are `drawn` times `factors`.

    Attributes
    ----------
    drawn : tuple of float
        Muons per POT of each category.
    factors : tuple of float
        What the weights of each category's muons are multiplied by.
    """

    drawn: tuple[float, ...]
    factors: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """One unit of work.

    Attributes
    ----------
    index : int
        Number of the chunk, from 0.
    seed : int
        The production's seed.
    labels : uint8[n]
        Category of each muon: its position among the bundle's entries.
    """

    index: int
    seed: int
    labels: npt.NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Muons in the chunk."""
        return len(self.labels)

    def counts(self, categories: int) -> tuple[int, ...]:
        """Return the muons of each of so many categories."""
        # A tenth of what `bincount` takes, which counts other kinds of numbers.
        return tuple(int(np.count_nonzero(self.labels == number)) for number in range(categories))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a production consists of.

    Attributes
    ----------
    rates : tuple of float
        Muons per POT of each category.
    pot : float
        Protons on target that the production stands for.
    seed : int
        0 to 2**63 - 1.
    exact : bool
        Whether the total is exactly the expected number or a Poisson number around it.
    factors : tuple of float
        What the weights of each category's muons are multiplied by; none: 1.
    total : int
        Muons, of all categories and chunks.
    """

    rates: tuple[float, ...]
    pot: float
    seed: int
    exact: bool = False
    factors: tuple[float, ...] = ()
    total: int = field(init=False)

    def __post_init__(self) -> None:
        rng = stream(self.seed, 0, COUNTS)
        total = round(self.expected) if self.exact else int(rng.poisson(self.expected))
        object.__setattr__(self, "total", total)

    @classmethod
    def make(
        cls,
        rates: Sequence[float] | Rates,
        *,
        n: float | None = None,
        pot: float | None = None,
        seed: int,
        exact: bool = False,
    ) -> Plan:
        """Plan `n` muons, or those of `pot` protons on target; exactly one of the two is given.

        Raises
        ------
        InputError
            Both or neither are given, or one is out of range.
        """
        if (n is None) == (pot is None):
            raise InputError("say how much to produce by either the number of muons (n) or the protons (pot)")
        if not (is_number(seed) and seed == int(seed) and 0 <= seed < SEED_LIMIT):
            raise InputError(f"the seed {seed!r} is not a whole number from 0 to 2**63 - 1")
        drawn, factors = rates if isinstance(rates, Rates) else (rates, ())
        total = math.fsum(drawn)
        if n is not None:
            if not (is_number(n) and n > 0 and n == int(n)):
                raise InputError(f"n = {n!r} is not a whole number above zero")
            pot = n / total
        if pot is None or not (is_number(pot) and pot > 0):
            raise InputError(f"pot = {pot!r} is not a finite number above zero")
        expected = pot * total
        # By more than the last bits of n / rate * rate.
        if expected > LARGEST * (1 + 1e-12):
            raise InputError(f"{expected:.3g} muons are more than {LARGEST:g}: ask for less")
        if expected < 0.5:
            raise InputError(f"{pot:g} protons give {expected:.2g} muons on average: ask for more")
        return cls(tuple(drawn), float(pot), int(seed), exact, factors)

    @property
    def rate(self) -> float:
        """Muons per POT, all categories."""
        return math.fsum(self.rates)

    @property
    def weighted(self) -> bool:
        """Whether categories differ in weight."""
        return any(factor != 1 for factor in self.factors)

    @property
    def expected(self) -> float:
        """Muons expected for `pot` protons; the number itself when the total is exact."""
        expected = self.pot * self.rate
        # n / rate * rate is n again but for the last bits.
        whole = float(round(expected))
        return whole if self.exact or math.isclose(expected, whole, rel_tol=1e-12) else expected

    @property
    def weight(self) -> float:
        """Each muon's weight: the expected sum of weights is the expected number of muons for `pot`."""
        weight = self.pot * self.rate / self.expected
        return 1.0 if math.isclose(weight, 1.0, rel_tol=1e-12) else weight

    def __len__(self) -> int:
        """Return the number of chunks."""
        return (self.total + CHUNK_SIZE - 1) // CHUNK_SIZE

    def __iter__(self) -> Iterator[Chunk]:
        return (self.chunk(index) for index in range(len(self)))

    def size(self, index: int) -> int:
        """Return the muons of chunk number `index`."""
        if not 0 <= index < len(self):
            raise InputError(f"there is no chunk {index}: the plan has {len(self)}")
        return min(CHUNK_SIZE, self.total - index * CHUNK_SIZE)

    def chunk(self, index: int) -> Chunk:
        """Return chunk number `index`; its muons' categories are drawn from its own stream."""
        random = words(stream(self.seed, index, MIXING), self.size(index))
        labels = np.zeros(len(random), np.uint8)
        sums = np.cumsum(self.rates)
        for border in (sums[:-1] / sums[-1] * _WORDS).tolist():
            # At 2**32 nothing is left for the categories behind.
            if border < _WORDS:
                labels += random >= np.uint32(border)
        return Chunk(index, self.seed, labels)
