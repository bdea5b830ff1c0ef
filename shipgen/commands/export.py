"""``shipgen export``: a trained run -> a model bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shipgen.commands.options import PATH, POSITIVE

if TYPE_CHECKING:
    from pathlib import Path


@click.command("export")
@click.argument("run", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="BUNDLE", help="Folder to make.")
@click.option(
    "--pot",
    type=POSITIVE,
    help="Protons on target that the sum of the training sample's weights stands for, where it does not say.",
)
@click.option("--name", help="What to call the bundle. [default: the name of BUNDLE]")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def command(run: Path, output: Path, pot: float | None, name: str | None, *, force: bool) -> None:
    """Export the networks of RUN, a folder of `shipgen train`, as a bundle for `shipgen produce`.

    Every network is compared with its exported graph before anything is written.
    """
    from shipgen.describe import describe_bundle
    from shipgen_export.export import export

    bundle = export(run, output, pot=pot, name=name, force=force)
    for entry in bundle.entries:
        agreement = entry.details["agreement"]
        worst = max(*agreement["keras"].values(), *agreement["numpy"].values())
        click.echo(
            f"{entry.category.name}: graph and network differ by {worst:.1e} of a feature's range at most"
        )
    for line in describe_bundle(bundle):
        click.echo(line)
