"""The target and absorber as slabs along z: read from a file, walked through by hadrons and photons.

A target is data, ``targets/NAME.toml``; its materials are in ``targets/materials.toml`` or in the same file.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    import numpy.typing as npt

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


class Flights(NamedTuple):
    """Straight ways through the slabs, each as far as a given optical depth.

    Attributes
    ----------
    inside : bool[n]
        Whether it ends inside; false when it leaves the last slab, or goes backwards or sideways. The rest is
        meaningless then, but finite.
    material : int64[n]
        Index of the material where it ends.
    length : float64[n]
        cm.
    radiation_lengths : float64[n]
        Its length in units of the radiation length.
    energy_loss : float64[n]
        Mean loss of a charged hadron, GeV.
    true_depth : float64[n]
        Its length in units of the true mean free path.
    """

    inside: npt.NDArray[np.bool_]
    material: Int64
    length: Float64
    radiation_lengths: Float64
    energy_loss: Float64
    true_depth: Float64


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
        self, z: Float64, cosine: Float64, depth: Float64, lengths: Float64, true_lengths: Float64
    ) -> Flights:
        """Follow straight lines until their optical depths are used up.

        Parameters
        ----------
        z : float64[n]
            Where they start, cm.
        cosine : float64[n]
            Of the angles to the z axis.
        depth : float64[n]
            How many of `lengths` to go.
        lengths : float64[n, materials]
            Length that counts as 1 in each material, cm.
        true_lengths : float64[n, materials]
            The true mean free path in each material, cm, for `Flights.true_depth`.
        """
        faces, materials = np.asarray(self.edges), np.asarray(self.slab_materials)
        rows, last = np.arange(len(z)), len(materials) - 1
        forward = cosine >= _SMALLEST_COSINE
        # Way inside each slab, if nothing ended it before.
        steps = np.maximum(faces[1:] - np.maximum(z[:, None], faces[:-1]), 0.0)
        steps /= np.where(forward, cosine, 1.0)[:, None]
        depths = np.cumsum(steps / lengths[:, materials], axis=1)
        slab = (depths < depth[:, None]).sum(axis=1)
        inside = forward & (slab <= last)
        slab = np.minimum(slab, last)
        before = np.where(slab > 0, depths[rows, slab - 1], 0.0)
        ways = np.where(np.arange(last + 1) < slab[:, None], steps, 0.0)
        ways[rows, slab] = np.where(inside, (depth - before) * lengths[rows, materials[slab]], 0.0)
        inverse_x0, loss = np.array(self._walk_constants)[materials].T
        return Flights(
            inside=inside,
            material=materials[slab],
            length=ways.sum(axis=1),
            radiation_lengths=ways @ inverse_x0,
            energy_loss=ways @ loss,
            true_depth=(ways / true_lengths[:, materials]).sum(axis=1),
        )

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
