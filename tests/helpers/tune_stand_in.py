"""`shipgen` whose trials train nothing: figures of merit follow from the settings. For tests of searches.

As a program, since workers are fresh interpreters, which run this file before they begin.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from shipgen.cli import main
from shipgen.errors import ShipgenError
from shipgen_export.merit import merits
from shipgen_export.training.run.category_folder import CategoryFolder, read_table, write_table
from shipgen_export.tuning import trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds between two evaluations.
PAUSE = 0.1


def train(
    model: str, sample: Any, folder: Path, *, categories: list[str], steps: int, settings: dict[str, Any],
    evaluate_every: int, watcher: Any, **_: Any,
) -> Iterator[None]:  # fmt: skip
    """Be better the smaller the learning rate is, and the longer it takes; fail with a NaN above 0.9."""
    del model, sample
    place = CategoryFolder(folder / categories[0])
    place.path.mkdir(exist_ok=True)
    rows = read_table(place.merits, steps)
    for step in range((len(rows) + 1) * evaluate_every, steps + 1, evaluate_every):
        time.sleep(PAUSE)
        if settings["learning_rate"] > 0.9:
            raise ShipgenError("training failed: a loss is NaN")
        found = dict.fromkeys(("auc_error", "chi2", "chi2_bins", "chi2_share", "overlap"), 0.0)
        found["auc"] = 0.5 + settings["learning_rate"] / 2 / step
        rows.append(merits.row(step, 1.0, found))
        write_table(place.merits, merits.COLUMNS, rows)
        watcher(step, found)
    yield


if __name__ in {"__main__", "__mp_main__"}:
    trial.train = train  # type: ignore[assignment]

if __name__ == "__main__":
    main()
