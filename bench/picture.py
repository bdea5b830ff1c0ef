"""A picture of where the time goes: core time by stage and end to end, from records of `bench throughput`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, MissingExtraError
from shipgen.files.outputs import complete_file, read_json
from shipgen_bench.stages import PARTS
from shipgen_bench.throughput import stages_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: From the random numbers to the disk.
_COLOURS = dict(zip(PARTS, ("#4477aa", "#ee6677", "#ccbb44", "#228833", "#66ccee"), strict=True))
_WHOLE = "0.6"

#: Between the bars of two records, of a bar's place.
_GAP = 0.5

_FORMATS = {".png", ".pdf", ".svg"}


def draw(records: Sequence[Path], output: Path, *, force: bool = False) -> None:
    """Draw a group of bars for each record: stages one at a time, on all cores at once, and end to end.

    Parameters
    ----------
    records : sequence of Path
        Files that ``bench throughput --json`` wrote.
    output : Path
        The picture; its ending says which kind.
    force : bool
        Replace it.

    Raises
    ------
    InputError
        A record lacks a stage, or there is no such kind of picture.
    MissingExtraError
        Matplotlib is not installed.
    """
    if output.suffix not in _FORMATS:
        raise InputError(f"{output} is no picture: choose a name that ends in {', '.join(sorted(_FORMATS))}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing pictures", "matplotlib", "plot") from error
    bars = {
        number + _GAP * group: bar
        for group, path in enumerate(records)
        for number, bar in enumerate(_bars(path), 3 * group)
    }
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    labels = set()
    for place, (_, parts) in bars.items():
        start = 0.0
        for name, length in parts.items():
            label = name if name not in labels else None
            labels.add(name)
            axes.barh(place, length, left=start, color=_COLOURS.get(name, _WHOLE), label=label, height=0.7)
            start += length
        axes.text(start, place, f" {start:.0f}", va="center")
    axes.set_yticks(list(bars), [label for label, _ in bars.values()])
    axes.invert_yaxis()
    axes.set_xlabel("core time, ns a muon")
    axes.margins(x=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(labels), frameon=False)
    with complete_file(output, force=force) as part:
        figure.savefig(part, format=output.suffix[1:], dpi=150)


def _bars(path: Path) -> list[tuple[str, dict[str, float]]]:
    """Return labels and lengths (ns) of the bars of a record."""
    found, facts = stages_of(path), read_json(path)
    name, cores = _name(facts), max((threads for _, threads in found), default=1)
    try:
        bars = [
            (f"{name}: {how}", {part: found[part, threads]["core_ns_per_muon"] for part in PARTS})
            for threads, how in {1: "one stage at a time", cores: f"each on {cores} cores at once"}.items()
        ]
        whole = {"end to end": facts["steady"]["core_ns"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} lacks a stage: make it by `bench throughput --json`") from error
    return [*bars, (f"{name}: end to end, {cores} workers", whole)]


def _name(facts: dict[str, Any]) -> str:
    """Return what a record's networks are called: their sizes where these were stated."""
    bundle = facts.get("bundle", {})
    sizes = re.findall(r"\d+(?:-\d+)+", str(bundle.get("label", "")))
    return sizes[0] if sizes else f"bundle {bundle.get('name')}"
