"""The command ``bench``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from shipgen.cli import leave, run_command
from shipgen.commands.options import PATH, muons_option, workers_option
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.files.tree_writer import DEFAULT_COMPRESSION

_HELP = {
    "throughput": "Each stage alone and on all cores at once, all together, and with the ROOT file written.",
    "latent": "Random numbers alone.",
    "infer": "The networks alone.",
    "write": "The writer alone, and uproot's.",
    "read": "Reading a produced file by uproot.",
    "produce": "All stages together, without and with the ROOT file written.",
    "rivals": "The writer against ROOT's, production against the published way (ROOT, TensorFlow).",
}

_OPTIONS = (
    muons_option(default="4e6", show_default=True, help="Muons end to end."),
    click.option("--bundle", type=PATH, metavar="BUNDLE", help="Networks; the default bundle if not given."),
    click.option(
        "--reference",
        type=click.Choice(["student", "dense", "gan"]),
        help="Random networks of a stated size in place of a bundle.",
    ),
    workers_option(help="Threads; all cores if not given."),
    click.option(
        "--repeat", type=click.IntRange(1), default=5, show_default=True, help="Repetitions after a warm-up."
    ),
    click.option(
        "--layout", type=click.Choice(list(OUTPUT_LAYOUTS)), default=MUONBACK.name, show_default=True
    ),
    click.option(
        "--compression", default=DEFAULT_COMPRESSION, show_default=True, metavar="C", help="lz4:1, none, ..."
    ),
    click.option("--folder", type=PATH, metavar="FOLDER", help="Where test files go and are removed."),
    click.option("--json", "target", type=PATH, metavar="FILE", help="Write the figures there as well."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure how fast shipgen is on this machine.

    Stages run in turn, several times; the tables give medians.
    """


def _benchmark(
    name: str,
    *,
    bundle: Path | None,
    reference: str | None,
    repeat: int,
    layout: str,
    compression: str,
    folder: Path | None,
    target: Path | None,
    **amounts: Any,
) -> None:
    from shipgen.files.outputs import complete_file, write_json
    from shipgen.files.tree_writer import parse_compression
    from shipgen_bench.measure import circumstances
    from shipgen_bench.throughput import open_bundle, record, run, table, working_folder

    parse_compression(compression)
    with working_folder(folder) as temporary:
        opened = open_bundle(bundle, reference, temporary)
        facts = {**circumstances(opened), "layout": layout, "compression": compression}
        click.echo(f"{facts['cpu']}, {len(os.sched_getaffinity(0))} cores, {facts['date']}")
        click.echo(f"bundle {opened.name} ({opened.label}), {layout}, {compression}, median of {repeat}")
        found = run(
            name,
            opened,
            temporary,
            repeat=repeat,
            layout=OUTPUT_LAYOUTS[layout],
            compression=compression,
            reference=reference,
            **amounts,
        )
    for line in table(found):
        click.echo(line)
    if target is not None:
        with complete_file(target, force=True) as part:
            write_json(part, record(found, facts))


for _name, _text in _HELP.items():
    _command = partial(_benchmark, _name)
    for _option in reversed(_OPTIONS):
        _command = _option(_command)
    bench.command(_name, help=_text)(_command)


@bench.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def compare(old: Path, new: Path) -> None:
    """Compare two files that --json wrote."""
    from shipgen_bench.throughput import compare as lines

    for line in lines(old, new):
        click.echo(line)


@bench.command()
@click.argument("records", type=PATH, nargs=-1, required=True)
@click.option("--output", "-o", type=PATH, required=True, metavar="PICTURE", help="PNG, PDF or SVG.")
@click.option("--force", is_flag=True, help="Replace it.")
def picture(records: tuple[Path, ...], output: Path, *, force: bool) -> None:
    """Draw where the time goes, from files that `throughput --json` wrote."""
    from shipgen_bench.picture import draw

    draw(records, output, force=force)
    click.echo(f"{output}: {len(records)} records")


def main() -> NoReturn:
    """Run the command line and exit."""
    leave(run_command(bench, "bench", sys.argv[1:]))
