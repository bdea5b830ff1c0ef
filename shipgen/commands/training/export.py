"""``shipgen export``: a trained run, or a published Keras 2 generator -> a model bundle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from shipgen.commands.options import PATH, POSITIVE
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORY_NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

#: Not taken from the training side, which `--help` must not load.
_NETWORKS = ("best_auc", "best_chi2", "best_overlap", "last")


@click.command("export")
@click.argument("run", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, required=True, metavar="BUNDLE", help="Folder to make.")
@click.option(
    "--network",
    type=click.Choice(_NETWORKS),
    help="Which networks of RUN: best on validation muons by a measure, or at the end of training. "
    "[default: best_auc, or last where training was not evaluated]",
)
@click.option(
    "--pot",
    type=POSITIVE,
    help="Protons on target that the sum of the training sample's weights stands for, where it does not say.",
)
@click.option("--keras2", type=PATH, metavar="FILE.h5", help="Import this Keras 2 generator instead of RUN.")
@click.option(
    "--ranges",
    type=PATH,
    metavar="RANGES",
    help="What its features were normalised by: a prepared sample, or a JSON file "
    '{"features": {"z": [MIN, MAX], "px": ..., "py": ..., "pz": ...}} in cm and GeV; may also give "span" '
    '[default: 0.97] and "target_start" [default: -7084.5]. With x and y also "broadened": {"x": {"mean": M, '
    '"range": [MIN, MAX]}, "y": ...}.',
)
@click.option("--category", type=click.Choice(CATEGORY_NAMES), help="Which muons it makes.")
@click.option(
    "--base",
    type=PATH,
    metavar="BUNDLE",
    help="Bundle that the other networks come from; with --keras2 all rates and the energy cut as well. "
    "[default: none for RUN, pythia2018 for --keras2]",
)
@click.option("--name", help="What to call the bundle. [default: the name of BUNDLE]")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def command(
    run: Path | None,
    output: Path,
    network: str | None,
    pot: float | None,
    keras2: Path | None,
    ranges: Path | None,
    category: str | None,
    base: Path | None,
    name: str | None,
    *,
    force: bool,
) -> None:
    """Export the networks of RUN, a folder of `shipgen train`, as a bundle for `shipgen produce`.

    The bundle makes no muons of categories that were not trained. With --base, RUN's networks take the place
    of those of the same categories in a copy of that bundle, with the rates of RUN's sample.

    With --keras2, --ranges and --category a published generator takes the place of one network in a copy of
    a bundle. Every network is compared with its exported graph before anything is written.
    """
    if keras2 is None:
        if run is None or ranges or category:
            raise InputError(
                "give RUN, perhaps with --base, or --keras2 FILE.h5 with --ranges and --category"
            )
        from shipgen_export.training.export import export
        from shipgen_export.training.export_into import export_into

        make = export if base is None else partial(export_into, base=base)
        _show(make(run, output, network=network, pot=pot, name=name, force=force))
        return
    if run is not None or network or pot or ranges is None or category is None:
        raise InputError("--keras2 takes --ranges and --category, and neither RUN, --network nor --pot")
    from shipgen_export.graphs.published import export_keras2

    _show(export_keras2(keras2, ranges, output, category=category, base=base, name=name, force=force))


def _show(bundle: Bundle) -> None:
    """Print how well graphs and networks agree, and the bundle."""
    from shipgen.describe.describe import describe_bundle

    for entry in bundle.entries:
        agreement = entry.details.get("agreement")
        if agreement:
            worst = max(*agreement["keras"].values(), *agreement["numpy"].values())
            click.echo(
                f"{entry.category.name}: graph and network differ by {worst:.1e} of a feature's range at most"
            )
    for line in describe_bundle(bundle):
        click.echo(line)
