"""``shipgen train``: networks from a prepared sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from shipgen.categories import CATEGORY_NAMES
from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED
from shipgen.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model")
@click.argument("prepared", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Run folder; one that exists is continued.")
@click.option(
    "--category",
    "categories",
    multiple=True,
    type=click.Choice(CATEGORY_NAMES),
    help="Train this category; may be repeated. [default: all of the sample]",
)
@click.option("--steps", type=COUNT, help="Steps a category shall reach in all. [default: 10000]")
@click.option("--minutes", type=POSITIVE, help="Time for this call, split evenly over its categories.")
@click.option("--seed", type=SEED, default=1, show_default=True, help="Seed of weights, batches and noise.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads. [default: all]")
@click.option("--latent", type=COUNT, help="Width of the generator's input. [default: 100]")
@click.option("--batch", type=COUNT, help="Muons a step. [default: 100]")
def command(
    model: str,
    prepared: Path,
    output: Path,
    categories: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    seed: int,
    threads: int | None,
    latent: int | None,
    batch: int | None,
) -> None:
    """Train MODEL (gan) on the prepared sample PREPARED.

    A run that was interrupted goes on when the same command is run again. `shipgen export` makes a bundle of
    the run. On two cores, two commands with --threads 1 and different categories may share a run folder.
    """
    if steps is not None and minutes is not None:
        raise InputError("--steps and --minutes exclude each other: give one")
    from shipgen_export.sample import PreparedSample
    from shipgen_export.train import model_by_name, train

    model_by_name(model)
    settings = {name: value for name, value in (("latent", latent), ("batch", batch)) if value is not None}
    for trained in train(
        model,
        PreparedSample.open(prepared),
        output,
        categories=categories,
        steps=steps,
        minutes=minutes,
        seed=seed,
        threads=threads,
        settings=settings,
    ):
        click.echo(trained.summary())
    click.echo(f"run folder {output}: `shipgen export {output} -o BUNDLE` makes a bundle of it")
