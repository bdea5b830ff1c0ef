"""``shipgen validate``: how far generated muons can be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import click

from shipgen.commands.options import BEAM, COUNT, PATH, POSITIVE, SEED, Renamed, telling, workers_option
from shipgen.commands.training.array_options import array_choice, array_options

_FORMS = ("source", "fast", "hard")
_PARTS = {"held-out": ("validation", "test"), "test": ("test",), "train": ("train",), "all": None}


@click.command("validate")
@click.argument("generated", type=PATH)
@click.argument("reference", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="REPORT", help="Folder to make.")
@click.option(
    "--muons", type=COUNT, default=10**6, show_default=True, help="Produced where a bundle is given."
)
@click.option(
    "--cap",
    "limit",
    cls=Renamed,
    old=["--limit"],
    type=COUNT,
    default=200_000,
    show_default=True,
    help="Most muons a category, drawn fairly.",
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of classifiers and draws.")
@click.option(
    "--part",
    type=click.Choice(list(_PARTS)),
    default="held-out",
    show_default=True,
    help="Which part of a prepared sample is the REFERENCE; rates are always those of all of it.",
)
@click.option(
    "--forms", default=",".join(_FORMS), show_default=True, help="Classifiers; none for no classifier."
)
@click.option(
    "--region", "regions", multiple=True, metavar="R", help="Such as 'p > 100, pt > 2'; repeatable."
)
@click.option(
    "--beam", type=BEAM, default="auto", show_default=True, help="Of ROOT files, as for `shipgen prepare`."
)
@click.option("--bundle", type=PATH, help="What GENERATED was produced with, to compare its rates.")
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Probability that two samples of the same distribution get any test that fails.",
)
@workers_option(old=["--cores"], help="Processes; all cores if not given.")
@click.option("--max-auc", type=POSITIVE, help="Exit with 8 when an AUC of the source's form is above.")
@click.option("--max-fast-auc", type=POSITIVE, help="The same for the fast form.")
@click.option("--max-hard-auc", type=POSITIVE, help="The same for the hard form.")
@click.option("--max-chi2", type=POSITIVE, help="The same for chi2/dof of a distribution.")
@click.option("--max-ks", type=POSITIVE, help="The same for a Kolmogorov-Smirnov distance.")
@click.option("--max-rate-pull", type=POSITIVE, help="The same for the pull of a category's rate.")
@click.option(
    "--max-tail", type=POSITIVE, help="The same for a tail's distance of its ratio from 1, less its error."
)
@click.option("--max-failed", type=click.IntRange(0), help="The same for the number of tests that fail.")
@click.option("--pictures/--no-pictures", default=True, help="Whether to draw; tables come anyway.")
@click.option("--ignore-units", is_flag=True, help="Compare samples that seem to be in different units.")
@click.option("--force", is_flag=True, help="Replace an existing report.")
@array_options
def command(
    generated: Path,
    reference: Path,
    output: Path,
    muons: int,
    limit: int,
    seed: int,
    part: str,
    forms: str,
    regions: tuple[str, ...],
    beam: str,
    bundle: Path | None,
    level: float,
    workers: int | None,
    max_failed: int | None,
    unit: str | None,
    frame: str | None,
    columns: str | None,
    *,
    ignore_units: bool,
    pictures: bool,
    force: bool,
    **limits: float | None,
) -> None:
    """Compare GENERATED with REFERENCE muons and write a report.

    Either is a bundle (muons are produced), a prepared sample, a ROOT file of `shipgen produce`,
    `shipgen simulate` or FairShip, or a file of arrays. REPORT gets report.html, report.json and pictures.
    """
    from shipgen.provenance import command_line
    from shipgen_export.validation.validate import validate_paths

    chosen = [form for form in forms.split(",") if form not in {"", "none"}]
    if unknown := [form for form in chosen if form not in _FORMS]:
        raise click.UsageError(
            f"no form {unknown[0]!r} of the classifier: choose from {', '.join(_FORMS)} or none"
        )
    lines = validate_paths(
        generated,
        reference,
        output,
        muons=muons,
        limit=limit,
        seed=seed,
        parts=_PARTS[part],
        forms=chosen,
        regions=regions,
        beam=beam,
        bundle=bundle,
        level=level,
        cores=workers or len(os.sched_getaffinity(0)),
        limits=limits,
        max_failed=max_failed,
        command=command_line(),
        pictures=pictures,
        arrays=array_choice(unit, frame, columns),
        ignore_units=ignore_units,
        force=force,
    )
    # They come before what may be wrong with them, an error.
    for line in lines:
        with telling(f"{output} is complete"):
            click.echo(line)
