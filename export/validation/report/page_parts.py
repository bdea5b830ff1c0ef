"""Parts of the page that are there when asked for, or when a sample has them: regions, variations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shipgen_export.validation.counting.compared_quantities import category_titles, tails
from shipgen_export.validation.report.page_tables import make_table, ratio_cell
from shipgen_export.validation.report.variation_tables import VariedRow, varied_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipgen_export.validation.compare import Result


def asked(result: Result) -> list[str]:
    """Return the regions that the user asked for."""
    usual = {region.name for region in tails()}
    return [one.name for one in result.tallies[0].binning.regions if one.name not in usual]


def regions_part(result: Result) -> str:
    """Return a table of the regions that the user asked for."""
    rows: list[list[Any]] = []
    titles = category_titles()
    for name in asked(result):
        for category, found in result.categories.items():
            row = found.tail(name)
            if row is None:
                continue
            rows.append(
                [
                    name,
                    titles[category],
                    f"{row['generated']:.3e} ± {row['generated_error']:.0e}",
                    f"{row['reference']:.3e} ± {row['reference_error']:.0e}",
                    ratio_cell(row, 3),
                    f"{row['pull']:+.1f}",
                    f"{row['muons'][0]:,}",
                    f"{row['muons'][1]:,}",
                ]
            )
    if not rows:
        return ""
    heads = ["region", "muons", "generated", "reference", "ratio", "pull", "muons gen.", "muons ref."]
    table = make_table(heads, rows, "Shares of the muons of a category", texts=(0, 1), dense=True)
    return f'<h2 class="first" id="regions">Regions</h2>{table}'


def _varied(result: Result) -> dict[str, list[VariedRow]]:
    """Return what variations change of each side's muons."""
    found = {}
    for side, sample, tally in zip(
        ("generated", "reference"), (result.generated, result.reference), result.tallies, strict=True
    ):
        meanings = sample.facts.get("variations", {})
        found[side] = varied_rows(tally, sample.source.variations, meanings, asked(result))
    return found


def variations_part(result: Result, pictures: Mapping[str, str]) -> str:
    """Return tables and pictures of variations, of the sides that have some."""
    parts: list[str] = []
    titles = category_titles()
    for side, rows in _varied(result).items():
        if not rows:
            continue
        names, regions = list(rows[0]["rate"]), list(rows[0]["regions"])
        cells = [
            [
                row["variation"],
                row["meaning"],
                *(f"{100 * row['rate'][name]:+.1f} %" for name in (names[-1], *names[:-1])),
                *(f"{100 * row['regions'][name]:+.1f} %" for name in regions),
            ]
            for row in rows
        ]
        heads = ["", "what", "rate, all", *(titles[name] for name in names[:-1]), *regions]
        caption = f"Variations of the {side} muons: changes of rates, and of all muons in regions"
        parts.append(make_table(heads, cells, caption, texts=(1,), dense=True))
        parts.append(pictures.get(f"variations_{side}", ""))
    if not parts:
        return ""
    text = (
        "Steps of about one standard error of what is uncertain in the simulation; no pull contains them. "
        "They are independent of each other, so that they are added in quadrature, both ways alike."
    )
    return f'<h2 id="variations">Variations</h2><p>{text}</p>{"".join(parts)}'
