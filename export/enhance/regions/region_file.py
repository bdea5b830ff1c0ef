"""Regions as files: expressions, tables of weights in p and pT, example muons, given kinematics."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.rootfile import open_root, readable
from shipgen.muons.quantities import DISCRETE, QUANTITIES, Quantities
from shipgen.muons.regions import Expression
from shipgen_export.enhance.regions.momentum_tables import Distribution, Table
from shipgen_export.enhance.regions.targets import Around, Examples, Inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.regions.targets import Wanted

#: Keys of a region file and what each gives.
KINDS = ("expression", "table", "distribution", "examples", "around")

#: Columns of a table in CSV.
_COLUMNS = ("p_min", "p_max", "pt_min", "pt_max", "weight")

#: Further keys of a region of kind ``examples``: fields of `Examples`.
_EXAMPLE_KEYS = ("radius", "neighbours", "quantities")

#: Largest text file that is read.
_LARGEST = 20_000_000


def read_region(given: str) -> Wanted:
    """Return the region that `given` names or is.

    Parameters
    ----------
    given : str
        An expression; or a file: ``.toml`` or ``.json`` with one of `KINDS`, a table (``.csv``, ``.npz`` with
        ``p_edges``, ``pt_edges`` and ``weights``, ``FILE.root:HISTOGRAM``), example muons (``.root``,
        ``.npz``, ``.hdf5`` or ``.parquet`` of shipgen), or any other file with an expression as text.

    Raises
    ------
    InputError
        It cannot be read.
    """
    name, _, inner = given.partition(".root:")
    if inner:
        return _root_table(Path(f"{name}.root"), inner)
    path = Path(given)
    if _is_file(path):
        return _READERS.get(path.suffix, _expression)(path)
    if path.suffix in {*_READERS, ".txt", ".region"}:
        raise InputError(f"the region file {path} does not exist")
    return Inside(Expression.parse(given))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero character
        return False


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large for a region's text")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the region file {path} cannot be read: {error}") from error


def _keys(path: Path) -> dict[str, Any]:
    """Return the content of a TOML or JSON file."""
    try:
        content = tomllib.loads(_text(path)) if path.suffix == ".toml" else json.loads(_text(path))
    except ValueError as error:
        raise InputError(f"{path} is no {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must have one of the keys {', '.join(KINDS)}")
    return content


def _from_keys(path: Path, content: dict[str, Any]) -> Wanted:
    kinds = [kind for kind in KINDS if kind in content]
    if len(kinds) != 1:
        raise InputError(
            f"{path} must have exactly one of the keys {', '.join(KINDS)}; it has "
            f"{', '.join(kinds) or ', '.join(map(str, content)) or 'none'}"
        )
    kind = kinds[0]
    allowed = {kind, *_EXAMPLE_KEYS} if kind == "examples" else {kind}
    if unknown := sorted(set(content) - allowed):
        raise InputError(f"{path} has the unknown key {unknown[0]!r}: a region of kind {kind} has none such")
    value = content[kind]
    if kind == "around":
        return _around(path, value)
    if kind in {"table", "distribution"} and isinstance(value, dict):
        return _as(kind, _table(f"{kind} of {path.name}", value))
    if not isinstance(value, str):
        raise InputError(f"{path}: {kind} must be text, not {value!r}")
    if kind == "expression":
        return Inside(Expression.parse(value))
    name, _, inner = value.partition(".root:")
    file = path.parent / (f"{name}.root" if inner else value)
    if kind in {"table", "distribution"} and inner:
        return _as(kind, _root_table(file, inner))
    if not _is_file(file):
        raise InputError(f"the file {file} that {path.name} names does not exist")
    if kind in {"table", "distribution"}:
        return _as(kind, _npz_table(file) if file.suffix == ".npz" else _csv_table(file))
    return _examples(file, **{key: _example_key(path, key, content[key]) for key in content if key != kind})


def _example_key(path: Path, key: str, value: Any) -> Any:
    """Return the value of one of `_EXAMPLE_KEYS`, checked."""
    if key == "quantities":
        names = [str(name).lower() for name in value] if isinstance(value, list) else []
        if names and all(name in QUANTITIES and name not in DISCRETE for name in names):
            return tuple(names)
        raise InputError(f"{path}: quantities = {value!r} is no list of {', '.join(QUANTITIES)}")
    whole = key == "neighbours"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < 1e9:
        raise InputError(f"{path}: {key} = {value!r} is not a {'whole ' * whole}number above zero")
    return value


def _around(path: Path, value: Any) -> Around:
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path}: around must have quantities with value and spread, such as p = [50, 2]")
    middle, spread = {}, {}
    for name, pair in value.items():
        try:
            middle[name.lower()], spread[name.lower()] = (float(each) for each in pair)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: {name} = {pair!r} is not a value with a spread, [50, 2]") from error
    return Around(middle, spread)


def _csv_table(path: Path) -> Table:
    rows = [line for line in _text(path).splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.reader(io.StringIO("\n".join(rows)), skipinitialspace=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    if sorted(header) != sorted(_COLUMNS):
        raise InputError(f"{path} must begin with a line that names the columns {', '.join(_COLUMNS)}")
    try:
        table = np.array([[float(cell) for cell in row] for row in reader], np.float64).reshape(
            -1, len(_COLUMNS)
        )
    except ValueError as error:
        raise InputError(f"{path} has a line that is not {len(_COLUMNS)} numbers: {error}") from error
    p_min, p_max, pt_min, pt_max, weight = (table[:, header.index(name)] for name in _COLUMNS)
    p_edges, pt_edges = np.unique([p_min, p_max]), np.unique([pt_min, pt_max])
    weights = np.zeros((max(len(p_edges) - 1, 0), max(len(pt_edges) - 1, 0)))
    taken = np.zeros(weights.shape, bool)
    for low, high, bottom, top, value in zip(p_min, p_max, pt_min, pt_max, weight, strict=True):
        cells = np.s_[
            np.searchsorted(p_edges, low) : np.searchsorted(p_edges, high),
            np.searchsorted(pt_edges, bottom) : np.searchsorted(pt_edges, top),
        ]
        if taken[cells].any() or not taken[cells].size:
            where = f"p {low:g} to {high:g}, pt {bottom:g} to {top:g}"
            raise InputError(f"{path}: the bin {where} is empty or overlaps another one")
        weights[cells], taken[cells] = value, True
    return Table(p_edges, pt_edges, weights, f"table {path.name}")


def _from_file(path: Path) -> Wanted:
    return _from_keys(path, _keys(path))


def _expression(path: Path) -> Inside:
    return Inside(Expression.parse(_text(path)))


def _npz(path: Path) -> Wanted:
    with _arrays(path) as arrays:
        is_table = "weights" in arrays
    return _npz_table(path) if is_table else _examples(path)


def _as(kind: str, table: Table) -> Table:
    """Return a table as it is, or as the distribution that muons shall have."""
    if kind == "table":
        return table
    text = table.text if table.text.startswith(kind) else f"distribution of {table.text}"
    return Distribution(table.p_edges, table.pt_edges, table.weights, text)


def _table(text: str, content: Any) -> Table:
    try:
        parts = [np.array(content[key], np.float64) for key in ("p_edges", "pt_edges", "weights")]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{text} must have p_edges, pt_edges and weights as numbers: {error!r}") from error
    return Table(parts[0], parts[1], parts[2], text)


def _arrays(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no NumPy archive: {error}") from error


def _npz_table(path: Path) -> Table:
    with _arrays(path) as arrays:
        return _table(f"table {path.name}", arrays)


def _root_table(path: Path, name: str) -> Table:
    """Return a two-dimensional histogram, p along x, pT along y."""
    with open_root(path) as file, readable(path):
        if name not in file:
            known = ", ".join(
                key for key, kind in file.classnames(cycle=False).items() if kind.startswith("TH2")
            )
            raise InputError(f"{path} has no histogram {name}: it has {known or 'no TH2'}")
        if not file[name].classname.startswith("TH2"):
            raise InputError(
                f"{name} of {path} is a {file[name].classname}, not a histogram in p and pT (TH2)"
            )
        content = [np.asarray(each, np.float64) for each in file[name].to_numpy()]
    return Table(content[1], content[2], content[0], f"histogram {path.name}:{name}")


def _examples(path: Path, **options: Any) -> Examples:
    """Return the muons of a file as examples."""
    columns = _npz_muons(path) if path.suffix == ".npz" else _produced_muons(path)
    if not len(columns["pdg"]):
        raise InputError(f"{path} has no muon")
    if not all(np.isfinite(values).all() for values in columns.values()):
        raise InputError(f"{path} has muons with numbers that are not finite")
    columns["category"] = Quantities(columns)["category"]
    return Examples(columns, f"muons like those of {path.name}", **options)


def _npz_muons(path: Path) -> dict[str, Float64]:
    names = ("x", "y", "z", "px", "py", "pz", "pdg")
    with _arrays(path) as arrays:
        if missing := [name for name in names if name not in arrays]:
            raise InputError(
                f"{path} lacks {', '.join(missing)}: give arrays {' '.join(names)} in cm and GeV, z from the "
                "target's start, as `shipgen convert --layout npz` writes them"
            )
        return {name: np.asarray(arrays[name], np.float64) for name in names}


def _produced_muons(path: Path) -> dict[str, Float64]:
    """Read a file of `shipgen produce` or `shipgen convert`."""
    from shipgen.files.convert import open_muons

    names = ("x", "y", "z", "px", "py", "pz", "pdg")
    with open_muons(path) as muons:
        chosen = muons.provenance.get("selection") or {}
        if chosen.get("smear_beam_cm") or chosen.get("paint_beam_cm"):
            raise InputError(
                f"{path} was produced with a smeared beam, so that on-axis muons are not known: give muons "
                "produced without --smear-beam and --paint-beam"
            )
        parts = list(muons.columns(names))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


#: Ending of a file -> what reads it; others hold an expression.
_READERS: dict[str, Callable[[Path], Wanted]] = {
    ".toml": _from_file,
    ".json": _from_file,
    ".csv": _csv_table,
    ".root": _examples,
    ".h5": _examples,
    ".hdf5": _examples,
    ".parquet": _examples,
    ".npz": _npz,
}
