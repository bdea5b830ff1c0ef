"""``shipgen convert``: a file of produced muons in another layout."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH
from shipgen.convert import CONVERSIONS
from shipgen.writers import DEFAULT_COMPRESSION


@click.command("convert")
@click.argument("file", type=PATH, metavar="IN.root")
@click.argument("output", type=PATH, metavar="OUT")
@click.option("--layout", type=click.Choice(CONVERSIONS), required=True)
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="Of ROOT files."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(file: Path, output: Path, layout: str, compression: str, *, force: bool) -> None:
    """Write a file of `shipgen produce` in another layout.

    npz and hdf5 have the arrays px py pz x y z pdg w: GeV, cm, z = 0 where the target starts.
    """
    from shipgen.convert import convert

    muons = convert(file, output, layout, compression=compression, force=force)
    click.echo(f"{output}: {muons:,} muons as {layout}")
