"""Export into a copy of another bundle: a run's networks in the place of those of the same categories."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shipgen.bundle.bundle import INDEX, SURVIVAL, Bundle, write_bundle
from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_folder
from shipgen.muons.categories import CATEGORIES
from shipgen_export.graphs.published import kept_factors, kept_network
from shipgen_export.training.export import export


def export_into(path: Path, output: Path, base: Path | None, **options: Any) -> Bundle:
    """Export the networks of a run into a copy of a bundle, in the place of those of the same categories.

    Parameters
    ----------
    path : Path
        Run folder.
    output : Path
        Bundle to write.
    base : Path, optional
        The bundle that the other networks come from; the default bundle when not given.
    **options
        As for `export`.

    Raises
    ------
    InputError
        As `export` does, or the run's sample has another frame of z or energy cut than the base.
    """
    force = bool(options.pop("force", False))
    check_output(output, force=force, index=INDEX)
    old = Bundle.open(base)
    name = options.pop("name", None) or output.absolute().name
    with TemporaryDirectory() as scratch:
        new = export(path, Path(scratch) / "new", **options)
        for what, own, other in (
            ("the target starts at z = {:g} cm", new.target_start, old.target_start),
            ("the energy cut is {:g} GeV", new.energy_cut, old.energy_cut),
        ):
            if not math.isclose(own, other, rel_tol=1e-3, abs_tol=1e-3):
                raise InputError(
                    f"in {path} {what.format(own)}, in {old.path} {what.format(other)}: one bundle has one; "
                    "choose another --base, or none for a bundle of this run alone"
                )
        if new.survival != old.survival:
            raise InputError(
                f"in {path} {SURVIVAL[new.survival]}, in {old.path} {SURVIVAL[old.survival]}: choose another "
                "--base, or none for a bundle of this run alone"
            )
        replaced = {entry.category for entry in new.entries}
        kept = [kept_network(old, entry) for entry in old.entries if entry.category not in replaced]
        names = ", ".join(category.name for category in CATEGORIES if category in replaced)
        # Factors follow from a muon's features, whoever made it.
        factors = {entry.category: kept_factors(old, entry) for entry in old.entries}
        made = [kept_network(new, entry) for entry in new.entries]
        made = [replace(one, factors=one.factors or factors.get(one.category)) for one in made]
        with complete_folder(output, index=INDEX, force=force) as folder:
            bundle = write_bundle(
                folder,
                [*made, *kept],
                name=name,
                label=old.label if new.label == old.label else f"{old.label}; {names}: {new.label}",
                target_start=old.target_start,
                energy_cut=old.energy_cut,
                provenance={
                    "replaced": {"categories": names, **new.provenance},
                    "base": {"name": old.name, "sha256": old.sha256, "provenance": old.provenance},
                },
                missing={one.category.name: one.rate for one in old.missing if one.category not in replaced},
            )
    return replace(bundle, path=output)
