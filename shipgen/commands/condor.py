"""``shipgen condor``: a production as jobs of HTCondor."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from shipgen.commands.options import (
    COUNT,
    PATH,
    POSITIVE,
    SEED,
    muons_option,
    precision_option,
    telling,
    workers_option,
)
from shipgen.commands.selection_options import selection_options, take_selection, variations_option
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS


@click.command("condor")
@click.argument("folder", type=PATH)
@click.option("--shards", type=COUNT, required=True, metavar="N", help="Jobs that produce, a shard each.")
@muons_option(help="Expected number of muons.")
@click.option("--pot", type=POSITIVE, metavar="P", help="Protons on target to produce muons for.")
@click.option(
    "-o", "--output", required=True, metavar="OUT.root", help="On a shared disk, or a root:// address."
)
@click.option(
    "--bundle",
    type=PATH,
    metavar="BUNDLE",
    help="Folder of networks, or a name of `shipgen bundle list`; the default bundle if not given.",
)
@click.option("--seed", type=SEED, metavar="S", help="Drawn now if not given.")
@click.option("--exact", is_flag=True, help="Exactly the expected number, not a Poisson number around it.")
@click.option(
    "--layout",
    type=click.Choice(list(OUTPUT_LAYOUTS)),
    default=MUONBACK.name,
    show_default=True,
    help="Of the files.",
)
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="lz4:1, none, ..."
)
@precision_option
@selection_options
@variations_option
@workers_option(default=1, show_default=True, help="Cores of a job.")
@click.option("--list", "listed", is_flag=True, help="List the shards in OUT.json, do not merge them.")
@click.option("--reference", type=PATH, help="Validate against this: a prepared sample or a ROOT file.")
@click.option("--validate", default="", metavar="OPTIONS", help="Of shipgen validate: '--max-auc 0.52'.")
@click.option(
    "--line", "lines", multiple=True, metavar="'KEY = VALUE'", help="In every submit description; repeatable."
)
@click.option("--force", is_flag=True, help="Replace a folder of this kind.")
def command(
    folder: Path,
    shards: int,
    n: int | None,
    pot: float | None,
    output: str,
    bundle: Path | None,
    seed: int | None,
    layout: str,
    compression: str,
    precision: int | None,
    workers: int,
    reference: Path | None,
    validate: str,
    lines: tuple[str, ...],
    *,
    exact: bool,
    listed: bool,
    force: bool,
    **options: Any,
) -> None:
    """Write FOLDER with the jobs of a production for HTCondor: all shards, then merge, then validate.

    Nothing is submitted. A job that fails is tried again, and goes on where it stopped.
    """
    if (n is None) == (pot is None):
        raise click.UsageError("say how much: either --muons N or --pot P (protons on target)")
    from shipgen.generate.streams import draw_seed
    from shipgen.production.condor import INDEX, LaterSteps, write_dag
    from shipgen.production.request import Request

    request = Request(
        output,
        n=n,
        pot=pot,
        bundle=None if bundle is None else str(bundle),
        seed=draw_seed() if seed is None else seed,
        exact=exact,
        layout=layout,
        compression=compression,
        precision=precision,
        workers=workers,
        selection=take_selection(options),
    )
    plan = request.generator().plan
    try:
        steps = LaterSteps(listed, reference, tuple(shlex.split(validate)))
    except ValueError as error:
        raise click.UsageError(f"--validate {validate!r} has no end ({error}): close its quotes") from error
    write_dag(folder, request, plan, shards, steps, lines=lines, force=force)
    with telling(f"{folder} is complete"):
        click.echo(f"{folder}: {shards:,} shards of {plan.total:,} muons, seed {plan.seed}")
        click.echo(f"  submit them by: cd {folder} && condor_submit_dag {INDEX}")
