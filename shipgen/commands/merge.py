"""``shipgen merge``: the files of a production into one, or into a list of them."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shipgen.commands.options import COUNT, PATH, telling
from shipgen.files.rootfile import is_remote

if TYPE_CHECKING:
    from shipgen.files.rootfile import Location
    from shipgen.production.manifest import Manifest


def _expand(name: str) -> list[Location]:
    """Return what a name stands for: itself, or the files that match it where it is a quoted pattern."""
    if is_remote(name):
        return [name]
    if not has_magic(name) or Path(name).exists():
        return [Path(name)]
    from shipgen.files.inputs import expand

    return expand([Path(name)])


@click.command("merge")
@click.argument("output", type=PATH, metavar="OUT")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--list",
    "as_list",
    is_flag=True,
    help="Write no muons but which files hold them, in order: OUT.json is a manifest with hashes, counts, "
    "weights and POT, and a specification for RDataFrame; OUT.txt has a path a line, for TChain or "
    "`shipgen prepare`.",
)
@click.option(
    "--per-job",
    type=COUNT,
    metavar="N",
    help="With --list OUT.txt: a job of N muons a line, FILE FIRST NUMBER, for `-f -i -n` of FairShip.",
)
@click.option("--check", is_flag=True, help="With --list: read all files and compare their hashes.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
def command(
    output: Path,
    files: tuple[str, ...],
    *,
    as_list: bool,
    per_job: int | None,
    check: bool,
    force: bool,
) -> None:
    """Merge the FILEs of a production, shards or the files of --max-per-file, into OUT.

    FILE is a ROOT file, its root:// address, a quoted glob, or a manifest. All of the production has to be
    there, each part once and whole; else what is wrong is said and nothing is made. The muons and their order
    are those of a run that was not split.
    """
    from shipgen.production.merge import merge, write_list
    from shipgen.provenance import command_line

    if check and not as_list:
        raise click.UsageError("--check goes with --list: hashes are always compared where muons are copied")
    if per_job and not as_list:
        raise click.UsageError("--per-job goes with --list")
    locations = [location for name in files for location in _expand(name)]
    if as_list:
        manifest = write_list(output, locations, per_job=per_job, check=check, force=force)
    else:
        manifest = merge(output, locations, force=force, command=command_line())
    what = "lists" if as_list else "has"
    with telling(f"{output} is complete"):
        _tell(output, what, manifest)


def _tell(output: Path, what: str, manifest: Manifest) -> None:
    """Print what was merged or listed."""
    click.echo(
        f"{output}: {what} {manifest.plan['muons']:,} muons of {len(manifest.files):,} files for "
        f"{manifest.plan['pot']:.6g} protons on target, sum of weights {manifest.sum_of_weights():.9g}"
    )
    for name, number in manifest.counts().items():
        click.echo(f"  {name:16} {number:14,}  {number / manifest.plan['muons']:7.2%}")
