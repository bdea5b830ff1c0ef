"""Numbers with fewer bits, for files that compress better."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from shipgen.files.layouts import Layout
    from shipgen.muons.columns import Array

#: Bits of the mantissa that may be kept: float32 has the last number of them.
LEAST, MOST = 1, 23

#: Columns that are rounded. z is not: its bits tell a place in the target by a distance from a hall's origin.
COLUMNS = ("x", "y", "px", "py", "pz")

#: Bits of the mantissa, and an integer as long with its bits, by the bytes of a type.
_TYPES = {4: (23, np.uint32, 32), 8: (52, np.uint64, 64)}


def with_precision(layout: Layout, bits: int | None) -> Layout:
    """Return a layout that keeps so many bits of the mantissa of `COLUMNS`, all for ``None``.

    Raises
    ------
    InputError
        There is no such number of bits.
    """
    if bits is not None and (type(bits) is not int or not LEAST <= bits <= MOST):
        raise InputError(f"precision = {bits!r} is no number of bits from {LEAST} to {MOST}")
    branches = (
        replace(branch, bits=bits) if branch.column in COLUMNS else branch for branch in layout.branches
    )
    return replace(layout, branches=tuple(branches))


def precision_of(layout: Layout) -> int | None:
    """Return the bits of the mantissa that `layout` keeps of `COLUMNS`, ``None`` for all."""
    return next((branch.bits for branch in layout.branches if branch.column in COLUMNS), None)


def rounded(values: Array, bits: int) -> Array:
    """Return `values` with so many bits of the mantissa kept, rounded to nearest, ties to even.

    The relative change is at most ``2**-(bits + 1)`` of normal numbers. Signs and zeros stay, order is kept,
    and no finite number becomes infinite.

    Parameters
    ----------
    values : float32[n] or float64[n]
        Contiguous, in the machine's order of bytes.
    bits : int
        `LEAST` to `MOST`.
    """
    size, kind, whole = _TYPES[values.dtype.itemsize]
    spare = size - bits
    if spare <= 0:
        return values
    raw = values.view(kind)
    kept = kind(2**whole - 2**spare)
    # Up at a half where the last bit that is kept is set. A carry goes on into the exponent, as it should.
    near = raw >> kind(spare)
    near &= kind(1)
    near += kind(2 ** (spare - 1) - 1)
    near += raw
    near &= kept
    found: Array = near.view(values.dtype)
    if not (good := np.isfinite(found)).all():
        found = np.where(good, found, (raw & kept).view(values.dtype))
    return found
