"""Batches: the muons of a chunk, or of a whole production, in memory, a column a quantity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from shipgen.errors import InputError, MissingExtraError
from shipgen.muons.columns import ROW, rows_of
from shipgen.muons.frames import UNITS, frame_of, target_start_in
from shipgen.muons.quantities import QUANTITIES, Quantities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from shipgen.muons.columns import Array, Float32, Float64

#: A batch's columns.
_COLUMNS = ("pdg", "x", "y", "z", "px", "py", "pz", "weight")


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Batch:
    """Muons at their production point; all columns have one entry a muon.

    ``batch["pt"]`` is a column or one of `shipgen.muons.quantities.QUANTITIES`, ``batch[:100]`` and
    ``batch[batch.p > 50]`` are batches, ``batch[0]`` is one muon as a dict.

    Attributes
    ----------
    pdg : int32[n]
        PDG code; 13 is the negative muon.
    x, y, z : float32[n]
        Where the muon starts, in `unit`; beam at x = y = 0, not smeared.
    px, py, pz : float32[n]
        Momentum there, GeV.
    weight : float32[n]
        How many muons it stands for, for the POT of the production.
    target_start : float, optional
        z of the target's start, in `unit`; batches of a generator say it.
    unit : str
        Of lengths, ``cm`` or ``m``.
    variations : dict of str to float32[n]
        Factors of the weights for named variations, by column, such as ``vary_kaons``.
    """

    pdg: npt.NDArray[np.int32]
    x: Float32
    y: Float32
    z: Float32
    px: Float32
    py: Float32
    pz: Float32
    weight: Float32
    target_start: float | None = None
    unit: str = "cm"
    variations: Mapping[str, Float32] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pdg)

    @overload
    def __getitem__(self, item: str) -> Array: ...
    @overload
    def __getitem__(self, item: int) -> dict[str, float]: ...
    @overload
    def __getitem__(self, item: slice | npt.NDArray[Any] | Sequence[int]) -> Batch: ...
    def __getitem__(self, item: Any) -> Any:
        """Return a quantity by its name, some of the muons, or one.

        Raises
        ------
        KeyError
            There is no such quantity.
        """
        if isinstance(item, str):
            return self._quantity(item)
        if isinstance(item, (int, np.integer)):
            return {name: column[item].item() for name, column in self.columns().items()}
        chosen = item
        if not isinstance(item, slice):
            # An empty list is one of places.
            chosen = np.asarray(item, np.intp) if isinstance(item, list) and not item else np.asarray(item)
            if chosen.ndim != 1:
                raise IndexError(f"muons are chosen by a slice, a mask or places, not by {item!r}")
        return self.with_columns({name: column[chosen] for name, column in self.columns().items()})

    def _quantity(self, name: str) -> Array:
        if name in _COLUMNS or name in self.variations:
            return self.columns()[name]
        if name not in QUANTITIES:
            known = (*QUANTITIES, "weight", *self.variations)
            raise KeyError(f"no quantity {name!r}: there are {', '.join(known)}")
        return Quantities(self.columns())[name]

    @property
    def p(self) -> Float64:
        """Momentum, GeV."""
        return Quantities(self.columns())["p"]

    @property
    def pt(self) -> Float64:
        """Transverse momentum, GeV."""
        return Quantities(self.columns())["pt"]

    @property
    def r(self) -> Float64:
        """Distance of the start from the beam, in `unit`."""
        return Quantities(self.columns())["r"]

    @property
    def frame(self) -> str | None:
        """Name of the frame that z is in, ``None`` for one without a name, which `target_start` says."""
        return None if self.target_start is None else frame_of(self.target_start, self.unit)

    @property
    def charge(self) -> npt.NDArray[np.int32]:
        """+1 or -1."""
        return -np.sign(self.pdg)

    @classmethod
    def concatenate(cls, batches: Sequence[Batch]) -> Batch:
        """Return the muons of several batches, one after the other, in the frame of the first."""
        first = batches[0]
        parts = [first, *(_like(batch, first) for batch in batches[1:])]
        names = [name for name in first.columns() if all(name in part.columns() for part in parts)]
        return first.with_columns(
            {name: np.concatenate([part.columns()[name] for part in parts]) for name in names}
        )

    def columns(self) -> dict[str, Array]:
        """Return the columns by name, those of variations at the end."""
        return {**{name: getattr(self, name) for name in _COLUMNS}, **self.variations}

    def with_columns(self, columns: Mapping[str, Array]) -> Batch:
        """Return a batch with these columns, as `columns` gives them, in the same frame and unit."""
        own: Any = {name: columns[name] for name in _COLUMNS}
        others: Any = {name: values for name, values in columns.items() if name not in _COLUMNS}
        return replace(self, **own, variations=others)

    def in_frame(self, frame: str | float, unit: str = "cm") -> Batch:
        """Return the muons in another frame and unit.

        Parameters
        ----------
        frame : str or float
            One of `shipgen.muons.frames.FRAMES`, such as ``shield``, or z of the target's start in it.
        unit : str
            Of lengths, ``cm`` or ``m``.

        Raises
        ------
        InputError
            There is no such frame or unit, or the batch does not say where its target starts.
        """
        start = target_start_in(frame, unit)
        if (self.target_start, self.unit) == (start, unit):
            return self
        if self.target_start is None:
            raise InputError(
                "target_start = None: the batch does not say where its target starts, as a generator's do"
            )
        scale = UNITS[unit] / UNITS[self.unit]
        x, y = (np.multiply(axis, scale, dtype=np.float64) for axis in (self.x, self.y))
        # In float64: the offsets are a hundred times larger than the target.
        z = (self.z.astype(np.float64) - self.target_start) * scale + start
        moved: Any = {name: values.astype(np.float32) for name, values in (("x", x), ("y", y), ("z", z))}
        return replace(self, **moved, target_start=start, unit=unit)

    def to_numpy(self, dtype: npt.DTypeLike = np.float32, *, structured: bool = False) -> npt.NDArray[Any]:
        """Return the muons as rows: array[n, 8] of ``px py pz x y z pdg weight``.

        Parameters
        ----------
        dtype : dtype
            Of the array; float32 holds all that is in a batch.
        structured : bool
            Return array[n] of records instead, each field in the type of its column; with variations.
        """
        columns = self.columns()
        if structured:
            names = (*ROW, *self.variations)
            records = np.empty(len(self), [(name, columns[name].dtype) for name in names])
            for name in names:
                records[name] = columns[name]
            return records
        return rows_of([columns[name] for name in ROW], dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return `to_numpy`, which is always a copy."""
        if copy is False:
            raise ValueError("an array of a batch's columns is a copy")
        return self.to_numpy(np.float32 if dtype is None else dtype)

    def to_awkward(self) -> Any:
        """Return an Awkward Array of records, one a muon."""
        import awkward as ak

        return ak.zip(self.columns())

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame; raise `MissingExtraError` without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("a DataFrame", "pandas", "arrays") from error
        return pd.DataFrame({name: self.columns()[name] for name in (*ROW, *self.variations)})

    def to_torch(self, dtype: npt.DTypeLike = np.float32) -> Any:
        """Return `to_numpy` as a PyTorch tensor; raise `MissingExtraError` without PyTorch."""
        try:
            import torch
        except ImportError as error:
            raise MissingExtraError("a tensor", "PyTorch", "torch") from error
        return torch.from_numpy(self.to_numpy(dtype))

    def __repr__(self) -> str:
        where = f", frame {self.frame}" if self.frame else ""
        if self.target_start is not None and not where:
            where = f", target from z = {self.target_start:g} {self.unit}"
        weight = self.weight.sum(dtype=float)
        return f"<Batch of {len(self):,} muons, sum of weights {weight:.9g}; {self.unit}{where}>"

    def _repr_html_(self) -> str:
        """Return the first muons as a table, for notebooks."""
        columns = self.columns()
        unit = {**dict.fromkeys("xyz", self.unit), **dict.fromkeys(("px", "py", "pz"), "GeV")}
        head = "".join(f"<th>{name} {f'[{unit[name]}]' if name in unit else ''}</th>" for name in ROW)
        lines = [
            "<tr>" + "".join(f"<td>{columns[name][row].item():.5g}</td>" for name in ROW) + "</tr>"
            for row in range(min(len(self), 5))
        ]
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{''.join(lines)}</table>"


def _like(batch: Batch, first: Batch) -> Batch:
    """Return a batch in the frame and unit of another."""
    if first.target_start is None:
        return batch
    return batch.in_frame(first.target_start, first.unit)


def regrouped(batches: Iterator[Batch], size: int) -> Iterator[Batch]:
    """Yield the same muons in batches of `size`, the last one with what is left."""
    kept: list[Batch] = []
    for batch in batches:
        start = 0
        while (there := sum(map(len, kept))) + len(batch) - start >= size:
            kept.append(batch[start : start + size - there])
            start += size - there
            yield kept[0] if len(kept) == 1 else Batch.concatenate(kept)
            kept = []
        if start < len(batch):
            kept.append(batch[start:])
    if kept:
        yield kept[0] if len(kept) == 1 else Batch.concatenate(kept)
