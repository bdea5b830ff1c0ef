"""``shipgen plot``: one picture of the muons of a file."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import BEAM, COUNT, PATH, SEED
from shipgen.commands.training.array_options import array_choice, array_options


@click.command("plot")
@click.argument("file", type=PATH)
@click.argument("reference", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, required=True, metavar="FIGURE", help="PNG, PDF or SVG to write.")
@click.option(
    "--muons", type=COUNT, default=10**6, show_default=True, help="Produced where a bundle is given."
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of that production.")
@click.option("--name", "names", multiple=True, help="What the picture calls FILE, then REFERENCE.")
@click.option(
    "--beam", type=BEAM, default="auto", show_default=True, help="Of ROOT files, as for `shipgen prepare`."
)
@click.option("--force", is_flag=True, help="Replace an existing picture.")
@array_options
def command(
    file: Path,
    reference: Path | None,
    output: Path,
    muons: int,
    seed: int,
    names: tuple[str, ...],
    beam: str,
    unit: str | None,
    frame: str | None,
    columns: str | None,
    *,
    force: bool,
) -> None:
    """Draw the muons of FILE, over those of REFERENCE if it is given.

    Either is a file of `shipgen produce` or `shipgen convert` in any layout, a ROOT file of
    `shipgen simulate` or FairShip, a file of arrays, a bundle (muons are produced), or a prepared sample.
    All muons are drawn. With rates known, distributions are muons per proton on target, shares elsewhere.
    """
    from shipgen_export.validation.report.plot import plot

    arrays = array_choice(unit, frame, columns)
    paths = [file] if reference is None else [file, reference]
    lines = plot(paths, output, muons=muons, seed=seed, beam=beam, arrays=arrays, force=force, names=names)
    for line in lines:
        click.echo(line)
    click.echo(f"{output}")
