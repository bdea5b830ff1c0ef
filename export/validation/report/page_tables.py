"""Tables of the page: cells with colours, and those that every category has."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from shipgen_export.validation.counting.compared_quantities import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shipgen_export.validation.category import CoverageRow, TailRow
    from shipgen_export.validation.copies import Copies
    from shipgen_export.validation.neighbours import Memory

#: Largest relative standard error, and largest error of an AUC, with which cells are green.
SURE, SURE_AUC = 0.05, 0.01

#: p of a difference of 3 standard errors.
_P = 0.0027

#: Of the page; it prints without its menu, a category a page.
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1400px;margin:1.5em auto;padding:0 1em;color:#222}
h1{font-size:1.6em;margin:0 0 .2em}
h2{margin:1.8em 0 .4em;border-bottom:2px solid #ddd} h3{margin:1.2em 0 .3em}
table{border-collapse:collapse;margin:.5em 0 1em;font-size:.9em}
caption{text-align:left;color:#555;padding:.2em 0}
th,td{padding:.22em .6em;text-align:right;border-bottom:1px solid #e4e4e4;white-space:pre}
th{white-space:normal;vertical-align:bottom} .dense td{white-space:pre-line}
.dense th,.dense td{padding:.22em .4em}
th:first-child,td:first-child,.text{text-align:left} td.text{white-space:normal;overflow-wrap:anywhere}
th{background:#f4f5f7} .bad{background:#fde2dd} .good{background:#e2f3e4}
figure{margin:.6em 0 1.4em} img{max-width:100%;height:auto} figcaption,.note{color:#555;font-size:.92em}
nav a{margin-right:1.2em} .scroll{overflow-x:auto}
@media screen and (max-width:760px){figure{overflow-x:auto} img{max-width:none;width:900px}}
@page{size:A4;margin:12mm}
@media print{body{max-width:none;margin:0;padding:0;font-size:9px} table{font-size:8px}
th,td{padding:.15em .4em} *{print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav{display:none} figure,table{break-inside:avoid}
h2{break-before:page;break-after:avoid} h2.first{break-before:auto} .scroll{overflow:visible}}
"""


def tail_table(rows: Sequence[TailRow], known: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table of tails and regions; `known` are the networks' relative uncertainties."""
    cells = [
        [
            row["region"],
            f"{row['generated']:.3e} ± {row['generated_error']:.0e}",
            f"{row['reference']:.3e} ± {row['reference_error']:.0e}",
            pm(row["ratio"], row["ratio_error"], 3),
            pull_cell(f"{row['pull']:+.1f}", row["pull"], relative(row["ratio"], row["ratio_error"])),
            f"{row['muons'][0]:,}",
            f"{row['muons'][1]:,}",
            *([percent(known.get(row["region"]))] if known else []),
        ]
        for row in rows
    ]
    heads = ["share of the muons", "generated", "reference", "ratio", "pull", "muons gen.", "muons ref."]
    return make_table([*heads, *["network uncertainty"] * bool(known)], cells, "Tails and regions")


def uncertainty_table(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], titles: Mapping[str, str]
) -> str:
    """Return the table of the networks' relative uncertainties by category."""
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    rows = [[name, *(percent(found[category].get(name)) for category in found)] for name in names]
    caption = "Relative uncertainty: statistics of the training muons, and spread of networks, in quadrature"
    return make_table(["", *(titles[category] for category in found)], rows, caption)


def percent(known: Mapping[str, float] | None) -> str:
    """Return a relative uncertainty in per cent, nothing where it is not known."""
    return "" if known is None else f"{100 * known['all']:.2g} %"


def coverage_table(rows: Sequence[CoverageRow]) -> str:
    """Return the table of ranges."""
    cells = [
        [
            f"{plain(row['feature'])} [{row['unit']}]",
            "{:.5g} to {:.5g}".format(*row["generated"]),
            "{:.5g} to {:.5g}".format(*row["reference"]),
            f"{row['generated_outside']:.1e} ({row['generated_outside_muons']:,})",
            f"{row['expected_outside']:.1e}",
            f"{row['reference_outside']:.1e}",
        ]
        for row in rows
    ]
    heads = [
        "",
        "range, generated",
        "range, reference",
        "generated outside (muons)",
        "expected",
        "reference outside",
    ]
    return make_table(heads, cells, "Coverage: share of the muons outside the other sample's range")


def copies_line(found: Copies | None) -> str:
    """Return how many muons are copies."""
    if found is None:
        return ""
    asked = f"{found['asked'][0]:,} generated muons and {found['asked'][1]:,} of the reference"
    text = (
        f"{found['generated_in_reference']:.3%} of the generated are in the reference, "
        f"{found['within_generated']:.3%} and {found['within_reference']:.3%} occur twice on their side"
    )
    return f"<p>Copies among {asked}: {text}.</p>"


def memory_line(found: Memory | None) -> str:
    """Return what the nearest neighbours say."""
    if found is None or found["distance_ratio"] is None:
        return ""
    text = (
        f"distance to the nearest reference muon {found['distance_ratio']:.3f} of that of the reference's own"
    )
    if "nearer_to_training" in found:
        share = pm(found["nearer_to_training"], found["nearer_to_training_error"], 3)
        text += f"; share nearer to muons trained on than to others {share}, 0.5 without memory"
    return f"<p>Nearest neighbours of {found['asked']:,} generated muons: {escaped(text)}.</p>"


class Raw(str):
    """HTML that is put in as it is."""

    __slots__ = ()


class Cell(str):
    """A cell's text with a colour."""

    colour: str


def good_cell(text: str, *, good: bool) -> Cell:
    """Return a green or a red cell."""
    cell = Cell(text)
    cell.colour = "good" if good else "bad"
    return cell


def pull_cell(text: str, pull: float | None, error: float | None, limit: float = SURE) -> str:
    """Return a cell that is red where the pull is 3 or more, and green where the error is small as well.

    Parameters
    ----------
    text : str
    pull : float or None
        Difference over its standard error; ``None`` where there is none.
    error : float or None
        Relative standard error of what is compared; ``None`` where it is not known.
    limit : float
        Largest error with which it can be said that both agree.
    """
    if pull is None:
        return text
    if abs(pull) >= 3:
        return good_cell(text, good=False)
    return good_cell(text, good=True) if error is not None and error <= limit else text


def p_cell(p: float, error: float) -> str:
    """Return a cell with p, red below that of 3 standard errors; `error` is a bin's, as in `pull_cell`."""
    text = f"{p:.2g}"
    if p <= _P:
        return good_cell(text, good=False)
    return good_cell(text, good=True) if error <= SURE else text


def relative(ratio: float | None, error: float | None) -> float | None:
    """Return a relative error, ``None`` where it is not known."""
    return error / abs(ratio) if ratio and error is not None else None


def ratio_cell(row: Any, digits: int = 4) -> str:
    """Return a ratio with its error, coloured."""
    if row is None:
        return ""
    error = relative(row["ratio"], row["ratio_error"])
    return pull_cell(pm(row["ratio"], row["ratio_error"], digits), row["pull"], error)


def make_table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    caption: str = "",
    texts: Sequence[int] = (),
    *,
    dense: bool = False,
) -> str:
    """Return a table; columns numbered in `texts` hold text that may wrap, all may where it is `dense`."""
    top = "".join(
        f'<th class="text">{escaped(head)}</th>' if place in texts else f"<th>{escaped(head)}</th>"
        for place, head in enumerate(heads)
    )
    body = []
    for row in rows:
        cells = []
        for place, value in enumerate(row):
            classes = " ".join(
                ["text"] * (place in texts) + ([value.colour] if isinstance(value, Cell) else [])
            )
            text = value if isinstance(value, Raw) else escaped(value)
            if dense:
                # Where a cell breaks, an error keeps its sign, and a number its per cent.
                text = text.replace("± ", "±\u00a0").replace(" %", "\u00a0%")
            cells.append(f'<td class="{classes}">{text}</td>' if classes else f"<td>{text}</td>")
        body.append(f"<tr>{''.join(cells)}</tr>")
    title = f"<caption>{escaped(caption)}</caption>" if caption else ""
    kind = ' class="dense"' * dense
    return f'<div class="scroll"><table{kind}>{title}<tr>{top}</tr>{"".join(body)}</table></div>'


def escaped(value: object) -> str:
    """Return text as HTML."""
    return html.escape(str(value))


def plain_value(value: object) -> str:
    """Return a fact as text."""
    return (
        f"{value:.8g}"
        if isinstance(value, float)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )


def formatted(value: float | None, form: str) -> str:
    """Return a number, nothing for ``None``."""
    return "" if value is None else format(value, form)


def pm(value: float | None, error: float | None, digits: int = 4) -> str:
    """Return a value with its error, as far as they are known."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if error is not None else "")
