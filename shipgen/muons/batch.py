"""Batches: the muons of a chunk in memory, a column a quantity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shipgen.muons.columns import Array, Float32


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Muons at their production point; all columns have one entry a muon.

    Attributes
    ----------
    pdg : int32[n]
        PDG code; 13 is the negative muon.
    x, y, z : float32[n]
        Where the muon starts, cm, in the bundle's frame; beam at x = y = 0, not smeared.
    px, py, pz : float32[n]
        Momentum there, GeV.
    weight : float32[n]
        How many muons it stands for, for the POT of the production.
    """

    pdg: npt.NDArray[np.int32]
    x: Float32
    y: Float32
    z: Float32
    px: Float32
    py: Float32
    pz: Float32
    weight: Float32

    def __len__(self) -> int:
        return len(self.pdg)

    def columns(self) -> dict[str, Array]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_awkward(self) -> Any:
        """Return an Awkward Array of records, one a muon."""
        import awkward as ak

        return ak.zip(self.columns())
