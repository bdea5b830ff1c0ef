"""Columns of parents that wait for their decay, and of the muons that come out."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen_export.simulation.variations import HADRON_VARIATIONS, PROCESS_VARIATIONS

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
    variations : float64[n, v]
        Logarithms of the factors of `HADRON_VARIATIONS`.
    collision : int64[n]
        Number of the collision that it comes from, at once or through decays at once; -1 for all others.
    """

    pdg: Int64
    weight: Float64
    position: Float64
    momentum: Float64
    mass: Float64
    proton: Int64
    variations: Float64
    collision: Int64

    @property
    def energy(self) -> Float64:
        """Total energy, GeV, float64[n]."""
        energy: Float64 = np.sqrt(np.square(self.momentum).sum(axis=1) + self.mass**2)
        return energy

    @classmethod
    def none(cls) -> Self:
        """Return no parents."""
        return cls.start(np.empty(0), np.empty((0, 3)), np.empty((0, 3)), np.empty(0), 0, 0)

    @classmethod
    def start(
        cls, weight: Float64, position: Float64, momentum: Float64, mass: Float64, pdg: int, first: int
    ) -> Self:
        """Return particles of one kind that nothing happened to, of protons numbered from `first`."""
        n = len(weight)
        return cls(
            pdg=np.full(n, pdg),
            weight=weight,
            position=position,
            momentum=momentum,
            mass=mass,
            proton=np.arange(first, first + n),
            variations=np.zeros((n, len(HADRON_VARIATIONS))),
            collision=np.full(n, -1),
        )

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Return all entries of one or more `parts`, in order."""
        return cls(*_joined(cls, parts))

    def products(self, rows: list[tuple[float, ...]], collisions: Int64 | None = None) -> Self:
        """Return what these entries turn into, from rows of (source's index, pdg, px, py, pz, mass).

        `collisions` are numbers of these entries' collisions, where they do not decay but collide.
        """
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 6)
        source = table[:, 0].astype(np.int64)
        return type(self)(
            pdg=table[:, 1].astype(np.int64),
            weight=self.weight[source],
            position=self.position[source],
            momentum=table[:, 2:5],
            mass=table[:, 5],
            proton=self.proton[source],
            variations=self.variations[source],
            collision=self.collision[source] if collisions is None else collisions[source],
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
    variations : float64[n, v]
        Logarithms of the factors of `VARIATIONS`.
    survival : float64[n]
        Probability to leave the absorber, that `weight` contains; 1 before that is known.
    """

    pdg: Int64
    weight: Float64
    position: Float64
    momentum: Float64
    parent: Int64
    process: Int64
    proton: Int64
    variations: Float64
    survival: Float64

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
            variations=_with_process(parents.variations, process),
            survival=np.ones(len(pdg)),
        )

    @classmethod
    def none(cls) -> Self:
        """Return no muons."""
        none = Parents.none()
        return cls.make(none, Process.DECAY, none.pdg, none.momentum, none.weight)

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """Return all muons of one or more `parts`, in order."""
        return cls(*_joined(cls, parts))

    def select(self, rows: npt.NDArray[np.bool_]) -> Self:
        """Return the rows where `rows` is true."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def surviving(self, probability: Float64) -> Self:
        """Return those that leave the absorber with some `probability`, which becomes part of the weight."""
        survived = replace(self, weight=self.weight * probability, survival=probability)
        return survived.select(probability > 0)


def _with_process(variations: Float64, process: Process) -> Float64:
    """Append the logarithms of a process' factors to those of hadrons."""
    logarithms = [
        math.log(factor) if process.name in processes else 0.0
        for processes, factor, _ in PROCESS_VARIATIONS.values()
    ]
    return np.column_stack([variations, np.tile(logarithms, (len(variations), 1))])


def _joined(
    kind: type[Parents | ProducedMuons], parts: Iterable[Parents | ProducedMuons]
) -> list[npt.NDArray[Any]]:
    collected = list(parts)
    return [np.concatenate([getattr(part, field.name) for part in collected]) for field in fields(kind)]
