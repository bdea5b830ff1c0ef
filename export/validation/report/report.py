"""The report of a validation: JSON of the numbers, pictures, one HTML file that holds everything."""

from __future__ import annotations

import base64
import html
from dataclasses import asdict
from string import Template
from typing import TYPE_CHECKING, Any

from shipgen.files.outputs import complete_folder, write_json
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.validation.counting.compared_quantities import LABELS
from shipgen_export.validation.report.comparison_pictures import all_pictures
from shipgen_export.validation.report.page import Page
from shipgen_export.validation.report.page_tables import STYLE
from shipgen_export.validation.report.stated_uncertainty import network_uncertainty
from shipgen_export.validation.report.variation_tables import varied_rows
from shipgen_export.validation.work import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen_export.validation.category import CategoryResult
    from shipgen_export.validation.compare import Result
    from shipgen_export.validation.report.thresholds import Limit

FORMAT, FORMAT_VERSION = "shipgen-validation", 1
#: Found in every report folder.
INDEX = "report.json"
PAGE = "report.html"
PICTURES = "pictures"

_PAGE = Template(
    """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>$style</style></head>
<body>
$body
</body></html>
"""
)


def write_report(
    result: Result,
    output: Path,
    *,
    limits: Sequence[Limit] = (),
    command: str = "",
    pictures: bool = True,
    force: bool = False,
    cores: int = 1,
) -> Path:
    """Write the folder `output` with ``report.json``, ``report.html`` and ``pictures/``; return it.

    Without `pictures`, which take most of the time for few muons, there are tables only. `cores` is as for
    `compare.validate`.

    Raises
    ------
    InputError
        The folder exists, and not `force`.
    OutputError
        Writing failed.
    """
    with complete_folder(output, index=INDEX, force=force) as folder:
        write_json(folder / INDEX, to_json(result, limits, command))
        (folder / PICTURES).mkdir()
        page = Page(result, limits, command)
        drawn = list(all_pictures(result)) if pictures else []
        with progress("drawing", len(drawn), "pictures") as advance, results(drawn, cores) as images:
            for one, (png, pdf) in zip(drawn, images, strict=True):
                (folder / PICTURES / f"{one.name}.png").write_bytes(png)
                (folder / PICTURES / f"{one.name}.pdf").write_bytes(pdf)
                page.add(one.name, one.caption, picture(png, one.caption))
                advance(1)
        title = html.escape(f"{result.generated.label} against {result.reference.label}")
        text = _PAGE.substitute(title=title, style=STYLE, body=page.body())
        (folder / PAGE).write_text(text, encoding="utf-8")
    return output


def picture(png: bytes, caption: str) -> str:
    """Return a picture as HTML that holds it."""
    code = base64.b64encode(png).decode()
    return f'<img alt="{html.escape(caption, quote=True)}" src="data:image/png;base64,{code}">'


def to_json(result: Result, limits: Sequence[Limit] = (), command: str = "") -> dict[str, Any]:
    """Return all numbers as plain values."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "command": command,
        "versions": versions("shipgen", "numpy", "scipy", "scikit-learn"),
        "seed": result.seed,
        "level": result.level,
        "generated": {**result.generated.facts, "notes": list(result.generated.notes)},
        "reference": {**result.reference.facts, "notes": list(result.reference.notes)},
        "not_compared": result.missing,
        "rates": result.rates,
        "rates_of_bundle": result.against_bundle,
        "categories": {
            name: {
                **_category(found),
                "classifiers": {form: merit.to_json() for form, merit in result.merits.get(name, {}).items()},
            }
            for name, found in result.categories.items()
        },
        "uncertainty": network_uncertainty(result.bundle) if result.bundle is not None else {},
        "variations": {
            side: varied_rows(tally, sample.source.variations, sample.facts.get("variations", {}))
            for side, sample, tally in zip(
                ("generated", "reference"), (result.generated, result.reference), result.tallies, strict=True
            )
        },
        "tests": [asdict(test) for test in result.tests],
        "failed": [asdict(test) for test in result.failed],
        "limits": [asdict(limit) for limit in limits],
    }


def _category(found: CategoryResult) -> dict[str, Any]:
    return {
        "muons": found.effective,
        "histograms": {
            quantity: {
                "unit": LABELS[quantity][1],
                "edges": each.edges.tolist(),
                "generated": each.shares[0].tolist(),
                "reference": each.shares[1].tolist(),
                "pulls": each.pulls.tolist(),
                "chi2": each.chi2,
                "dof": each.dof,
                "p": each.p,
                "moved": each.moved,
                "ks": each.distance,
                "ks_at": each.distance_at,
                "ks_p": each.distance_p,
            }
            for quantity, each in found.histograms.items()
        },
        "tails": found.tails,
        "correlations": {
            kind: {
                "features": list(found.features),
                **{
                    side: matrix.tolist()
                    for side, matrix in zip(("generated", "reference", "pulls"), matrices, strict=True)
                },
            }
            for kind, matrices in found.correlations.items()
        },
        "coverage": found.coverage,
        "memory": found.memory,
        "copies": found.copies,
    }
