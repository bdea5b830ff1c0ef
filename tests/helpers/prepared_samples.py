"""Files for `prepare`, and whether two prepared samples are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.muon_files import muon_columns, write_training

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.sample.sample import PreparedSample


def training(folder: Path, number: int, n: int = 600) -> Path:
    return write_training(
        folder / f"s{number}.root", muon_columns(n, seed=number), seed=number, pot=1000 * (number + 1)
    )


def same(a: PreparedSample, b: PreparedSample) -> bool:
    """Whether two samples agree in all they say, the hashes of their arrays among it."""
    return a.index == b.index
