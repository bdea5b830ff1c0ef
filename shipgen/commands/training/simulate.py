"""``shipgen simulate``: a training sample from Pythia 8."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED, telling, workers_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen_export.simulation.muon_counts import WeightSums
    from shipgen_export.simulation.simulate import SimulationReport


@click.command("simulate")
@click.option("-o", "--output", type=PATH, required=True, metavar="SAMPLE.root", help="The file to write.")
@click.option("--protons", type=COUNT, metavar="N", help="Protons on target to simulate.")
@click.option("--muons", type=COUNT, metavar="N", help="Simulate until there are so many weighted muons.")
@click.option("--seed", type=SEED, metavar="S", help="Drawn anew, and recorded, if not given.")
@workers_option(
    old=["--cores", "--jobs"], help="Processes, or with --dask workers to start; all cores if not given."
)
@click.option("--dask", metavar="WHERE", help="On a Dask cluster: local, htcondor, slurm, or its address.")
@click.option("--pmin", type=POSITIVE, default=10.0, show_default=True, metavar="GEV", help="Momentum cut.")
@click.option(
    "--target",
    default="ship2025",
    show_default=True,
    metavar="TARGET",
    help="ship2018, ship2025, ship2026, or a file of slabs.",
)
@click.option(
    "--hadrons",
    type=click.Choice(["data", "pythia"]),
    default="data",
    show_default=True,
    help="Pions and kaons as measured, or as Pythia has them.",
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    output: Path,
    protons: int | None,
    muons: int | None,
    seed: int | None,
    workers: int | None,
    dask: str | None,
    pmin: float,
    target: str,
    hadrons: str,
    *,
    force: bool,
) -> None:
    """Simulate a training sample: protons on SHiP's target with Pythia 8, muons with weights.

    Say how much by --protons or --muons. The muons depend on seed, amount, cut and target alone. A run that
    was interrupted goes on when the same command is run again. It is not the experiment's simulation: see
    docs/explanation/simulation.md and the provenance in the file.
    """
    if (protons is None) == (muons is None):
        raise click.UsageError("say how much: either --protons N or --muons N")
    from shipgen.provenance import command_line
    from shipgen_export.simulation.simulate import simulate

    cores = workers or len(os.sched_getaffinity(0))
    report = simulate(
        output,
        protons=protons,
        muons=muons,
        seed=seed,
        cores=cores,
        dask=dask,
        jobs=None if dask is None else workers,
        momentum_cut=pmin,
        target=target,
        hadrons=hadrons,
        force=force,
        command=command_line(),
    )
    with telling(f"{output} is complete"):
        for line in _table(output, report, cores if dask is None else None):
            click.echo(line)


def _table(output: Path, report: SimulationReport, cores: int | None) -> Iterator[str]:
    """Yield the figures of a sample."""
    total = report.tally.all
    yield f"{output}: {total.muons:,} muons of {report.protons:,} protons on target, seed {report.seed}"
    yield f"  {total.weight:.4e} muons per proton, effective size {total.effective:,.0f}"
    groups: list[tuple[str, dict[str, WeightSums]]] = [
        ("category", report.tally.categories),
        ("parent", report.tally.parents),
    ]
    for title, group in groups:
        yield f"  {title:16} {'muons':>12} {'weight':>8} {'effective':>12}"
        for name, sums in sorted(group.items(), key=lambda item: -item[1].weight):
            yield f"  {name:16} {sums.muons:12,} {sums.weight / total.weight:8.3%} {sums.effective:12,.0f}"
    if report.found:
        yield f"  {report.found:,} protons taken from an interrupted run, {report.seconds:.0f} s for the rest"
        return
    if cores is None:
        yield f"  {report.seconds:.0f} s on a Dask cluster"
        return
    # Each block is made by one process.
    used = min(cores, report.blocks)
    rate = total.muons / report.seconds / used
    yield f"  {report.seconds:.0f} s on {used} core{'s'[: used > 1]}, {rate:,.0f} muons/s a core"
