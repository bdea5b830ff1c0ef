"""``shipgen train``: networks from a prepared sample, a subcommand a model."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED, Renamed, workers_option
from shipgen.errors import InputError
from shipgen.muons.categories import CATEGORY_NAMES
from shipgen_export.models.kinds import MODELS, Model, model_by_name
from shipgen_export.models.settings import settings
from shipgen_export.models.settings_file import read_settings
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.training.best import STUDENT_STEPS, TEACHER_STEPS, TEACHERS, train_best
from shipgen_export.training.train import DEFAULT_STEPS, EVALUATE_EVERY, PATIENCE, train
from shipgen_export.training.train_variations import add_variations
from shipgen_export.variations.fit import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen_export.models.settings import Setting

#: What --from says for no bundle.
NOTHING = "none"

#: What every model takes; `_settings` adds the model's own.
_COMMON: list[click.Parameter] = [
    click.Argument(["prepared"], type=PATH),
    click.Option(
        ["-o", "--output"], type=PATH, required=True, help="Run folder; one that exists is continued."
    ),
    click.Option(
        ["--category", "categories"],
        multiple=True,
        type=click.Choice(CATEGORY_NAMES),
        help="Train this category; may be repeated. [default: all of the sample]",
    ),
    click.Option(
        ["--steps"],
        type=COUNT,
        help=f"Steps a category shall reach in all. [default: {DEFAULT_STEPS}]",
    ),
    click.Option(
        ["--seed"], type=SEED, default=1, show_default=True, help="Seed of weights, batches and noise."
    ),
    Renamed(
        ["--workers", "threads"],
        old=["--threads"],
        type=click.IntRange(1),
        metavar="W",
        help="CPU threads. [default: all]",
    ),
    click.Option(
        ["--evaluate-every"],
        type=COUNT,
        help="Steps between figures of merit; the best network of each is kept. [default: "
        f"{EVALUATE_EVERY}, or only at the end where the learning rate falls over all steps]",
    ),
    click.Option(
        ["--settings", "settings_file"],
        type=PATH,
        metavar="FILE",
        help="Take settings from this .json or .toml file, such as best.json of `shipgen tune`; options that "
        "are given win.",
    ),
    click.Option(["--pictures/--no-pictures"], default=True, help="Draw pictures at each evaluation."),
    click.Option(["--tensorboard"], is_flag=True, help="Write event files for TensorBoard."),
]


#: What models take whose learning rate does not fall over all steps.
_OPEN_ENDED: list[click.Parameter] = [
    click.Option(["--minutes"], type=POSITIVE, help="Time for this call, split evenly over its categories."),
    click.Option(
        ["--patience"],
        type=click.IntRange(0),
        default=PATIENCE,
        show_default=True,
        help="End a category when no figure of merit improves in so many evaluations; 0 is never.",
    ),
]

#: What students take.
_TEACHERS = click.Option(
    ["--teacher", "teachers"],
    multiple=True,
    type=PATH,
    metavar="RUN",
    help="Run folder of a flow; may be repeated: their mean is learnt.",
)


def _setting_option(field: dataclasses.Field[Any], setting: Setting) -> click.Option:
    """Return the option of one setting; what is not given keeps the setting's own default."""
    names = [*setting.short, f"--{field.name.replace('_', '-')}", field.name]
    if field.default is False:
        return click.Option(names, is_flag=True, default=None, help=setting.help)
    kind: Any = (
        click.Choice(setting.choices)
        if setting.choices
        else {"int": COUNT, "str": str}.get(str(field.type), float)
    )
    # A text that is empty is described by its help.
    shown = "" if field.default in {None, ""} else f" [default: {field.default}]"
    return click.Option(names, type=kind, help=setting.help + shown)


class _ModelCommand(click.Command):
    """Shows the model's settings under a heading of their own."""

    def __init__(self, name: str, model: Model) -> None:
        known = settings(model.settings)
        # The steps are an option of all models.
        own = [field for field in dataclasses.fields(model.settings) if field.name != "steps"]
        self._settings = [_setting_option(field, known[field.name]) for field in own]
        more = ([] if model.planned else _OPEN_ENDED) + [_TEACHERS] * model.taught
        names = {field.name for field in own}
        super().__init__(
            name,
            params=[*_COMMON, *more, *self._settings],
            callback=lambda **options: _train(name, names, **options),
            help=f"Train {model.help} on the prepared sample PREPARED.\n\n{_RESUME}",
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own = [record for option in self._settings if (record := option.get_help_record(ctx))]
        others = [
            option
            for option in self.get_params(ctx)
            if isinstance(option, click.Option) and option not in self._settings
        ]
        with formatter.section("Options"):
            formatter.write_dl([record for option in others if (record := option.get_help_record(ctx))])
        with formatter.section("Settings, fixed for a run folder"):
            formatter.write_dl(own)


_RESUME = (
    "A run that was interrupted goes on when the same command is run again. `shipgen export` makes a bundle "
    "of the run. On two cores, two commands with --workers 1 and different categories may share a run folder."
)


class _ModelGroup(click.Group):
    """A subcommand a model."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*MODELS, *(str(command.name) for command in _WHOLE)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if own := next((command for command in _WHOLE if command.name == cmd_name), None):
            return own
        if cmd_name not in MODELS:
            raise InputError(f"no model {cmd_name!r}: choose from {', '.join(self.list_commands(ctx))}")
        return _ModelCommand(cmd_name, MODELS[cmd_name])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Models"):
            whole = [(str(command.name), command.short_help or "") for command in _WHOLE]
            lines = [*whole, *((n, m.help) for n, m in MODELS.items())]
            formatter.write_dl(lines)


@click.group("train", cls=_ModelGroup, subcommand_metavar="MODEL PREPARED -o RUN [OPTIONS]")
def command() -> None:
    """Train MODEL on the prepared sample PREPARED; `shipgen train MODEL --help` lists a model's settings."""


def _train(
    model: str,
    names: set[str],
    *,
    prepared: Path,
    output: Path,
    steps: int | None,
    minutes: float | None = None,
    settings_file: Path | None = None,
    **options: Any,
) -> None:
    """Train and print what each category has reached."""
    if steps is not None and minutes is not None:
        raise InputError("--steps and --minutes exclude each other: give one")
    kind = model_by_name(model)
    given = {name: options.pop(name) for name in names}
    chosen = {} if settings_file is None else read_settings(settings_file, model, kind.settings)
    chosen |= {name: value for name, value in given.items() if value is not None}
    sample = PreparedSample.open(prepared)
    for trained in train(model, sample, output, steps=steps, minutes=minutes, settings=chosen, **options):
        for line in (trained.summary(), *trained.notes):
            click.echo(line)
    chosen_ones = "".join(f" --category {name}" for name in dict.fromkeys(options["categories"]))
    pot = " --pot N" if sample.index["pot"] is None else ""
    after = (
        f"`shipgen train distill {prepared} --teacher {output} -o RUN{chosen_ones}` teaches a small network "
        "what it makes"
        if kind.teaches
        else f"`shipgen export {output} -o BUNDLE{pot}` makes a bundle of it"
    )
    click.echo(f"run folder {output}: {after}")


def _whole_way(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a training that leaves a bundle."""
    options = [
        click.argument("prepared", type=PATH),
        click.option(
            "-o",
            "--output",
            type=PATH,
            required=True,
            help="Folder of runs and bundle; continued if it exists.",
        ),
        click.option(
            "--category",
            "categories",
            multiple=True,
            type=click.Choice(CATEGORY_NAMES),
            help="Train this category; may be repeated. The bundle makes no others. [default: all of the "
            "sample]",
        ),
        click.option("--seed", type=SEED, default=1, show_default=True, help="Decides everything random."),
        workers_option(old=["--cores"], help="Networks that are trained at once. [default: all cores]"),
        click.option(
            "--teachers",
            type=click.IntRange(2),
            default=TEACHERS,
            show_default=True,
            help="Flows a category.",
        ),
        click.option(
            "--teacher-steps",
            type=COUNT,
            default=TEACHER_STEPS,
            show_default=True,
            help="Steps of each flow, at most: fewer for small samples.",
        ),
        click.option(
            "--student-steps",
            type=COUNT,
            default=STUDENT_STEPS,
            show_default=True,
            help="Steps of each student.",
        ),
        click.option("--pot", type=POSITIVE, help="Protons on target, for samples that do not say it."),
        click.option("--name", help="What to call the bundle. [default: the folder's name]"),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "best", short_help="flows as teachers, small networks that learn from them, a bundle: all of it"
)
@_whole_way
@click.option(
    "--from",
    "origin",
    default="default",
    show_default=True,
    metavar="BUNDLE",
    help="Name or folder of the bundle that categories with few protons start from where they can; none: "
    "all are trained from nothing.",
)
def best(*, origin: str, **options: Any) -> None:
    """Train the four networks of the prepared sample PREPARED the project's own way, and export them.

    For each category, flows learn the density of the muons by maximum likelihood in coordinates without the
    sample's symmetries: one from the whole sample, the others from bootstrap samples of its protons. A small
    network learns to make in one pass what they make on average; their spread is part of its uncertainty.
    The bundle is OUTPUT/bundle. An interrupted run goes on when the same command is run again.

    A category with fewer than 10,000 effective protons or 100,000 effective muons starts from another bundle,
    where it can: flows learn what that makes and go on from there on the sample. So few protons tell worse
    than a bundle of another target how the coordinates depend on each other.
    """
    from shipgen.bundle.bundle import Bundle

    adapted = None if origin == NOTHING else Bundle.open(Path(origin))
    _train_whole(**options, adapted=adapted, few=True)


@click.command("adapt", short_help="a bundle of another production as the start, for samples that are small")
@click.option(
    "--from",
    "origin",
    type=PATH,
    required=True,
    metavar="BUNDLE",
    help="Bundle to start from, or default.",
)
@_whole_way
def adapt(*, origin: Path, **options: Any) -> None:
    """Train networks for the prepared sample PREPARED that start from a BUNDLE of another production.

    Flows first learn what the bundle makes, and go on from there on the sample: as long as muons of other
    protons become likelier. Single coordinates are means of the bundle's, corrected by the sample, and the
    sample's own, as the protons tell them apart. All else is as for `shipgen train best`, which does the same
    for categories with few protons alone, and from the default bundle if not told another.
    """
    from shipgen.bundle.bundle import Bundle

    if str(origin) == NOTHING:
        raise InputError("--from none starts from nothing: that is `shipgen train best --from none`")
    _train_whole(**options, adapted=Bundle.open(origin))


def _train_whole(*, prepared: Path, output: Path, workers: int | None, **options: Any) -> None:
    """Train, and print what each network has reached and where the bundle is."""
    from shipgen.bundle.bundle import Bundle

    for found in train_best(prepared, output, cores=workers or len(os.sched_getaffinity(0)), **options):
        if isinstance(found, Bundle):
            click.echo(f"bundle {found.path}: `shipgen produce --bundle {found.path} -n 1e6 -o muons.root`")
        else:
            click.echo(found)


@click.command(
    "variations", short_help="small networks of the variations of a sample, for an existing bundle"
)
@click.argument("prepared", type=PATH)
@click.option("--bundle", type=PATH, metavar="BUNDLE", help="To copy. [default: the default bundle]")
@click.option("-o", "--output", type=PATH, required=True, help="Bundle to write.")
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    type=PATH,
    metavar="RUN",
    help="Run folder of a flow of this sample, as of `train best`; with two or more their spread is a "
    "variation as well.",
)
@click.option("--seed", type=SEED, default=1, show_default=True, help="Decides everything random.")
@click.option("--steps", type=COUNT, default=STEPS, show_default=True, help="Steps of each network.")
@workers_option(help="Networks that are trained at once. [default: all cores]")
@click.option("--name", help="What to call the bundle. [default: the name of OUTPUT]")
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
def variations(
    *, prepared: Path, bundle: Path | None, output: Path, workers: int | None, **options: Any
) -> None:
    """Add the variations of the prepared sample PREPARED, its columns vary_NAME, to a copy of a bundle.

    A small network a category gives the mean factor of each variation at a muon's features, for `shipgen
    produce --variations`. `train best` makes them by itself; this is for bundles of before, for variations of
    another sample of the same target and cut, and for columns of one's own.
    """
    from shipgen.bundle.bundle import Bundle

    cores = workers or len(os.sched_getaffinity(0))
    for found in add_variations(prepared, bundle, output, cores=cores, **options):
        if isinstance(found, Bundle):
            click.echo(f"bundle {found.path}: `shipgen produce --bundle {found.path} --variations ...`")
        else:
            click.echo(found)


#: What is no single model.
_WHOLE: tuple[click.Command, ...] = (best, adapt, variations)
