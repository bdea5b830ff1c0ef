"""``shipgen convert``: a file of produced muons in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH
from shipgen.errors import InputError
from shipgen.files.convert import CONVERSIONS
from shipgen.files.tree_writer import DEFAULT_COMPRESSION


@click.command("convert")
@click.argument("file", type=PATH, metavar="IN")
@click.argument("output", type=PATH, metavar="OUT")
@click.option("--layout", type=click.Choice(list(CONVERSIONS)), required=True)
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
    file: Path, output: Path, layout: str, fields: tuple[str, ...], compression: str, *, force: bool
) -> None:
    """Write a file of `shipgen produce`, `merge` or this command in another layout.

    npz, hdf5 and parquet have the columns px py pz x y z pdg w: GeV, cm, z = 0 where the target starts.
    """
    from shipgen.files.convert import convert

    names = dict(_split(field) for field in fields)
    muons = convert(file, output, layout, names=names, compression=compression, force=force)
    click.echo(f"{output}: {muons:,} muons as {layout}")


def _split(field: str) -> tuple[str, str]:
    name, sign, new = field.partition("=")
    if not sign:
        raise InputError(f"--field {field}: write NAME=NEW, such as pdg=id")
    return name, new
