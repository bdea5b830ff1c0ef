"""``shipgen prepare``: files of simulated muons -> a prepared sample."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import PATH, POSITIVE


@click.command("prepare")
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", type=PATH, required=True, metavar="PREPARED", help="Folder to make.")
@click.option(
    "--pot",
    type=POSITIVE,
    help="Protons on target that the sum of the weights of all files stands for, where no file says. "
    "FairShip's 2018 production is weighted to a spill: 5e13 if all its files are given, the same part of "
    "5e13 for a part of the files. That of 2026 is weighted to the protons simulated.",
)
@click.option(
    "--energy-cut", type=POSITIVE, metavar="GEV", help="Least energy, where the files do not state it."
)
@click.option(
    "--target-start",
    type=float,
    metavar="CM",
    help="z of the target's start in the frame of the files, where they do not state it; "
    "-7084.5 (2018) is assumed otherwise.",
)
@click.option(
    "--span",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Normalise features to [-SPAN, SPAN]; the published networks used 0.97.",
)
@click.option("--force", is_flag=True, help="Replace an existing prepared sample.")
def command(
    files: tuple[Path, ...],
    output: Path,
    pot: float | None,
    energy_cut: float | None,
    target_start: float | None,
    span: float,
    *,
    force: bool,
) -> None:
    """Prepare files of simulated muons for training.

    FILE is an output of `shipgen simulate`, or a FairShip file with the tree cbmsim (MCTrack and vetoPoint);
    all files of one kind. The muons that left the absorber are split into the four categories and normalised.
    """
    from shipgen.prepared import describe_prepared
    from shipgen_export.prepare import prepare

    sample = prepare(
        files,
        output,
        pot=pot,
        energy_cut=energy_cut,
        target_start=target_start,
        span=span,
        force=force,
    )
    for line in describe_prepared(sample.index):
        click.echo(line)
