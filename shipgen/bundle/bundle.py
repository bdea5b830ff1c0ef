"""The model bundle: a folder with ``bundle.json`` and one ONNX network a category.

It is all that passes from training to generation. Reading it checks everything before the first muon:
format and version, categories and rates, the networks' hashes, their inputs and outputs, a trial run.
Networks are ONNX graphs without custom operators or outside data, loaded from the bytes whose hash was
checked; nothing in a bundle is executed by Python.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Self

from shipgen.bundle import library
from shipgen.bundle.entries import Entry, Missing, read_entry, read_missing
from shipgen.bundle.factors import check_factor_files, common_columns, write_factors
from shipgen.bundle.index import check_seal, index_hash, index_text
from shipgen.bundle.levels import NORMAL
from shipgen.bundle.network import Network
from shipgen.errors import BundleError, InputError
from shipgen.files.outputs import read_json, sha256
from shipgen.muons.categories import CATEGORIES, FEATURE_UNITS
from shipgen.numbers import plain_text, real, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipgen.bundle.details import Details
    from shipgen.bundle.factors import FactorFacts
    from shipgen.muons.categories import Category

FORMAT = "shipgen-bundle"
FORMAT_VERSION = 1
INDEX = library.INDEX

#: What every number of a bundle is in.
UNITS = {**FEATURE_UNITS, "rate": "muons per POT", "energy_cut": "GeV", "target_start": "cm"}

#: What a bundle's rates count, by whether they contain the probability to leave the absorber.
SURVIVAL = {
    "in": "rates count muons that leave the absorber",
    "out": "rates count muons where they are produced, to be tracked through the absorber",
}

#: What no beam reaches: cm, GeV, and the least muons per POT.
_FARTHEST, _HIGHEST, _LEAST = 1e6, 1e6, 1e-30

#: The bundle that comes with the package.
DEFAULT_BUNDLE = library.PACKAGE / "default"


@dataclass(frozen=True, repr=False)
class Bundle:
    """Networks, one a category, with rates, units and provenance.

    Attributes
    ----------
    path : Path
        The folder.
    name, label : str
        What it is called and what it was trained on.
    target_start : float
        z of the target's start in the frame of the networks' z, cm.
    energy_cut : float
        The training sample's cut, GeV.
    entries : tuple of Entry
        One a category that is not missing, in the order of `shipgen.muons.categories.CATEGORIES`.
    sha256 : str
        Hash of ``bundle.json``, but its seal, which holds the networks' hashes: it identifies the bundle.
    provenance : dict
        How it was made.
    missing : tuple of Missing
        The categories without a network, which are no part of the bundle's rate.
    """

    path: Path
    name: str
    label: str
    target_start: float
    energy_cut: float
    entries: tuple[Entry, ...]
    sha256: str
    provenance: dict[str, Any]
    missing: tuple[Missing, ...] = ()

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """Read the bundle at `path`, or of that name, and check all of it; the default bundle for ``None``.

        Names are those of `shipgen.bundle.library`: of the package, and of the user's folder of bundles.

        Raises
        ------
        BundleError
            Anything is missing, damaged, of another version, or contradicts the categories.
        """
        folder = DEFAULT_BUNDLE if path is None else library.locate(path)
        if not (folder / INDEX).is_file():
            raise BundleError(
                f"{folder} is no bundle (no {INDEX} in it): give a folder that `shipgen export` wrote, or a "
                "name of `shipgen bundle list`"
            )
        try:
            index = read_json(folder / INDEX)
        except InputError as error:
            raise BundleError(str(error)) from error
        stated = index.get("format"), index.get("format_version")
        if stated != (FORMAT, FORMAT_VERSION) or type(stated[1]) is not int:
            raise BundleError(
                f"{folder / INDEX} is {shown(stated[0])} version {shown(stated[1])}; "
                f"this shipgen reads {FORMAT!r} version {FORMAT_VERSION}: export the networks again"
            )
        check_seal(folder / INDEX, index)
        try:
            _check_units(index["units"])
            missing = read_missing(index.get("missing", []), index["categories"])
            there = [one for one in CATEGORIES if one not in {each.category for each in missing}]
            bundle = cls(
                path=folder,
                name=plain_text(index["name"], "name"),
                label=plain_text(index["label"], "label"),
                target_start=real(index["target_start"], "target_start", low=-_FARTHEST, high=_FARTHEST),
                energy_cut=real(index["energy_cut"], "energy_cut", low=0, high=_HIGHEST),
                entries=tuple(read_entry(category, index["categories"]) for category in there),
                sha256=index_hash(folder / INDEX),
                provenance={**index["provenance"]},
                missing=missing,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{folder / INDEX} cannot be used: {_reason(error)}") from error
        if not bundle.rate > _LEAST:
            raise BundleError(f"{folder / INDEX} cannot be used: its rates sum to {bundle.rate:g}")
        if len({entry.file for entry in bundle.entries}) < len(there):
            raise BundleError(f"{folder / INDEX} cannot be used: a network is used twice")
        for network in bundle.networks:
            network.try_out()
        check_factor_files(bundle)
        return bundle

    def __repr__(self) -> str:
        rate = f"{self.rate:.4e} muons per POT above {self.energy_cut:g} GeV"
        return f"<Bundle {self.name} ({self.label}): {rate}>"

    def _repr_html_(self) -> str:
        """Return its categories as a table, for notebooks."""
        lines = [
            f"<tr><td>{entry.category.name}</td><td>{entry.rate:.4e}</td></tr>" for entry in self.entries
        ]
        head = "<tr><th>category</th><th>muons per POT</th></tr>"
        return f"<p>{escape(repr(self))}</p><table>{head}{''.join(lines)}</table>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the networks behind: another process loads its own."""
        return {name: value for name, value in self.__dict__.items() if name != "networks"}

    @property
    def rate(self) -> float:
        """Muons per proton on target, all categories."""
        return math.fsum(entry.rate for entry in self.entries)

    @property
    def survival(self) -> str:
        """Whether rates contain the probability to leave the absorber: ``"in"`` or ``"out"``."""
        made = self.provenance
        while isinstance(base := made.get("base"), dict) and isinstance(base.get("provenance"), dict):
            made = base["provenance"]
        sample = made.get("sample")
        stated = sample.get("survival") if isinstance(sample, dict) else None
        return "out" if stated == "out" else "in"

    @property
    def weighted(self) -> bool:
        """Whether any category's muons differ in weight."""
        return any(entry.weighted for entry in self.entries)

    @property
    def variations(self) -> dict[str, str]:
        """Columns of the variations that all of its categories have, and what each stands for."""
        return common_columns(self.entries)

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """The networks, ready to run on the CPU, in the order of the entries."""
        return self._load("cpu")

    def load_networks(self, device: str) -> tuple[Network, ...]:
        """Return the networks, ready to run on `device`, in the order of the entries."""
        return self.networks if device == "cpu" else self._load(device)

    def _load(self, device: str) -> tuple[Network, ...]:
        networks = tuple(
            Network.load(
                self.path / entry.file,
                digest=entry.sha256,
                latent_size=entry.latent_size,
                features=len(entry.category.features),
                device=device,
                stream=entry.stream,
            )
            for entry in self.entries
        )
        for entry, network in zip(self.entries, networks, strict=True):
            if network.weighted != entry.weighted:
                what = "no weights" if entry.weighted else "weights"
                raise BundleError(
                    f"the network {network.path} makes {what}, against {INDEX}: export it again"
                )
        return networks


def _check_units(units: Mapping[str, Any]) -> None:
    """Raise ValueError where a bundle counts in other units."""
    for name, unit in UNITS.items():
        if units[name] != unit:
            raise ValueError(f"{name} is in {shown(units[name])}, not in {unit!r}")


def _reason(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


@dataclass(frozen=True)
class NetworkFacts:
    """What the training side knows of one network, for `write_bundle`.

    Attributes
    ----------
    category : Category
        Which one.
    model : bytes
        The serialised ONNX graph, as `shipgen.bundle.network` says: ``latent`` to ``muons``, in cm and GeV,
        and to ``weight`` if they differ in weight.
    latent_size : int
        L.
    rate : float
        Muons per POT.
    details : Details
        Stored as they are.
    factors : FactorFacts, optional
        Its network of variations.
    stream : int
        How its latents are drawn: as normal numbers (1), or as levels (2), which the graph takes then.
    """

    category: Category
    model: bytes
    latent_size: int
    rate: float
    details: Details
    factors: FactorFacts | None = None
    stream: int = NORMAL


def write_bundle(
    folder: Path,
    networks: Sequence[NetworkFacts],
    *,
    name: str,
    label: str,
    target_start: float,
    energy_cut: float,
    provenance: Mapping[str, Any],
    missing: Mapping[str, float] | None = None,
) -> Bundle:
    """Write a bundle into the existing empty `folder` and read it back, which checks it.

    Parameters
    ----------
    folder : Path
        Where to; make it with `shipgen.files.outputs.complete_folder`.
    networks : sequence of NetworkFacts
        One a category.
    name, label : str
        What the bundle is called and what it was trained on, in a few words.
    target_start : float
        z of the target's start in the frame of the networks' z, cm.
    energy_cut : float
        The training sample's cut, GeV.
    provenance : mapping
        How it was made; plain JSON values.
    missing : mapping of str to float
        Rates of the training sample in the categories without a network, by name.

    Raises
    ------
    BundleError
        What was written does not pass the checks of `Bundle.open`.
    """
    entries = []
    for network in networks:
        file = folder / f"{network.category.name}.onnx"
        file.write_bytes(network.model)
        loaded = Network.load(
            file,
            digest=sha256(file),
            latent_size=network.latent_size,
            features=len(network.category.features),
            stream=network.stream,
        )
        entries.append(
            {
                "name": network.category.name,
                "number": network.category.number,
                "pdg": network.category.pdg,
                "features": list(network.category.features),
                "rate": network.rate,
                "latent_size": network.latent_size,
                "file": file.name,
                "sha256": sha256(file),
                "weighted": loaded.weighted,
                **({} if network.stream == NORMAL else {"stream": network.stream}),
                **network.details,
                **write_factors(folder, network.category, network.factors),
            }
        )
    text = index_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": name,
            "label": label,
            "units": UNITS,
            "target_start": target_start,
            "energy_cut": energy_cut,
            "categories": entries,
            **(
                {"missing": [{"name": name, "rate": rate} for name, rate in missing.items()]}
                if missing
                else {}
            ),
            "provenance": dict(provenance),
        }
    )
    (folder / INDEX).write_text(text, encoding="utf-8")
    return Bundle.open(folder)
