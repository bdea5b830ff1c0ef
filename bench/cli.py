"""The command ``bench``."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from shipgen.bundle.network import DEVICES
from shipgen.cli import leave, run_command
from shipgen.commands.options import PATH, muons_option, workers_option
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen_bench.measure import Measurement

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
    click.option(
        "--history",
        type=PATH,
        metavar="FILE",
        help="Append them to that file, a line a run; made if missing.",
    ),
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
    history: Path | None,
    **amounts: Any,
) -> None:
    from shipgen.files.compressions import parse_compression
    from shipgen_bench.measure import circumstances
    from shipgen_bench.throughput import open_bundle, run, working_folder

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
    _tell(found, facts, target, history)


def _tell(
    found: Sequence[Measurement], facts: dict[str, Any], target: Path | None, history: Path | None
) -> None:
    """Show what was measured as a table, and keep it."""
    from shipgen.files.outputs import complete_file, write_json
    from shipgen_bench.throughput import keep, record, table

    for line in table(found):
        click.echo(line)
    made = record(found, facts)
    if target is not None:
        with complete_file(target, force=True) as part:
            write_json(part, made)
    if history is not None:
        number = keep(history, made)
        earlier = f"; compare by `bench compare {history}@-2 {history}`" if number > 1 else ""
        click.echo(f"{history}: record {number}{earlier}")


for _name, _text in _HELP.items():
    _command = partial(_benchmark, _name)
    for _option in reversed(_OPTIONS):
        _command = _option(_command)
    bench.command(_name, help=_text)(_command)


@bench.command()
@muons_option(default="1e7", show_default=True, help="Muons of each production.")
@click.option("--bundle", type=PATH, metavar="BUNDLE", help="Networks; the default bundle if not given.")
@click.option("--device", type=click.Choice(DEVICES), default="cuda", show_default=True)
@click.option("--most-workers", type=click.IntRange(1), metavar="N", help="All cores if not given.")
@click.option(
    "--repeat", type=click.IntRange(1), default=1, show_default=True, help="Repetitions after a warm-up."
)
@click.option("--folder", type=PATH, metavar="FOLDER", help="Where test files go and are removed.")
@click.option("--json", "target", type=PATH, metavar="FILE", help="Write the figures there as well.")
@click.option("--history", type=PATH, metavar="FILE", help="Append them to that file, a line a run.")
def device(
    n: int,
    bundle: Path | None,
    device: str,
    most_workers: int | None,
    repeat: int,
    folder: Path | None,
    target: Path | None,
    history: Path | None,
) -> None:
    """Compare the muons of a device with the CPU's; its rates with 1, 2, 4, ... workers.

    With the defaults that takes less than five minutes on a machine of 16 cores.
    """
    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.network import choose_device
    from shipgen_bench.device import counts, differences, stages
    from shipgen_bench.measure import circumstances, measure
    from shipgen_bench.throughput import working_folder

    opened, device = Bundle.open(bundle), choose_device(device)
    facts = {**circumstances(opened), "device": device}
    click.echo(f"{facts['cpu']}, {facts['cores']} cores, device {device}, {facts['date']}")
    facts["differences"] = differences(opened, device)
    for name, apart in facts["differences"].items():
        click.echo(f"{name:16} differs from the CPU by {apart:.2g} of a feature's spread")
    with working_folder(folder) as temporary:
        found = measure(list(stages(opened, device, counts(most_workers), n, temporary)), repeat)
    _tell(found, facts, target, history)


@bench.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
def compare(old: Path, new: Path) -> None:
    """Compare two records: files of --json, or the last ones of --history, or any by HISTORY@N."""
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
