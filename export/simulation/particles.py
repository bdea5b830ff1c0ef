"""Columns of parents that wait for their decay, and of the muons that come out."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from shipgen.muons.columns import Float64, Int64


class Process(IntEnum):
    """How a muon was made: the codes of the column ``process``."""

    #: Decay in flight of a pion, charged kaon or K_L.
    DECAY = 1
    #: Two-body decay of rho, omega, phi or eta to a muon pair.
    DIMUON = 2
    #: Dalitz decay of eta, omega or eta' to a muon pair and a photon or pion.
    DALITZ = 3
    #: Muon pair made by a photon in the field of a nucleus.
    PHOTON_CONVERSION = 4
    #: Semileptonic decay of a charmed hadron.
    CHARM = 5
    #: Semileptonic decay of a beauty hadron.
    BEAUTY = 6
    #: J/psi to a muon pair.
    JPSI = 7


@dataclass(frozen=True)
class Parents:
    """Particles whose muonic decay or conversion is still to come.

    Attributes
    ----------
    pdg : int64[n]
    weight : float64[n]
        Expected number a proton that this entry stands for, before branching ratios.
    position : float64[n, 3]
        Of the decay, or where a photon starts, cm.
    momentum : float64[n, 3]
        GeV.
    mass : float64[n]
        GeV.
    proton : int64[n]
        Number of the incident proton in its block.
    """

    pdg: Int64
    weight: Float64
    position: Float64
    momentum: Float64
    mass: Float64
    proton: Int64

    @property
    def energy(self) -> Float64:
        """Total energy, GeV, float64[n]."""
        energy: Float64 = np.sqrt(np.square(self.momentum).sum(axis=1) + self.mass**2)
        return energy

    @classmethod
    def none(cls) -> Self:
        """Return no parents."""
        empty, numbers = np.empty((0, 3)), np.empty(0, dtype=np.int64)
        return cls(numbers, np.empty(0), empty, empty, np.empty(0), numbers)

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Return all entries of one or more `parts`, in order."""
        return cls(*_joined(cls, parts))

    def products(self, rows: list[tuple[float, ...]]) -> Self:
        """Return what these entries turn into, from rows of (source's index, pdg, px, py, pz, mass)."""
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 6)
        source = table[:, 0].astype(np.int64)
        return type(self)(
            pdg=table[:, 1].astype(np.int64),
            weight=self.weight[source],
            position=self.position[source],
            momentum=table[:, 2:5],
            mass=table[:, 5],
            proton=self.proton[source],
        )

    def select(self, rows: npt.NDArray[np.bool_] | Int64) -> Self:
        """Return the rows where `rows` is true, or of these indices."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class ProducedMuons:
    """Muons where they are produced.

    Attributes
    ----------
    pdg : int64[n]
        13 or -13.
    weight : float64[n]
        Expected number for the protons of a block.
    position : float64[n, 3]
        cm.
    momentum : float64[n, 3]
        GeV.
    parent : int64[n]
        PDG code of the parent.
    process : int64[n]
        See `Process`.
    proton : int64[n]
        Number of the incident proton.
    """

    pdg: Int64
    weight: Float64
    position: Float64
    momentum: Float64
    parent: Int64
    process: Int64
    proton: Int64

    def __len__(self) -> int:
        return len(self.pdg)

    @classmethod
    def make(cls, parents: Parents, process: Process, pdg: Int64, momentum: Float64, weight: Float64) -> Self:
        """Return one muon for each parent, at the parent's place."""
        return cls(
            pdg=pdg,
            weight=weight,
            position=parents.position,
            momentum=momentum,
            parent=parents.pdg,
            process=np.full(len(pdg), int(process)),
            proton=parents.proton,
        )

    @classmethod
    def none(cls) -> Self:
        """Return no muons."""
        empty, numbers = np.empty((0, 3)), np.empty(0, dtype=np.int64)
        return cls(numbers, np.empty(0), empty, empty, numbers, numbers, numbers)

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Return all muons of one or more `parts`, in order."""
        return cls(*_joined(cls, parts))

    def select(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where `rows` is true."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def weighted(self, factor: Float64) -> Self:
        """Return the same muons with their weights multiplied by `factor`."""
        return replace(self, weight=self.weight * factor)


def _joined(
    kind: type[Parents | ProducedMuons], parts: Iterable[Parents | ProducedMuons]
) -> list[npt.NDArray[Any]]:
    collected = list(parts)
    return [np.concatenate([getattr(part, field.name) for part in collected]) for field in fields(kind)]
