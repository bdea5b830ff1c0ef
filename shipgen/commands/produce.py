"""``shipgen produce``: muons from a bundle into a ROOT file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED
from shipgen.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.writers import DEFAULT_COMPRESSION

if TYPE_CHECKING:
    from shipgen.generator import MuonGenerator
    from shipgen.produce import Report


@click.command("produce")
@click.option("--n", "-n", type=COUNT, metavar="N", help="Expected number of muons.")
@click.option("--pot", type=POSITIVE, metavar="P", help="Protons on target to produce muons for.")
@click.option("-o", "--output", type=PATH, required=True, metavar="OUT.root", help="The file to write.")
@click.option("--bundle", type=PATH, metavar="BUNDLE", help="Networks; the default bundle if not given.")
@click.option("--seed", type=SEED, metavar="S", help="Drawn anew, and recorded, if not given.")
@click.option("--exact", is_flag=True, help="Exactly the expected number, not a Poisson number around it.")
@click.option("--layout", type=click.Choice(list(OUTPUT_LAYOUTS)), default=MUONBACK.name, show_default=True)
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="lz4:1, none, ..."
)
@click.option("--max-per-file", type=COUNT, metavar="M", help="Split into OUT_000.root, ... of M muons.")
@click.option("--workers", type=click.IntRange(1), metavar="W", help="Threads; all cores if not given.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--resume", is_flag=True, help="Go on where the same command was interrupted, if it was.")
@click.option("--force", is_flag=True, help="Replace existing files; drop what an interrupted run left.")
def command(
    n: int | None,
    pot: float | None,
    output: Path,
    bundle: Path | None,
    seed: int | None,
    layout: str,
    compression: str,
    max_per_file: int | None,
    workers: int | None,
    device: str,
    *,
    exact: bool,
    resume: bool,
    force: bool,
) -> None:
    """Produce muons into a ROOT file that FairShip reads.

    Say how much by --n or --pot. The muons depend on bundle, seed and amount alone.
    """
    if (n is None) == (pot is None):
        raise click.UsageError("say how much: either --n N (muons) or --pot P (protons on target)")
    from shipgen.checks import check_request, check_space, earlier_seed
    from shipgen.generator import MuonGenerator
    from shipgen.produce import find_complete, produce
    from shipgen.provenance import command_line

    chosen = OUTPUT_LAYOUTS[layout]
    check_request(output, compression, max_per_file, force=force, resume=resume)
    if resume and seed is None:
        seed = earlier_seed(output, split=max_per_file is not None)
    generator = MuonGenerator(bundle, n=n, pot=pot, seed=seed, exact=exact, workers=workers, device=device)
    if resume and not force and (report := find_complete(generator, output, chosen, max_per_file)):
        _tell(report, generator)
        return
    if warning := check_space(output, generator.plan.expected, chosen, compression, resume=resume):
        click.echo(f"shipgen: warning: {warning}", err=True)
    report = produce(
        generator,
        output,
        layout=chosen,
        compression=compression,
        max_per_file=max_per_file,
        force=force,
        resume=resume,
        command=command_line(),
    )
    _tell(report, generator)


def _tell(report: Report, generator: MuonGenerator) -> None:
    """Print what was made."""
    plan, bundle, made = generator.plan, generator.bundle, report.muons - report.kept
    first, count = report.files[0], len(report.files)
    where = f"{first}{f' to {report.files[-1].name}' if count > 1 else ''}"
    if report.found:
        click.echo(f"{where} is complete: {report.muons:,} muons, seed {plan.seed}; nothing was done")
        return
    click.echo(
        f"{where}: {report.muons:,} muons for "
        f"{plan.pot:.6g} protons on target, sum of weights {report.weight:.9g}, seed {plan.seed}"
    )
    for name, number in report.counts.items():
        click.echo(f"  {name:16} {number:14,}  {number / report.muons:7.2%}")
    size = sum(file.stat().st_size for file in report.files if file.exists())
    click.echo(
        f"  {report.seconds:.1f} s, {made / report.seconds:,.0f} muons/s, {size / 1e6:.1f} MB, "
        f"bundle {bundle.name} ({bundle.label})"
    )
    if report.kept:
        click.echo(f"  {report.kept:,} muons were there from the interrupted run")
