"""The plan of a production: how many muons of each category in each chunk.

A chunk is the unit of work. Its counts depend on (seed, chunk index), the rates and the number asked for,
never on workers or order, so a production can be split, repeated and checked chunk by chunk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError
from shipgen.streams import COUNTS, SEED_LIMIT, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Expected muons a chunk: one basket of 1 MiB a float32 branch.
CHUNK_SIZE = 2**18

#: More muons than anybody can store; beyond, counts of chunks lose their meaning.
LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class Chunk:
    """One unit of work.

    Attributes
    ----------
    index : int
        Number of the chunk, from 0.
    seed : int
        The production's seed.
    counts : tuple of int
        Muons of each category, in the order of the bundle's entries.
    """

    index: int
    seed: int
    counts: tuple[int, ...]

    @property
    def size(self) -> int:
        """Muons in the chunk."""
        return sum(self.counts)


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
        Whether the total is exactly the expected number (multinomial counts) or fluctuates (Poisson counts).
    """

    rates: tuple[float, ...]
    pot: float
    seed: int
    exact: bool = False

    @classmethod
    def make(
        cls,
        rates: Sequence[float],
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
        if not (_is_number(seed) and seed == int(seed) and 0 <= seed < SEED_LIMIT):
            raise InputError(f"the seed {seed!r} is not a whole number from 0 to 2**63 - 1")
        total = math.fsum(rates)
        if n is not None:
            if not (_is_number(n) and n > 0 and n == int(n)):
                raise InputError(f"n = {n!r} is not a whole number above zero")
            pot = n / total
        if pot is None or not (_is_number(pot) and pot > 0):
            raise InputError(f"pot = {pot!r} is not a finite number above zero")
        plan = cls(tuple(rates), float(pot), int(seed), exact)
        if pot * total > LARGEST:
            raise InputError(f"{pot * total:.3g} muons are more than {LARGEST:g}: ask for less")
        if plan.expected < 0.5:
            raise InputError(f"{pot:g} protons give {plan.expected:.2g} muons on average: ask for more")
        return plan

    @property
    def expected(self) -> float:
        """Muons expected for `pot` protons; the number itself when the total is exact."""
        expected = self.pot * math.fsum(self.rates)
        # n / rate * rate is n again but for the last bits.
        whole = float(round(expected))
        return whole if self.exact or math.isclose(expected, whole, rel_tol=1e-12) else expected

    @property
    def weight(self) -> float:
        """Each muon's weight: the expected sum of weights is the expected number of muons for `pot`."""
        return self.pot * math.fsum(self.rates) / self.expected

    def __len__(self) -> int:
        """Return the number of chunks."""
        return math.ceil(self.expected / CHUNK_SIZE)

    def __iter__(self) -> Iterator[Chunk]:
        return (self.chunk(index) for index in range(len(self)))

    def chunk(self, index: int) -> Chunk:
        """Return chunk number `index`; its counts are drawn from its own stream."""
        if not 0 <= index < len(self):
            raise InputError(f"there is no chunk {index}: the plan has {len(self)}")
        size = min(float(CHUNK_SIZE), self.expected - index * CHUNK_SIZE)
        shares = np.asarray(self.rates) / math.fsum(self.rates)
        rng = stream(self.seed, index, COUNTS)
        counts = rng.multinomial(round(size), shares) if self.exact else rng.poisson(size * shares)
        return Chunk(index, self.seed, tuple(int(count) for count in counts))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)
