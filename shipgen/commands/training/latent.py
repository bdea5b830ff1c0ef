"""``shipgen latent``: what the latents of a bundle's networks do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipgen.commands.options import COUNT, PATH, SEED, telling
from shipgen.muons.categories import CATEGORY_NAMES


@click.command("latent")
@click.argument("bundle", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="FOLDER", help="Folder to make.")
@click.option(
    "--category",
    "categories",
    multiple=True,
    type=click.Choice(CATEGORY_NAMES),
    help="Repeatable. [default: all]",
)
@click.option("--region", metavar="REGION", help="Show where its muons lie; as for `shipgen enhance`.")
@click.option(
    "--sample", type=PATH, metavar="PREPARED", help="Show where a classifier tells muons from these."
)
@click.option(
    "--dimensions",
    type=(click.IntRange(0), click.IntRange(0)),
    metavar="I J",
    help="Two latents, from 0 on. [default: those of the largest effects]",
)
@click.option("--cells", type=click.IntRange(2, 400), default=50, show_default=True, help="Along each.")
@click.option("--muons", type=COUNT, default=100_000, show_default=True, help="Made for each category.")
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of the latents that are drawn.")
@click.option("--pictures/--no-pictures", default=True, help="Whether to draw; latent.json comes anyway.")
@click.option("--force", is_flag=True, help="Replace an existing folder.")
def command(bundle: Path, output: Path, **options: Any) -> None:
    """Study the latent spaces of BUNDLE: effect of each latent, heat maps over two of them, dead regions.

    FOLDER gets two pictures for each category and latent.json with all numbers.
    """
    from shipgen.bundle.bundle import Bundle
    from shipgen_export.latent.latent_study import write_studies

    for line in write_studies(Bundle.open(bundle), output, **options):
        with telling(f"{output} has what was studied so far"):
            click.echo(line)
