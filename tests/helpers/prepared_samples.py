"""Files for `prepare`, and whether two prepared samples are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from helpers.muon_files import muon_columns, write_training
from shipgen_export.sample.sample import CategoryWriter, write_index

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.sample.sample import CategorySample, PreparedSample


def training(folder: Path, number: int, n: int = 600) -> Path:
    return write_training(
        folder / f"s{number}.root", muon_columns(n, seed=number), seed=number, pot=1000 * (number + 1)
    )


def same(a: PreparedSample, b: PreparedSample) -> bool:
    """Whether two samples agree in all they say, the hashes of their arrays among it."""
    return a.index == b.index


def write_sample(folder: Path, samples: list[CategorySample], facts: dict[str, Any]) -> None:
    """Write a prepared sample into the existing empty `folder`; `facts` stand beside the categories."""
    categories = {}
    for sample in samples:
        with CategoryWriter(folder, sample.category, len(sample.weights)) as writer:
            writer.append(sample.features, sample.weights, sample.group, sample.split)
        entry = writer.entry(sample.normalisation.span)
        entry["normalisation"] = sample.normalisation.to_json()
        categories[sample.category.name] = entry
    write_index(folder, categories, facts)
