"""``shipgen convert``: a file of produced muons in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH, layout_options, telling
from shipgen.errors import InputError
from shipgen.files.arrays.choose import FRAME_CHOICES, LAYOUTS, UNIT_CHOICES, choose_layout
from shipgen.files.compressions import DEFAULT_COMPRESSION


@click.command("convert")
@click.argument("file", type=PATH, metavar="IN")
@click.argument("output", type=PATH, metavar="OUT")
@layout_options(list(LAYOUTS))
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=NEW",
    help="Another name for a field, of layouts that FairShip does not read; may be repeated.",
)
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="Of ROOT files."
)
@click.option("--from-unit", type=click.Choice(UNIT_CHOICES), help="Of lengths in arrays of others (m).")
@click.option("--from-frame", type=click.Choice(FRAME_CHOICES), help="Where z = 0 is in those (shield).")
@click.option("--from-columns", metavar="C,C,...", help="Of an array of rows (px,py,pz,x,y,z,pdg,weight).")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    file: Path,
    output: Path,
    layout: str | None,
    unit: str | None,
    frame: str | None,
    fields: tuple[str, ...],
    compression: str,
    from_unit: str | None,
    from_frame: str | None,
    from_columns: str | None,
    *,
    force: bool,
) -> None:
    """Write a file of `shipgen produce`, `merge` or this command in another layout.

    The ending of OUT says which (.root is muonback), or --layout. Arrays have the columns px py pz x y z pdg
    w: GeV, cm, z = 0 where the target starts; layout shield has metres, z = 0 where the muon shield begins.
    Arrays of others are read if one of the --from options says what they are; POT is not known then.
    """
    from shipgen.files.convert import convert, convert_arrays

    names = dict(_split(field) for field in fields)
    chosen = choose_layout(output.name, layout, unit=unit, frame=frame)
    if from_unit or from_frame or from_columns:
        muons = convert_arrays(
            file,
            output,
            chosen,
            columns=[name.strip() for name in (from_columns or "").split(",") if name.strip()],
            unit=from_unit,
            frame=from_frame,
            names=names,
            compression=compression,
            force=force,
            warn=lambda text: click.echo(f"shipgen: warning: {text}", err=True),
        )
    else:
        muons = convert(file, output, chosen, names=names, compression=compression, force=force)
    with telling(f"{output} is complete"):
        click.echo(f"{output}: {muons:,} muons as {chosen.name}")


def _split(field: str) -> tuple[str, str]:
    name, sign, new = field.partition("=")
    if not sign:
        raise InputError(f"--field {field}: write NAME=NEW, such as pdg=id")
    return name, new
