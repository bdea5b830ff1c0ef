"""``shipgen enhance``: a bundle that makes more of a region's muons, with weights."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import COUNT, PATH, SEED, telling


@click.command("enhance")
@click.option(
    "--region",
    required=True,
    metavar="REGION",
    help="An expression such as 'pt > 1.8 and p > 20', or a file: see `docs/howto/enhance.md`.",
)
@click.option("-o", "--output", type=PATH, required=True, metavar="BUNDLE", help="Bundle to write.")
@click.option("--bundle", type=PATH, metavar="BUNDLE", help="The plain one; the default bundle if not given.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Share of the muons drawn towards the region; no weight is above 1 / (1 - share).",
)
@click.option(
    "--components",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Normal distributions of each proposal, at most; each one costs time.",
)
@click.option("--muons", type=COUNT, default=200_000, show_default=True, help="Looked at in each round.")
@click.option("--seed", type=SEED, default=1, show_default=True, help="Decides everything random.")
@click.option("--name", help="What to call the bundle. [default: the folder's name]")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def command(
    region: str,
    output: Path,
    bundle: Path | None,
    share: float,
    components: int,
    muons: int,
    seed: int,
    name: str | None,
    *,
    force: bool,
) -> None:
    """Make a bundle of which more muons lie in REGION; each muon's weight makes up for it.

    Rates, sums of weights and weighted distributions stay those of the plain bundle. `shipgen produce`, the
    FairShip sources and `shipgen validate` take the new bundle like any other.
    """
    from shipgen.bundle.bundle import Bundle
    from shipgen_export.enhance.enhance import enhance
    from shipgen_export.enhance.regions.region_file import read_region

    found = enhance(
        read_region(region),
        output,
        bundle=Bundle.open(bundle),
        share=share,
        components=components,
        muons=muons,
        seed=seed,
        name=name,
        force=force,
    )
    with telling(f"{output} is complete"):
        click.echo(f"{output}: {found.bundle.label}")
        for line in found.gain.lines():
            click.echo(line)
        click.echo(f"  `shipgen produce --bundle {output} -n 1e6 -o muons.root` makes weighted muons of it")
