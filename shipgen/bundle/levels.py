"""Latents by eights: normal numbers as sums of levels, each of which is a random byte.

A byte stands for one of 256 levels, whose moments up to the ninth are those of a normal number. Eight of
them, with the signs of a row of a Hadamard matrix and divided by the root of eight, add up to a normal one:
all joint moments of such numbers are exact up to the ninth, and 0.4 % too few are beyond 5 standard
deviations. Networks begin with sums of their latents, so they take the levels and add up themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from shipgen.muons.columns import Float32, Float64

#: Ways in which the latents of a network are drawn: normal numbers, or levels.
NORMAL, LEVELLED = 1, 2

#: How many levels are added up.
EIGHT = 8

#: The upper half of the levels, ascending; the lower half is their negatives.
_TABLE = """
    0.004297221 0.012892599 0.021490788 0.03009366 0.0387031 0.04732098 0.055949196 0.064589635
    0.07324421 0.08191481 0.090603374 0.09931182 0.108042106 0.116796166 0.12557599 0.13438356
    0.14322086 0.15208994 0.16099283 0.1699316 0.17890833 0.18792512 0.19698413 0.20608748
    0.21523741 0.22443609 0.2336858 0.24298882 0.25234747 0.26176408 0.27124104 0.2807808
    0.2903858 0.30005863 0.30980173 0.3196178 0.32950944 0.33947933 0.34953028 0.35966507
    0.36988655 0.38019767 0.39060137 0.40110072 0.41169882 0.42239884 0.433204 0.44411767
    0.45514318 0.46628404 0.47754377 0.488926 0.5004344 0.5120728 0.5238451 0.5357552
    0.5478072 0.5600053 0.5723537 0.5848568 0.59751904 0.610345 0.62333935 0.63650686
    0.6498524 0.663381 0.67709774 0.6910079 0.70511687 0.71943 0.733953 0.74869144
    0.7636512 0.77883816 0.7942584 0.8099181 0.8258234 0.8419808 0.8583966 0.8750774
    0.8920298 0.9092605 0.92677623 0.9445838 0.9626899 0.9811015 0.99982536 1.0188682
    1.038237 1.0579381 1.0779781 1.0983636 1.1191005 1.1401948 1.1616522 1.183478
    1.2056769 1.2282535 1.2512116 1.2745544 1.2982844 1.3224033 1.3469119 1.37181
    1.3964405 1.4199663 1.4440932 1.4688619 1.4943184 1.5205142 1.5475093 1.5753723
    1.6041837 1.6340386 1.6650515 1.6973623 1.728288 1.7578031 1.7875353 1.8174832
    1.847674 1.878205 1.9116731 1.985152 2.078684 2.199721 2.389116 3.1570325
"""
_UPPER = np.array(_TABLE.split(), np.float32)

#: What each byte stands for, float32[256], ascending.
LEVELS: Float32 = np.concatenate([-_UPPER[::-1], _UPPER])


def levels_of(latents: int) -> int:
    """Return how many levels a muon takes for so many latents: eight for every eight begun."""
    return -(-latents // EIGHT) * EIGHT


def mixing(latents: int) -> Float64:
    """Return the orthonormal rows by which levels become latents, float64[latents, levels].

    In each block of eight stands the Hadamard matrix of Sylvester's form, divided by the root of eight: its
    signs are those of a bitwise scalar product of the numbers of row and column.
    """
    row, column = np.divmod(np.arange(latents * levels_of(latents)), levels_of(latents))
    signs = 1.0 - 2.0 * (np.bitwise_count(row % EIGHT & column % EIGHT) % 2)
    block = np.where(row // EIGHT == column // EIGHT, signs / np.sqrt(EIGHT), 0.0)
    return block.reshape(latents, -1)


def fill(raw: npt.NDArray[np.uint64], out: Float32) -> Float32:
    """Fill `out`, float32[levels, n], row by row: byte after byte of the words, their lowest byte first.

    Parameters
    ----------
    raw : uint64[levels / 8 * n]
        Random bits.
    """
    octets = np.asarray(raw, "<u8").view(np.uint8).reshape(out.shape)
    return np.take(LEVELS, octets, mode="clip", out=out)
