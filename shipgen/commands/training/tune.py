"""``shipgen tune``: a search for the settings of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipgen.commands.options import COUNT, PATH, SEED, workers_option
from shipgen.muons.categories import CATEGORY_NAMES

#: Not taken from the training side, which `--help` must not load.
_MODELS = ("gan", "vae", "flow", "distill")


@click.command("tune")
@click.argument("model", type=click.Choice(_MODELS))
@click.argument("prepared", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder to make; one that exists goes on.")
@click.option(
    "--trials", type=COUNT, default=50, show_default=True, help="Trials that come to an end, in all."
)
@click.option(
    "--category",
    type=click.Choice(CATEGORY_NAMES),
    default="muminus_offaxis",
    show_default=True,
    help="The one that trials are trained on.",
)
@click.option("--steps", type=COUNT, default=5000, show_default=True, help="Steps of each trial.")
@click.option(
    "--evaluate-every",
    type=COUNT,
    help="Steps between figures of merit, each of which may end a trial. [default: a tenth of the steps]",
)
@click.option(
    "--measure",
    type=click.Choice(["auc", "chi2", "overlap"]),
    default="auc",
    show_default=True,
    help="What is made better, on validation muons.",
)
@click.option(
    "--pruner",
    type=click.Choice(["median", "halving", "none"]),
    default="median",
    show_default=True,
    help="What ends trials early: a value above the median of those before at that step, or Optuna's "
    "successive halving.",
)
@click.option(
    "--space",
    type=PATH,
    metavar="FILE",
    help="What to try, .toml or .json: a setting's name with {low, high, log}, {choices}, or one value.",
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of all trainings and of the search.")
@workers_option(
    old=["--processes", "--jobs"], help="Trials at once; with --dask workers to start. [default: 1]"
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads of each worker."
)
@click.option("--dask", metavar="WHERE", help="Trials on a Dask cluster: local, htcondor, slurm, an address.")
@click.option("--storage", metavar="URL", help="Database of the search. [default: OUTPUT/study.db, SQLite]")
@click.option("--study", help="Its name in the database. [default: the folder's name]")
@click.option(
    "--teacher", "teachers", multiple=True, type=PATH, metavar="RUN", help="Of distill, as for train."
)
def command(model: str, prepared: Path, output: Path, workers: int | None, **options: Any) -> None:
    """Search for the settings of MODEL that make the best muons of the prepared sample PREPARED.

    Optuna chooses, trials whose figure of merit falls behind are ended early, and OUTPUT gets a table of all
    trials, pictures and best.json, which `shipgen train MODEL --settings` takes. A search that was
    interrupted goes on when the same command is run again, with more --trials as well.
    """
    from shipgen_export.tuning.results import summary
    from shipgen_export.tuning.tune import tune

    # On a Dask cluster as many trials run as it has workers.
    how = {"processes": workers or 1} if options["dask"] is None else {"jobs": workers}
    found = tune(model, prepared, output, **how, **options)
    for line in summary(found.table):
        click.echo(line)
    if found.best is None:
        click.echo(f"{output}: no trial is complete, so none is best: more --trials go on")
        return
    click.echo(
        f"{output}: best is trial {found.best.number}; `shipgen train {model} {prepared} -o RUN --settings "
        f"{output / 'best.json'}` trains with it"
    )
