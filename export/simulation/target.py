"""The target and absorber as slabs along z: read from a file, walked through by hadrons and photons.

A target is data, ``targets/NAME.toml``; its materials are in ``targets/materials.toml`` or in the same file.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from shipgen.columns import Float64, Int64

#: Flights at more than 78 degrees to the beam are not followed.
_SMALLEST_COSINE = 0.2

#: Avogadro's number, 1/mol.
AVOGADRO = 6.02214076e23


@dataclass(frozen=True, slots=True)
class Element:
    """An element in a material: atomic number, mean mass number, atoms a molecule."""

    z: int
    a: float
    count: int


@dataclass(frozen=True, slots=True)
class Material:
    """What a slab is made of.

    Attributes
    ----------
    density : float
        g/cm3.
    molar_mass : float
        g/mol.
    radiation_length : float
        cm.
    hadron_loss : float
        Mean energy loss of a fast charged hadron, GeV/cm.
    elements : tuple of Element
        Per molecule.
    excitation : float
        Mean excitation energy, eV.
    density_effect : mapping of str to float
        Sternheimer's c, x0, x1, a, k.
    radiative_loss : float
        High-energy limit of b in dE/dx = a + b E for muons, cm2/g.
    """

    name: str
    density: float
    molar_mass: float
    radiation_length: float
    hadron_loss: float
    elements: tuple[Element, ...]
    excitation: float
    density_effect: Mapping[str, float]
    radiative_loss: float

    @property
    def molecules(self) -> float:
        """Molecules per cm3."""
        return AVOGADRO * self.density / self.molar_mass


class Flight(NamedTuple):
    """A straight way through the slabs, as far as a given optical depth.

    Attributes
    ----------
    z : float
        Where it ends, cm.
    material : int
        Index of the material there.
    length : float
        cm.
    radiation_lengths : float
        Its length in units of the radiation length.
    energy_loss : float
        Mean loss of a charged hadron, GeV.
    true_depth : float
        Its length in units of the true mean free path.
    """

    z: float
    material: int
    length: float
    radiation_lengths: float
    energy_loss: float
    true_depth: float


@dataclass(frozen=True)
class Target:
    """Slabs along z.

    Attributes
    ----------
    name, description : str
        As in the file.
    edges : tuple of float
        z of the slabs' faces, cm, increasing; one more than there are slabs.
    slab_materials : tuple of int
        Index into `materials` of each slab.
    materials : tuple of Material
        In the order of their first slab.
    survival : tuple of (kinetic energies, probabilities), optional
        Probability of a muon to get through, against its kinetic energy at the front face, GeV.
    """

    name: str
    description: str
    edges: tuple[float, ...]
    slab_materials: tuple[int, ...]
    materials: tuple[Material, ...]
    survival: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def start(self) -> float:
        """Z of the front face, cm."""
        return self.edges[0]

    @property
    def end(self) -> float:
        """Z of the last slab's back face, cm."""
        return self.edges[-1]

    def walk(
        self, z: float, cosine: float, depth: float, lengths: Sequence[float], true_lengths: Sequence[float]
    ) -> Flight | None:
        """Follow a straight line until an optical depth is used up.

        Parameters
        ----------
        z : float
            Where it starts, cm.
        cosine : float
            Of its angle to the z axis.
        depth : float
            How many of `lengths` to go.
        lengths : sequence of float
            Length that counts as 1, for each material, cm.
        true_lengths : sequence of float
            The true mean free path in each material, cm, for `Flight.true_depth`.

        Returns
        -------
        Flight or None
            ``None`` when it leaves the last slab, or goes backwards or sideways.
        """
        if cosine < _SMALLEST_COSINE:
            return None
        edges, slabs, materials = self.edges, self.slab_materials, self._walk_constants
        length = radiation = loss = true_depth = 0.0
        for i in range(max(bisect_right(edges, z) - 1, 0), len(slabs)):
            material = slabs[i]
            inverse_x0, loss_per_cm = materials[material]
            unit = lengths[material]
            step = (edges[i + 1] - z) / cosine
            last = depth * unit < step
            if last:
                step = depth * unit
            length += step
            radiation += step * inverse_x0
            loss += step * loss_per_cm
            true_depth += step / true_lengths[material]
            if last:
                return Flight(z + step * cosine, material, length, radiation, loss, true_depth)
            depth -= step / unit
            z = edges[i + 1]
        return None

    @cached_property
    def _walk_constants(self) -> tuple[tuple[float, float], ...]:
        return tuple((1 / material.radiation_length, material.hadron_loss) for material in self.materials)

    def material_at(self, z: Float64) -> Int64:
        """Return the index of the material at each z (cm), int64[n]; outside, that of the nearest slab."""
        slab = np.searchsorted(self.edges, z, side="right") - 1
        return np.asarray(self.slab_materials)[np.clip(slab, 0, len(self.slab_materials) - 1)]

    def advance_radiation_lengths(self, z: Float64, cosine: Float64, amount: Float64) -> Float64:
        """Return z (cm) after `amount` radiation lengths at `cosine` to the axis; `inf` beyond the slabs.

        All float64[n].
        """
        faces = np.asarray(self.edges)
        inverse = np.array([self._walk_constants[material][0] for material in self.slab_materials])
        depths = np.concatenate([[0.0], np.cumsum(np.diff(faces) * inverse)])
        reached: Float64 = np.interp(
            np.interp(z, faces, depths) + amount * cosine, depths, faces, right=np.inf
        )
        return reached


def read_target(path: Path | None = None) -> Target:
    """Read a target from `path`, or the default one, ``ship2018``.

    Raises
    ------
    InputError
        The file is missing, is no TOML, or lacks something.
    """
    folder = resources.files("shipgen_export.simulation") / "targets"
    source: Traversable | Path = folder / "ship2018.toml" if path is None else path
    content = _read_toml(source)
    try:
        materials = {**_read_toml(folder / "materials.toml"), **content.get("materials", {})}
        return _build(content, {name: _material(name, entry) for name, entry in materials.items()})
    except KeyError as error:
        raise InputError(f"the target {source} lacks {error}, or it is no known material") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the target {source} is malformed: {error}") from error


def _build(content: dict[str, Any], known: dict[str, Material]) -> Target:
    edges = [float(content["start"])]
    names: list[str] = []
    for group in content["slabs"]:
        gap = group.get("gap")
        for thickness in group["thicknesses"]:
            layers = [(group["material"], thickness)] + ([(gap["material"], gap["thickness"])] if gap else [])
            for name, length in layers:
                if not 0 < length < float("inf"):
                    raise ValueError(f"a slab of {name} is {length} cm thick")
                names.append(name)
                edges.append(edges[-1] + length)
    order = list(dict.fromkeys(names))
    survival = content.get("survival")
    return Target(
        name=content["name"],
        description=content["description"],
        edges=tuple(edges),
        slab_materials=tuple(order.index(name) for name in names),
        materials=tuple(known[name] for name in order),
        survival=survival and _survival_points(survival),
    )


def _survival_points(table: dict[str, list[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    energy, probability = tuple(table["kinetic_energy"]), tuple(table["probability"])
    increasing = all(np.diff(energy) > 0) and all(np.diff(probability) > 0)
    if len(energy) != len(probability) or len(energy) < 2 or not increasing:
        raise ValueError("the survival table needs two or more increasing energies and probabilities")
    if not 0 < probability[0] < probability[-1] < 1:
        raise ValueError("the survival probabilities are not all between 0 and 1")
    return energy, probability


def _material(name: str, entry: dict[str, Any]) -> Material:
    return Material(
        name=name,
        density=entry["density"],
        molar_mass=entry["molar_mass"],
        radiation_length=entry["radiation_length"],
        hadron_loss=entry["hadron_loss"],
        elements=tuple(Element(**element) for element in entry["elements"]),
        excitation=entry["muon"]["excitation"],
        density_effect=entry["muon"]["density_effect"],
        radiative_loss=entry["muon"]["radiative_loss"],
    )


def _read_toml(path: Traversable | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the target {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
