"""Networks of variations: the mean factors of muons' weights at their features, one network a category.

They are ONNX graphs beside a bundle's generators: ``muons`` float32[d, N], in cm and GeV as the generators
make them, to ``factors`` float32[v, N]. A bundle may lack them, and versions that do not know them pass them
over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.bundle.network import open_session, read_model, reason
from shipgen.errors import BundleError, DeviceError
from shipgen.files.outputs import sha256
from shipgen.files.variation_columns import is_variation
from shipgen.numbers import plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.entries import Entry
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32

#: Names of every such network's input and output.
INPUT, OUTPUT = "muons", "factors"

#: Columns of a category, at most.
_MOST = 1000

#: How much factors may depend on how many muons are given at a time.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class FactorEntry:
    """What ``bundle.json`` says of a category's network of variations.

    Attributes
    ----------
    file, sha256 : str
        Name of the ONNX file in the bundle's folder, and its hash.
    columns : dict of str to str
        Name of each factor's column, in the order of the output, and what it stands for.
    facts : dict
        How it was made and how good it is.
    """

    file: str
    sha256: str
    columns: dict[str, str]
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, content: Mapping[str, Any], category: str) -> Self:
        """Take it from a category's entry; raise ValueError, KeyError or TypeError where it is damaged."""
        rest = dict(content)
        file = plain_text(rest.pop("file"), f"the variations of {category}", most=255)
        if Path(file).name != file:
            raise ValueError(f"the variations of {category} lie outside the folder: {file}")
        columns: dict[str, str] = {}
        for item in rest.pop("columns"):
            name, meaning = item["name"], item.get("meaning", "")
            if meaning != "":
                meaning = plain_text(meaning, "meaning", most=1000)
            if not is_variation(name) or name in columns or len(columns) == _MOST:
                raise ValueError(f"the variations of {category} have a column {str(name)[:80]!r}")
            columns[name] = meaning
        return cls(file, plain_text(rest.pop("sha256"), "sha256", most=64), columns, rest)

    def to_json(self) -> dict[str, Any]:
        """Return what `read` takes."""
        columns = [{"name": name, "meaning": meaning} for name, meaning in self.columns.items()]
        return {"file": self.file, "sha256": self.sha256, "columns": columns, **self.facts}


@dataclass(frozen=True)
class FactorNetwork:
    """A network of variations ready to run; calls from several threads are independent.

    Attributes
    ----------
    path : Path
        Where it came from, for messages.
    columns : tuple of str
        The columns of its output.
    features : int
        What its input has of each muon.
    device : str
        Where it runs.
    """

    path: Path
    columns: tuple[str, ...]
    features: int
    device: str
    _session: Any

    @classmethod
    def load(cls, path: Path, digest: str, columns: tuple[str, ...], features: int, device: str) -> Self:
        """Load the file at `path`; raises as `open_session` does, and `BundleError` for another interface."""
        session = open_session(path, digest, device)
        found = [
            (node.name, node.type, node.shape[0] if len(node.shape) == 2 else None)
            for node in (*session.get_inputs(), *session.get_outputs())
        ]
        kind = "tensor(float)"
        if found != [(INPUT, kind, features), (OUTPUT, kind, len(columns))]:
            told = "; ".join(f"{name} {kind}[{rows}, N]" for name, kind, rows in found)[:300]
            raise BundleError(
                f"the variations {path} are {told} where {INPUT!r} float32[{features}, N] and {OUTPUT!r} "
                f"float32[{len(columns)}, N] are expected: train them again"
            )
        return cls(path, columns, features, device, session)

    def __call__(self, muons: Float32, options: Any = None) -> Float32:
        """Return the factors of `muons`, float32[features, n]: float32[columns, n].

        Raises
        ------
        BundleError, DeviceError
            It cannot run.
        MemoryError
            The main memory is not enough.
        """
        try:
            factors: Float32 = self._session.run([OUTPUT], {INPUT: muons}, options)[0]
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            told = f"the variations {self.path} cannot be computed: {reason(error)}"
            raise (BundleError if self.device == "cpu" else DeviceError)(told) from error
        if factors.shape != (len(self.columns), muons.shape[1]):
            raise BundleError(
                f"the variations {self.path} have the shape {factors.shape}, not "
                f"{(len(self.columns), muons.shape[1])}: train them again"
            )
        return factors

    def try_out(self, muons: Float32) -> None:
        """Raise `BundleError` unless factors are above zero, finite, and the same in small batches."""
        whole = self(muons)
        if not (np.isfinite(whole).all() and (whole > 0).all()):
            raise BundleError(
                f"the variations {self.path} are not all finite and above zero: train them again"
            )
        for few in (1, 4):
            if not np.allclose(self(np.ascontiguousarray(muons[:, :few])), whole[:, :few], rtol=_ROUNDING):
                raise BundleError(
                    f"the variations {self.path} are others of the same muons in smaller batches: train them "
                    "again"
                )


@dataclass(frozen=True)
class FactorFacts:
    """What the training side knows of a category's network of variations, for `write_bundle`.

    Attributes
    ----------
    model : bytes
        The serialised ONNX graph, as this module says.
    columns : dict of str to str
        Name of each column, in the order of the output, and what it stands for.
    facts : mapping
        Stored as they are.
    """

    model: bytes
    columns: dict[str, str]
    facts: Mapping[str, Any]


def write_factors(folder: Path, category: Category, given: FactorFacts | None) -> dict[str, Any]:
    """Write a category's network of variations, if there is one; return what its entry says of it."""
    if given is None:
        return {}
    file = folder / f"{category.name}.variations.onnx"
    file.write_bytes(given.model)
    return {"variations": FactorEntry(file.name, sha256(file), given.columns, given.facts).to_json()}


def common_columns(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the columns that all categories have, and what each stands for."""
    stated = [entry.factors.columns if entry.factors else {} for entry in entries]
    return {
        name: next(filter(None, (columns[name] for columns in stated)), "")
        for name in stated[0]
        if all(name in columns for columns in stated)
    }


def check_factor_files(bundle: Bundle) -> None:
    """Raise `BundleError` where a network of variations is missing, another file, or that of two."""
    known = {entry.file for entry in bundle.entries}
    for entry in bundle.entries:
        if entry.factors is None:
            continue
        file = bundle.path / entry.factors.file
        if entry.factors.file in known:
            raise BundleError(f"bundle {bundle.name} cannot be used: the file {file} is used twice")
        known.add(entry.factors.file)
        try:
            read_model(file, entry.factors.sha256)
        except BundleError as error:
            raise BundleError(
                f"the variations {file} are missing, damaged or not the bundle's own: get the bundle again"
            ) from error


def load_factors(bundle: Bundle, device: str = "cpu") -> tuple[FactorNetwork, ...]:
    """Return a bundle's networks of variations, tried out, in the order of the entries.

    Raises
    ------
    BundleError
        One is missing or cannot be used.
    DeviceError
        The device cannot be used.
    """
    found = []
    for entry, generator in zip(bundle.entries, bundle.networks, strict=True):
        if entry.factors is None:
            raise BundleError(f"bundle {bundle.name} has no variations of {entry.category.name}")
        path, columns = bundle.path / entry.factors.file, tuple(entry.factors.columns)
        network = FactorNetwork.load(
            path, entry.factors.sha256, columns, len(entry.category.features), device
        )
        network.try_out(np.ascontiguousarray(generator.trial()[: network.features]))
        found.append(network)
    return tuple(found)
