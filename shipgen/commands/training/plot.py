"""``shipgen plot``: one picture of the muons of a file."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import BEAM, COUNT, PATH, POSITIVE, SEED, telling
from shipgen.commands.training.array_options import array_choice, array_options
from shipgen.generate.amount import PROTONS_PER_SPILL


@click.command("plot")
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE... [REFERENCE]")
@click.option("-o", "--output", type=PATH, required=True, metavar="FIGURE", help="PNG, PDF or SVG to write.")
@click.option(
    "--muons", type=COUNT, default=10**6, show_default=True, help="Produced where a bundle is given."
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of that production.")
@click.option("--name", "names", multiple=True, help="What the picture calls each, in order.")
@click.option(
    "--beam", type=BEAM, default="auto", show_default=True, help="Of ROOT files, as for `shipgen prepare`."
)
@click.option(
    "--target-start", type=float, metavar="Z", help="z of the target's start, cm, as for `shipgen prepare`."
)
@click.option(
    "--target",
    metavar="TARGET",
    help="Whose gaps are drawn along z: as for `simulate`, or a file's.",
)
@click.option(
    "--spill",
    type=POSITIVE,
    is_flag=False,
    flag_value=PROTONS_PER_SPILL,
    metavar="[POT]",
    help=f"Draw muons a spill, of {PROTONS_PER_SPILL:.0e} protons if POT is not given.",
)
@click.option("--force", is_flag=True, help="Replace an existing picture.")
@array_options
def command(
    files: tuple[Path, ...],
    output: Path,
    muons: int,
    seed: int,
    names: tuple[str, ...],
    beam: str,
    target_start: float | None,
    target: str | None,
    spill: float | None,
    unit: str | None,
    frame: str | None,
    columns: str | None,
    *,
    force: bool,
) -> None:
    """Draw the muons of FILE, or of several, with ratios to the last one, the REFERENCE.

    Each is a file of `shipgen produce` or `shipgen convert` in any layout, a ROOT file of
    `shipgen simulate` or FairShip, a file of arrays, a bundle (muons are produced), or a prepared sample.
    All muons are drawn. With rates known, distributions are muons per proton on target, shares elsewhere.
    """
    from shipgen_export.validation.plotting.plot import plot

    lines = plot(
        files,
        output,
        muons=muons,
        seed=seed,
        beam=beam,
        arrays=array_choice(unit, frame, columns),
        target_start=target_start,
        target=target,
        spill=spill,
        force=force,
        names=names,
    )
    told = [*lines, f"{output}"]
    with telling(f"{output} is complete"):
        for line in told:
            click.echo(line)
