"""The command ``bench``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from shipgen.cli import run_command
from shipgen.commands.options import COUNT, PATH
from shipgen.writers import DEFAULT_COMPRESSION


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure how fast shipgen is on this machine."""


@bench.command()
@click.option("--n", "-n", type=COUNT, default="2e6", show_default=True, help="Muons end to end.")
@click.option("--bundle", type=PATH, metavar="BUNDLE", help="Networks; the default bundle if not given.")
@click.option("--workers", type=click.IntRange(1), metavar="W", help="Threads; all cores if not given.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Best of so many.")
@click.option(
    "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="lz4:1, none, ..."
)
@click.option("--folder", type=PATH, metavar="FOLDER", help="Where the test file goes and is removed.")
@click.option("--json", "record", type=PATH, metavar="FILE", help="Write the figures there as well.")
def throughput(
    n: int,
    bundle: Path | None,
    workers: int | None,
    repeat: int,
    compression: str,
    folder: Path | None,
    record: Path | None,
) -> None:
    """Muons per second: each stage alone, all together, and with the ROOT file written."""
    from shipgen.bundle import Bundle
    from shipgen.errors import InputError
    from shipgen.files import complete_file, write_json
    from shipgen.writers import parse_compression
    from shipgen_bench.throughput import as_record, circumstances
    from shipgen_bench.throughput import throughput as measure

    parse_compression(compression)
    if folder is not None and not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist: create it or choose another")
    opened = Bundle.open(bundle)
    facts = circumstances(opened)
    click.echo(f"{facts['cpu']}, {len(os.sched_getaffinity(0))} cores, {facts['date']}")
    click.echo(f"bundle {opened.name} ({opened.label}), {compression}, best of {repeat}")
    click.echo(f"{'stage':12}{'threads':>8}{'muons':>12}{'seconds':>10}{'muons/s':>14}")
    records = []
    for item in measure(opened, n=n, workers=workers, repeat=repeat, folder=folder, compression=compression):
        click.echo(f"{item.stage:12}{item.workers:8}{item.muons:12,}{item.seconds:10.3f}{item.rate:14,.0f}")
        records.append(as_record(item))
    if record is not None:
        with complete_file(record, force=True) as part:
            write_json(part, {**facts, "compression": compression, "measurements": records})


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run_command(bench, "bench", sys.argv[1:]))
