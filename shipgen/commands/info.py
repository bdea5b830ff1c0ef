"""``shipgen info``: what a bundle or a file is."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH


@click.command("info")
@click.argument("path", type=PATH, required=False, metavar="[FILE|BUNDLE]")
@click.option(
    "--check", is_flag=True, help="Read all of a large file of muons too, and compare its checksums."
)
def command(path: Path | None, *, check: bool) -> None:
    """Say what a bundle, file of muons, prepared sample or run is; the default bundle if none is given."""
    from shipgen.bundle.bundle import DEFAULT_BUNDLE
    from shipgen.describe.describe import describe

    for line in describe(path or DEFAULT_BUNDLE, check=check):
        click.echo(line)
