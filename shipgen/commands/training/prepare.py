"""``shipgen prepare``: files of simulated muons -> a prepared sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipgen.commands.options import BEAM, COUNT, PATH, POSITIVE, SEED, telling, workers_option
from shipgen.commands.training.array_options import array_choice, array_options


@click.command("prepare")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", type=PATH, required=True, metavar="PREPARED", help="Folder to make.")
@click.option(
    "--pot",
    type=POSITIVE,
    help="Protons on target that the sum of the weights of all files stands for; overrides what the files "
    "state. FairShip's 2018 production is weighted to a spill: 5e13 if all its files are given, the same "
    "part of 5e13 for a part of the files. That of 2026 is weighted to the protons simulated.",
)
@click.option(
    "--energy-cut",
    type=POSITIVE,
    metavar="GEV",
    help="Least energy that the muons were simulated with; overrides what the files state and leaves no muon "
    "out.",
)
@click.option(
    "--target-start",
    type=float,
    metavar="CM",
    help="z of the target's start in the frame of the files; overrides what they state. Where neither does, "
    "-7084.5 (2018) is assumed.",
)
@click.option(
    "--beam",
    type=BEAM,
    default="auto",
    show_default=True,
    help="What x and y, and on-axis, are relative to: found out (auto), x = y = 0 (origin), or the start of "
    "the first track of each event, whatever its mother (primary).",
)
@click.option(
    "--survival",
    type=click.Choice(["in", "out"]),
    default="in",
    show_default=True,
    help="Weights count muons that leave the absorber (in), or muons where they are produced (out), for "
    "those who track them through the absorber. Out is for samples of `shipgen simulate`.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out files of this name or end of path; repeatable.",
)
@click.option(
    "--blacklist",
    type=PATH,
    metavar="TXT",
    help="Leave out the files named here, one a line, as for --exclude.",
)
@click.option("--skip-bad", is_flag=True, help="List files that cannot be used instead of failing.")
@click.option(
    "--cap",
    type=COUNT,
    help="Most muons a category, drawn fairly from all files; they carry the weight of all. "
    "The published networks had 1.8e6.",
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of the draw that --cap makes.")
@click.option(
    "--span",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Normalise features to [-SPAN, SPAN]; the published networks used 0.97.",
)
@workers_option(old=["--cores"], help="Processes that read; all cores if not given.")
@click.option("--force", is_flag=True, help="Replace an existing prepared sample.")
@array_options
def command(
    files: tuple[str, ...],
    output: Path,
    workers: int | None,
    unit: str | None,
    frame: str | None,
    columns: str | None,
    **options: Any,
) -> None:
    """Prepare files of simulated muons for training.

    FILE is an output of `shipgen simulate`, a FairShip file with the tree cbmsim (MCTrack with vetoPoint or
    PlaneHAPoint), a flat ntuple (TTree or RNTuple), or a file of arrays (npz, npy, HDF5, Parquet, a pickle
    of arrays); a glob in quotes, a root:// or https:// address, or a list in a .txt file (one a line,
    relative to the folder in which you run the command); all of one kind. The muons that left the
    absorber are split into the four categories and normalised. An interrupted run goes on when the same
    command is given again.
    """
    from shipgen.describe.prepared import describe_prepared
    from shipgen_export.reading.prepare import prepare

    arrays = array_choice(unit, frame, columns)
    made = prepare(files, output, cores=workers, arrays=arrays, **options)
    with telling(f"{output} is complete"):
        for line in describe_prepared(made.index):
            click.echo(line)
