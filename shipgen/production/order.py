"""An order: whose muons go to which files, and how. All that the files say of themselves follows from it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError
from shipgen.files.arrays.choose import layout_facts
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, MUONBACK, PROVENANCE_KEY
from shipgen.files.precision import precision_of
from shipgen.files.root_storage import content_hash
from shipgen.files.variation_columns import with_variations
from shipgen.muons.categories import FEATURE_UNITS
from shipgen.production.file_names import Files
from shipgen.provenance import bundle_facts, file_summary, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.files.root_storage import Stored
    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.shards import Shard
    from shipgen.provenance import PrecisionFacts, ProducedFacts, TargetStart

#: What unfinished work of this kind is called; its number goes up when the same command makes other muons.
WORK = "production 1"

#: What two files of the same production have in common in their provenance.
_SAME = (
    "bundle",
    "selection",
    "seed",
    "exact",
    "expected",
    "shard",
    "file",
    "muons",
    "pot",
    "layout",
    "variations",
    "units",
    "precision",
)


@dataclass(frozen=True, slots=True)
class Order:
    """What goes where.

    Attributes
    ----------
    generator : MuonGenerator
        Bundle and plan.
    files : Files
        Names and sizes.
    layout : Layout
        Tree and branches.
    compression : str
        As for `shipgen.files.compressions.parse_compression`.
    shard : Shard, optional
        The part of the plan that is made.
    force : bool
        Replace existing files.
    command : str
        The command line, for the provenance.
    """

    generator: MuonGenerator
    files: Files
    layout: Layout
    compression: str
    shard: Shard | None
    force: bool
    command: str

    @classmethod
    def of(
        cls,
        generator: MuonGenerator,
        path: Path,
        *,
        layout: Layout = MUONBACK,
        compression: str = DEFAULT_COMPRESSION,
        max_per_file: int | None = None,
        shard: Shard | None = None,
        force: bool = False,
        command: str = "",
    ) -> Self:
        """Return the order of all muons of `generator`, or of a shard of them; as for `produce`.

        Raises
        ------
        InputError
            There is no muon, there are fewer than shards, or no end of them.
        """
        plan, shard = generator.plan, shard or generator.shard
        if generator.endless:
            raise InputError("endless = True: a production has an end, say how many muons")
        if not plan.total:
            raise InputError(
                f"the Poisson draw around {plan.expected:g} gave no muon: ask for more, or for an exact "
                "number (--exact)"
            )
        first, stop = shard.muons(plan.total) if shard else (0, plan.total)
        files = Files(path, stop - first, max_per_file, first)
        layout = with_variations(layout, generator.variations)
        return cls(generator, files, layout, compression, shard, force, command)

    def key(self) -> dict[str, Any]:
        """Return all that the bytes of an unfinished production depend on."""
        generator, plan = self.generator, self.generator.plan
        return {
            "work": WORK,
            "bundle": generator.bundle.sha256,
            "seed": plan.seed,
            "pot": plan.pot,
            "exact": plan.exact,
            "layout": self.layout.name,
            "compression": self.compression,
            "max_per_file": self.files.most,
            **({"precision": bits} if (bits := precision_of(self.layout)) else {}),
            **({"shard": str(self.shard)} if self.shard else {}),
            # What is not as the bundle has it, if anything.
            **({"selection": chosen} if (chosen := generator.selection.to_json()) else {}),
            "device": generator.device,
            # With others the muons may differ, if only in their last bits.
            **{name: number for name, number in versions("numpy", "onnxruntime").items() if name != "python"},
        }

    def objects(self, file: int, counts: tuple[int, ...], stored: Sequence[Stored]) -> dict[str, str]:
        """Return the objects to store in file number `file`, which has `counts` muons of each category."""
        facts = self.provenance(file, counts)
        if self.generator.weighted:
            facts["sum_of_weights"] = math.fsum(one.weight or 0 for one in stored)
        facts["clusters"] = {"number": len(stored), "xxh3": content_hash(stored)}
        return self._texts(file, facts)

    def array_objects(self, file: int, counts: tuple[int, ...], weight: float) -> dict[str, str]:
        """Return the same for a file of arrays, whose sum of weights is `weight`."""
        facts = self.provenance(file, counts)
        if self.generator.weighted:
            facts["sum_of_weights"] = weight
        return self._texts(file, {**facts, **layout_facts(self.layout)})

    def _texts(self, file: int, facts: Mapping[str, Any]) -> dict[str, str]:
        plan, bundle = self.generator.plan, self.generator.bundle
        summary = file_summary(plan.pot * (self.files.rows(file) / plan.total), bundle.energy_cut)
        contents = {FILE_SUMMARY_KEY: summary, PROVENANCE_KEY: facts}
        return {name: json.dumps(content, allow_nan=False) for name, content in contents.items()}

    def provenance(self, file: int, counts: tuple[int, ...]) -> ProducedFacts:
        """Return all that is needed to make a file again and to know what its columns mean.

        The POT of a part of a production is in proportion to its muons, so that the parts' add up.
        """
        bundle, plan, muons = self.generator.bundle, self.generator.plan, self.files.rows(file)
        shard, names = self.shard, [entry.category.name for entry in bundle.entries]
        facts: ProducedFacts = {
            "kind": KIND_PRODUCED,
            "command": self.command,
            "bundle": bundle_facts(bundle),
            "selection": self.generator.selection.to_json() or None,
            "seed": plan.seed,
            "exact": plan.exact,
            "expected": plan.expected,
            "plan": {"muons": plan.total, "pot": plan.pot},
            "shard": {"number": shard.number, "of": shard.of} if shard else None,
            "file": {"number": file, "of": len(self.files), "first_muon": self.files.place(file)},
            "muons": muons,
            "counts": dict(zip(names, counts, strict=True)),
            "pot": plan.pot * muons / plan.total,
            "weight": plan.weight,
            "sum_of_weights": self.weight(muons),
            "weight_meaning": "expected sum of weights = muons for `pot` protons on target",
            "layout": self.layout.name,
            "variations": self.generator.variations,
            "units": self.layout.units(),
            "precision": self._precision(),
            "target_start": self._target_start(),
            "beam": str(self.generator.selection.beam),
            "energy_cut": bundle.energy_cut,
            "survival": bundle.survival,
            "device": self.generator.device,
            "versions": versions("shipgen", "numpy", "onnxruntime", "uproot"),
        }
        # What is not stated is not there.
        if not facts["variations"]:
            del facts["variations"]
        if facts["precision"] is None:
            del facts["precision"]
        if facts["selection"] is None:
            del facts["selection"]
        if facts["shard"] is None:
            del facts["shard"]
        return facts

    def is_file(self, file: int, facts: ProducedFacts) -> bool:
        """Return whether a file that states `facts` is file number `file` of this; counts follow from it."""
        wanted = self.provenance(file, (0,) * len(self.generator.bundle.entries))
        return all(facts.get(name) == wanted.get(name) for name in (*_SAME, "target_start"))

    def weight(self, muons: int) -> float:
        """Return the sum of so many equal weights as they are stored."""
        return muons * float(np.float32(self.generator.plan.weight))

    def _precision(self) -> PrecisionFacts | None:
        """Return which fields were rounded, ``None`` for none."""
        fields = [branch.name for branch in self.layout.branches if branch.bits is not None]
        bits = precision_of(self.layout)
        return None if bits is None else {"mantissa_bits": bits, "fields": fields}

    def _target_start(self) -> TargetStart:
        for branch in self.layout.branches:
            if branch.target_start is not None:
                return {"value": branch.target_start, "unit": branch.unit}
        return {"value": self.generator.bundle.target_start, "unit": FEATURE_UNITS["z"]}
