"""``shipgen convert``: a file of produced muons in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH, layout_options
from shipgen.errors import InputError
from shipgen.files.arrays.choose import LAYOUTS, choose_layout
from shipgen.files.tree_writer import DEFAULT_COMPRESSION


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
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    file: Path,
    output: Path,
    layout: str | None,
    unit: str | None,
    frame: str | None,
    fields: tuple[str, ...],
    compression: str,
    *,
    force: bool,
) -> None:
    """Write a file of `shipgen produce`, `merge` or this command in another layout.

    The ending of OUT says which (.root is muonback), or --layout. Arrays have the columns px py pz x y z pdg
    w: GeV, cm, z = 0 where the target starts; layout shield has metres, z = 0 where the muon shield begins.
    """
    from shipgen.files.convert import convert

    names = dict(_split(field) for field in fields)
    chosen = choose_layout(output.name, layout, unit=unit, frame=frame)
    muons = convert(file, output, chosen, names=names, compression=compression, force=force)
    click.echo(f"{output}: {muons:,} muons as {chosen.name}")


def _split(field: str) -> tuple[str, str]:
    name, sign, new = field.partition("=")
    if not sign:
        raise InputError(f"--field {field}: write NAME=NEW, such as pdg=id")
    return name, new
