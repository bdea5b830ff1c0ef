"""Random streams: one for every (seed, chunk, purpose), so that results depend on nothing else.

A stream is NumPy's SFC64 seeded by ``SeedSequence(seed, spawn_key=(chunk, purpose))``. Both algorithms are
specified and kept stable by NumPy. Latents are drawn as float32 normals by its ziggurat method. Each step is
also there in C, in NumPy's static library ``libnpyrandom``: `docs/explanation/production.md` says how to draw
the same.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt

#: Purposes: numbers of muons and their categories; the beam's position and the muons of each event in
#: FairShip. Latents of category number k use ``LATENT + k``.
COUNTS, MIXING, BEAM, EVENTS, LATENT = 0, 1, 2, 3, 16

#: Seeds are whole numbers below this.
SEED_LIMIT = 2**63


def stream(seed: int, chunk: int, purpose: int) -> np.random.Generator:
    """Return the generator for `purpose` in chunk number `chunk` of a run with `seed`."""
    sequence = np.random.SeedSequence(seed, spawn_key=(chunk, purpose))
    return np.random.Generator(np.random.SFC64(sequence))


def words(rng: np.random.Generator, n: int) -> npt.NDArray[np.uint32]:
    """Return the next `n` words of 32 random bits of a fresh stream: the low half of each output first."""
    outputs = np.asarray(rng.bit_generator.random_raw((n + 1) // 2), "<u8")
    return outputs.view("<u4")[:n].astype(np.uint32, copy=False)


def draw_seed() -> int:
    """Return a new seed from the operating system, for runs that name none; it is recorded and printed."""
    return secrets.randbelow(SEED_LIMIT)
