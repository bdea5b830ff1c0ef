"""Muons that come batch by batch, put where they can be read as often as needed: into files of their own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen.files.convert import open_muons
from shipgen.files.layouts import KIND_PRODUCED, PROVENANCE_KEY
from shipgen.files.outputs import output_error
from shipgen.files.rootfile import open_root, readable
from shipgen.files.variation_columns import stated_variations
from shipgen.muons.categories import CATEGORIES, FEATURE_UNITS, category_of
from shipgen.progress import progress
from shipgen.provenance import read_objects
from shipgen_export.reading.formats.array_files import is_array_file, states_production
from shipgen_export.validation.samples.stores import Mapped, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from shipgen.generate.generator import MuonGenerator
    from shipgen.muons.columns import Array, Columns, Float32

_LARGEST = np.finfo(np.float32).max


class Spool:
    """Writes the muons of each category into files in `folder`, 32 bytes or less each.

    Parameters
    ----------
    folder : Path
        An empty one.
    label : str
        What the muons are called in messages.
    variations : sequence of str
        Columns of factors that the muons have; 4 bytes more each.
    """

    def __init__(self, folder: Path, label: str, variations: Sequence[str] = ()) -> None:
        self._folder, self._label, self._variations = folder, label, tuple(variations)
        self._counts = dict.fromkeys((category.name for category in CATEGORIES), 0)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._files = {
            name: [self._stack.enter_context(path.open("wb")) for path in self._paths(name)]
            for name in self._counts
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _paths(self, name: str) -> list[Path]:
        kinds = ["features", "weights"] + ["factors"] * bool(self._variations)
        return [self._folder / f"{name}.{kind}" for kind in kinds]

    def add(self, columns: Columns) -> None:
        """Add muons: pdg, x, y, z, px, py, pz, weight and the factors of variations."""
        place = category_of(columns["pdg"], columns["x"], columns["y"])
        if (place < 0).any():
            raise InputError(f"{self._label}: {int((place < 0).sum()):,} entries are no muons")
        for number, category in enumerate(CATEGORIES):
            chosen = np.flatnonzero(place == number)
            features = np.stack([columns[name][chosen] for name in category.features], 1)
            contents: list[Any] = [self._narrow(features), columns["weight"][chosen].astype(np.float64)]
            if self._variations:
                factors = np.stack([columns[variation][chosen] for variation in self._variations], 1)
                contents.append(self._narrow(factors))
            for file, content in zip(self._files[category.name], contents, strict=True):
                try:
                    file.write(np.ascontiguousarray(content).data)
                except OSError as error:
                    raise output_error(self._folder, error) from error
            self._counts[category.name] += len(chosen)

    def _narrow(self, values: Array) -> Float32:
        try:
            with np.errstate(over="raise"):
                return values.astype(np.float32)
        except FloatingPointError:
            raise InputError(
                f"{self._label} has a number that is no muon's, above {_LARGEST:.2g}: get it again"
            ) from None

    def stores(self, *, scale: float, start: float) -> dict[str, Store]:
        """Return the stores of the categories that have muons; `scale` and `start` as for `Store`."""
        found = {}
        for category in CATEGORIES:
            count, paths = self._counts[category.name], self._paths(category.name)
            if count:
                features = Mapped(paths[0], "<f4", (count, len(category.features)))
                weights = Mapped(paths[1], "<f8", (count,))
                factors = [Mapped(path, "<f4", (count, len(self._variations))) for path in paths[2:]]
                found[category.name] = Store(
                    category,
                    features,
                    weights,
                    scale=scale,
                    start=start,
                    factors=factors[0] if factors else None,
                    variations=self._variations,
                )
        return found


def is_produced(path: Path) -> bool:
    """Return whether a file says that it was made by `shipgen produce` or `shipgen convert`."""
    if not path.is_file():
        return False
    if is_array_file(path):
        return states_production(path)
    with open_root(path) as file, readable(path):
        found = read_objects(file, PROVENANCE_KEY)
    return len(found) == 1 and (found[0] or {}).get("kind") == KIND_PRODUCED


def spool_file(path: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Store]]:
    """Read a file of produced muons in any layout; return what it says of itself, and its stores."""
    with open_muons(path) as muons:
        facts = muons.provenance
        chosen = facts.get("selection") or {}
        if chosen.get("smear_beam_cm") or chosen.get("paint_beam_cm"):
            raise InputError(
                f"{path.name} was produced with a smeared beam, so that on-axis muons are not known: produce "
                "it without --smear-beam and --paint-beam"
            )
        variations = stated_variations(facts)
        spool = Spool(folder, path.name, variations)
        with spool, progress("reading", len(muons), "muons") as advance:
            for columns in muons.columns(("pdg", *FEATURE_UNITS, "weight", *variations)):
                spool.add(columns)
                advance(len(columns["pdg"]))
    # Positions are counted from where the target starts.
    return facts, spool.stores(scale=1 / float(facts["pot"]), start=0.0)


def spool_bundle(generator: MuonGenerator, folder: Path) -> dict[str, Store]:
    """Produce muons and return their stores."""
    with (
        Spool(folder, generator.bundle.name, tuple(generator.variations)) as spool,
        progress("producing", generator.plan.total, "muons") as advance,
    ):
        for batch in generator:
            spool.add(batch.columns())
            advance(len(batch))
    return spool.stores(scale=1 / generator.plan.pot, start=generator.bundle.target_start)
