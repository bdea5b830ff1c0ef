"""``shipgen produce``: muons from a bundle into a ROOT file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from shipgen.commands.options import (
    COUNT,
    PATH,
    POSITIVE,
    SEED,
    layout_options,
    muons_option,
    precision_option,
    spill_options,
    take_spills,
    telling,
    workers_option,
)
from shipgen.commands.selection_options import selection_options, take_selection, variations_option
from shipgen.files.arrays.choose import LAYOUTS
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.rootfile import base_name, is_remote

if TYPE_CHECKING:
    from shipgen.production.dask_produce import DaskProduction
    from shipgen.production.request import Made, Request


@click.command("produce")
@muons_option(help="Expected number of muons.")
@click.option("--pot", type=POSITIVE, metavar="P", help="Protons on target to produce muons for.")
@spill_options
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="The file: .root, .npz, .npy, .h5, .parquet; or a URL.",
)
@click.option(
    "--bundle",
    type=PATH,
    metavar="BUNDLE",
    help="Folder of networks, or a name of `shipgen bundle list`; the default bundle if not given.",
)
@click.option("--seed", type=SEED, metavar="S", help="Drawn anew, and recorded, if not given.")
@click.option("--exact", is_flag=True, help="Exactly the expected number, not a Poisson number around it.")
@layout_options(list(LAYOUTS))
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="lz4:1, none, ..."
)
@precision_option
@click.option("--max-per-file", type=COUNT, metavar="M", help="Split into OUT_000.root, ... of M muons.")
@click.option("--shard", metavar="I/N", help="Make part I of N only, OUT_shardIofN.root; needs --seed.")
@selection_options
@variations_option
@workers_option(help="Cores to use, or with --dask workers to start; all of this machine's if not given.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where networks run.",
)
@click.option(
    "--dask",
    metavar="WHERE",
    help="Make all shards on a Dask cluster: local, htcondor, slurm, or the address of one that runs.",
)
@click.option("--shards", type=COUNT, metavar="N", help="With --dask: how many; 16 or more if not given.")
@click.option("--jobs", type=click.IntRange(1), hidden=True)
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted, if it was.")
@click.option("--force", is_flag=True, help="Replace existing files; drop what an interrupted run left.")
def command(
    n: int | None,
    pot: float | None,
    spills: float | None,
    protons_per_spill: float,
    shard: str | None,
    dask: str | None,
    shards: int | None,
    workers: int | None,
    jobs: int | None,
    **options: Any,
) -> None:
    """Produce muons into a ROOT file that FairShip reads, or into arrays.

    Say how much by --muons, --pot or --spills. The muons depend on bundle, seed and amount alone. On a batch
    farm every job makes a shard, and `shipgen merge` joins them.
    """
    pot = take_spills(n, pot, spills, protons_per_spill)
    from shipgen.generate.shards import Shard
    from shipgen.production.request import Request, carry_out
    from shipgen.provenance import command_line

    if dask is not None and jobs is None:
        # With `--jobs`, which is how it was said before, each of those workers has so many threads.
        workers, jobs = None, workers
    bundle, selection = options.pop("bundle"), take_selection(options)
    request = Request(
        n=n,
        pot=pot,
        bundle=None if bundle is None else str(bundle),
        shard=None if shard is None else Shard.parse(shard),
        selection=selection,
        workers=workers,
        command=command_line(),
        **options,
    )
    if dask is not None:
        if shard is not None:
            raise click.UsageError("--shard is one part, and --dask makes all: give one of them")
        _produce_on(dask, request, shards, jobs)
    elif shards is not None or jobs is not None:
        raise click.UsageError("--shards and --jobs go with --dask")
    else:
        made = carry_out(request, _warn)
        with telling(f"{request.location} is complete"):
            _tell(made)


def _warn(text: str) -> None:
    click.echo(f"shipgen: warning: {text}", err=True)


def _produce_on(where: str, request: Request, shards: int | None, jobs: int | None) -> None:
    """Produce on a Dask cluster and print what was made."""
    from shipgen.production.dask_produce import produce_on

    done = produce_on(where, request, shards=shards, jobs=jobs, warn=_warn)
    with telling(f"{done.path} and the files that it names are complete"):
        _tell_all(done, request)


def _tell_all(done: DaskProduction, request: Request) -> None:
    """Print what was made on a Dask cluster."""
    manifest, plan = done.manifest, done.generator.plan
    click.echo(
        f"{done.path}: {plan.total:,} muons in {len(manifest.files):,} files for {plan.pot:.6g} protons on "
        f"target, sum of weights {manifest.sum_of_weights():.9g}, seed {plan.seed}"
    )
    _tell_counts(manifest.counts(), plan.total)
    made, size = plan.total - done.found, sum(file.size for file in manifest.files)
    click.echo(f"  {done.seconds:.1f} s, {made / done.seconds:,.0f} muons/s, {size / 1e6:.1f} MB")
    if done.found:
        click.echo(f"  {done.found:,} muons were there from an earlier run")
    output = base_name(request.output) if is_remote(request.output) else request.output
    click.echo(f"  `shipgen merge {output} {done.path}` makes one file of them")


def _tell(made: Made) -> None:
    """Print what was made."""
    report, plan, bundle = made.report, made.generator.plan, made.generator.bundle
    first, last = made.locations[0], made.locations[-1]
    where = f"{first}{f' to {base_name(last)}' if len(made.locations) > 1 else ''}"
    if report.found:
        click.echo(f"{where} is complete: {report.muons:,} muons, seed {plan.seed}; nothing was done")
        return
    pot = plan.pot * report.muons / plan.total
    click.echo(
        f"{where}: {report.muons:,} muons for "
        f"{pot:.6g} protons on target, sum of weights {report.weight:.9g}, seed {plan.seed}"
    )
    _tell_counts(report.counts, report.muons)
    new = report.muons - report.kept
    click.echo(
        f"  {report.seconds:.1f} s, {new / report.seconds:,.0f} muons/s, {made.size / 1e6:.1f} MB, "
        f"bundle {bundle.name} ({bundle.label})"
    )
    if report.kept:
        click.echo(f"  {report.kept:,} muons were there from the interrupted run")


def _tell_counts(counts: dict[str, int], muons: int) -> None:
    for name, number in counts.items():
        click.echo(f"  {name:16} {number:14,}  {number / muons:7.2%}")
