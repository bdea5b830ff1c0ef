"""``shipgen produce``: muons from a bundle into a ROOT file."""

from __future__ import annotations

from pathlib import Path

import click

from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED
from shipgen.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.writers import DEFAULT_COMPRESSION


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
@click.option("--workers", type=click.IntRange(1), metavar="W", help="Threads; all cores if not given.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    n: int | None,
    pot: float | None,
    output: Path,
    bundle: Path | None,
    seed: int | None,
    layout: str,
    compression: str,
    workers: int | None,
    *,
    exact: bool,
    force: bool,
) -> None:
    """Produce muons into a ROOT file that FairShip reads.

    Say how much by --n or --pot. The muons depend on bundle, seed and amount alone.
    """
    if (n is None) == (pot is None):
        raise click.UsageError("say how much: either --n N (muons) or --pot P (protons on target)")
    from shipgen.files import check_output
    from shipgen.generator import MuonGenerator
    from shipgen.produce import check_space, produce
    from shipgen.provenance import command_line
    from shipgen.writers import parse_compression

    check_output(output, force=force)
    parse_compression(compression)
    generator = MuonGenerator(bundle, n=n, pot=pot, seed=seed, exact=exact, workers=workers)
    if warning := check_space(output, generator.plan.expected):
        click.echo(f"shipgen: warning: {warning}", err=True)
    report = produce(
        generator,
        output,
        layout=OUTPUT_LAYOUTS[layout],
        compression=compression,
        force=force,
        command=command_line(),
    )
    plan = generator.plan
    click.echo(
        f"{output}: {report.muons:,} muons for {plan.pot:.6g} protons on target, sum of weights "
        f"{report.weight:.9g}, seed {plan.seed}"
    )
    for name, count in report.counts.items():
        click.echo(f"  {name:16} {count:14,}  {count / report.muons:7.2%}")
    size = output.stat().st_size
    click.echo(
        f"  {report.seconds:.1f} s, {report.muons / report.seconds:,.0f} muons/s, {size / 1e6:.1f} MB, "
        f"bundle {generator.bundle.name} ({generator.bundle.label})"
    )
