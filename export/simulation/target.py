"""The target and absorber as slabs along z: read from a file, walked through by hadrons and photons.

A target is data, ``targets/NAME.toml``; its materials are in ``targets/materials.toml`` or in the same file.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    import numpy.typing as npt

    from shipgen.muons.columns import Float64, Int64

#: Flights at more than 78 degrees to the beam are not followed.
_SMALLEST_COSINE = 0.2

#: Of nuclei that Pythia has cross-sections for; what is between lead and bismuth is taken as lead.
LARGEST_MASS_NUMBER = 209.0

_FOLDER = resources.files("shipgen_export.simulation") / "targets"
_MATERIALS = "materials.toml"
DEFAULT_TARGET = "ship2025"

#: Constants of the density effect in energy loss.
_STERNHEIMER = ("c", "x0", "x1", "a", "k")

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


def read_target(target: str | Path | None = None) -> Target:
    """Read a target: one of those that are there by its name, or a file.

    Parameters
    ----------
    target : str or Path, optional
        A name of `target_names`, or the path of a file; the default is ``ship2025``.

    Raises
    ------
    InputError
        The file is missing, is no TOML, lacks something, or has what is unknown or makes no sense.
    """
    target = DEFAULT_TARGET if target is None else target
    own = str(target) not in target_names()
    source: Traversable | Path = Path(target) if own else _FOLDER / f"{target}.toml"
    if own and not source.is_file() and not source.name.endswith(".toml"):
        raise InputError(f"no target {target}: give one of {', '.join(target_names())}, or a file")
    content = _read_toml(source)
    try:
        materials = {**_read_toml(_FOLDER / _MATERIALS), **content.get("materials", {})}
        return _build(content, {name: _material(name, entry) for name, entry in materials.items()})
    except KeyError as error:
        raise InputError(f"the target {source} lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the target {source} is malformed: {error}") from error


def target_names() -> list[str]:
    """Return the names of the targets that are there."""
    files = (file.name for file in _FOLDER.iterdir())
    return sorted(
        name.removesuffix(".toml") for name in files if name.endswith(".toml") and name != _MATERIALS
    )


def _build(content: dict[str, Any], known: dict[str, Material]) -> Target:
    _only(content, "name", "description", "start", "slabs", "survival", "materials")
    edges = [_number(content["start"], "start", above=-math.inf)]
    names: list[str] = []
    for group in content["slabs"]:
        _only(group, "material", "thicknesses", "gap")
        gap = group.get("gap")
        _only(gap or {}, "material", "thickness")
        for thickness in group["thicknesses"]:
            layers = [(group["material"], thickness)] + ([(gap["material"], gap["thickness"])] if gap else [])
            for name, length in layers:
                names.append(name)
                edges.append(edges[-1] + _number(length, f"the thickness of a slab of {name}"))
    if not names:
        raise ValueError("it has no slabs")
    order = list(dict.fromkeys(names))
    if unknown := [name for name in order if name not in known]:
        raise ValueError(
            f"no material {', '.join(map(repr, unknown))}: there are {', '.join(sorted(known))}; add one as "
            f"[materials.{unknown[0]}] to the file, with density, molar_mass, radiation_length, hadron_loss, "
            "elements and muon as in docs/explanation/simulation.md"
        )
    survival = content.get("survival")
    return Target(
        name=_text(content, "name"),
        description=_text(content, "description"),
        edges=tuple(edges),
        slab_materials=tuple(order.index(name) for name in names),
        materials=tuple(known[name] for name in order),
        survival=None if survival is None else _survival_points(survival),
    )


def _survival_points(table: dict[str, list[float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    _only(table, "kinetic_energy", "probability")
    energy, probability = (
        tuple(_number(value, f"survival: {name}") for value in table[name])
        for name in ("kinetic_energy", "probability")
    )
    increasing = all(np.diff(energy) > 0) and all(np.diff(probability) > 0)
    if len(energy) != len(probability) or len(energy) < 2 or not increasing:
        raise ValueError("the survival table needs two or more increasing energies and probabilities")
    if probability[-1] >= 1:
        raise ValueError("the survival probabilities are not all between 0 and 1")
    return energy, probability


def _material(name: str, entry: dict[str, Any]) -> Material:
    numbers = ("density", "molar_mass", "radiation_length", "hadron_loss")
    try:
        muon = entry["muon"]
        elements = tuple(_element(name, element) for element in entry["elements"])
        if not elements:
            raise ValueError(f"{name} has no elements")
        return Material(
            name=name,
            **{key: _number(entry[key], f"{name}: {key}") for key in numbers},
            elements=elements,
            excitation=_number(muon["excitation"], f"{name}: excitation"),
            density_effect={
                key: _number(muon["density_effect"][key], f"{name}: density_effect {key}", above=-math.inf)
                for key in _STERNHEIMER
            },
            radiative_loss=_number(muon["radiative_loss"], f"{name}: radiative_loss"),
        )
    except KeyError as error:
        raise ValueError(f"the material {name} lacks {error}") from error


def _element(material: str, entry: dict[str, Any]) -> Element:
    values = {key: _number(entry[key], f"{material}: element {key}") for key in ("z", "a", "count")}
    for key in ("z", "count"):
        if not values[key].is_integer():
            raise ValueError(f"{material}: element {key} is {values[key]:g}, no whole number")
    if not 1 <= values["a"] <= LARGEST_MASS_NUMBER:
        raise ValueError(
            f"{material}: element a is {values['a']:g}, but Pythia has cross-sections of 1 to "
            f"{LARGEST_MASS_NUMBER:g} only"
        )
    return Element(int(values["z"]), values["a"], int(values["count"]))


def _only(table: dict[str, Any], *known: str) -> None:
    """Raise `ValueError` for a key that means nothing: a misspelled one would be ignored silently."""
    if unknown := sorted(set(table) - set(known)):
        raise ValueError(f"{', '.join(map(repr, unknown))} is not known, only {', '.join(known)}")


def _number(value: Any, what: str, *, above: float = 0.0) -> float:
    """Return a finite number above a limit."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
        least = "" if above == -math.inf else f" above {above:g}"
        raise ValueError(f"{what} is {value!r}, no finite number{least}")
    return float(value)


def _text(content: dict[str, Any], name: str) -> str:
    if not isinstance(content[name], str):
        raise ValueError(f"{name} is {content[name]!r}, no text")
    return str(content[name])


def _read_toml(path: Traversable | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the target {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
