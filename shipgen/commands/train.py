"""``shipgen train``: networks from a prepared sample, a subcommand a model."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from shipgen.categories import CATEGORY_NAMES
from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED
from shipgen.errors import InputError
from shipgen_export.models.settings import settings
from shipgen_export.sample import PreparedSample
from shipgen_export.train import DEFAULT_STEPS, EVALUATE_EVERY, MODELS, PATIENCE, model_by_name, train

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.models.settings import Config, Setting

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
        ["--steps"], type=COUNT, help=f"Steps a category shall reach in all. [default: {DEFAULT_STEPS}]"
    ),
    click.Option(["--minutes"], type=POSITIVE, help="Time for this call, split evenly over its categories."),
    click.Option(
        ["--seed"], type=SEED, default=1, show_default=True, help="Seed of weights, batches and noise."
    ),
    click.Option(["--threads"], type=click.IntRange(1), help="CPU threads. [default: all]"),
    click.Option(
        ["--evaluate-every"],
        type=COUNT,
        default=EVALUATE_EVERY,
        show_default=True,
        help="Steps between figures of merit; the best network of each is kept.",
    ),
    click.Option(
        ["--patience"],
        type=click.IntRange(0),
        default=PATIENCE,
        show_default=True,
        help="End a category when no figure of merit improves in so many evaluations; 0 is never.",
    ),
    click.Option(["--pictures/--no-pictures"], default=True, help="Draw pictures at each evaluation."),
    click.Option(["--tensorboard"], is_flag=True, help="Write event files for TensorBoard."),
]


def _setting_option(field: dataclasses.Field[Any], setting: Setting) -> click.Option:
    """Return the option of one setting; what is not given keeps the setting's own default."""
    names = [*setting.short, f"--{field.name.replace('_', '-')}", field.name]
    if field.default is False:
        return click.Option(names, is_flag=True, default=None, help=setting.help)
    kind: Any = (
        click.Choice(setting.choices) if setting.choices else {"int": COUNT}.get(str(field.type), float)
    )
    shown = "" if field.default is None else f" [default: {field.default}]"
    return click.Option(names, type=kind, help=setting.help + shown)


class _ModelCommand(click.Command):
    """Shows the model's settings under a heading of their own."""

    def __init__(self, model: str, text: str, config: type[Config]) -> None:
        known = settings(config)
        self._settings = [_setting_option(field, known[field.name]) for field in dataclasses.fields(config)]
        super().__init__(
            model,
            params=[*_COMMON, *self._settings],
            callback=lambda **options: _train(model, set(known), **options),
            help=f"Train {text} on the prepared sample PREPARED.\n\n{_RESUME}",
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
    "of the run. On two cores, two commands with --threads 1 and different categories may share a run folder."
)


class _ModelGroup(click.Group):
    """A subcommand a model."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(MODELS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
        model = model_by_name(cmd_name)
        return _ModelCommand(cmd_name, model.help, model.settings)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Models"):
            formatter.write_dl([(name, model.help) for name, model in MODELS.items()])


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
    minutes: float | None,
    **options: Any,
) -> None:
    """Train and print what each category has reached."""
    if steps is not None and minutes is not None:
        raise InputError("--steps and --minutes exclude each other: give one")
    given = {name: options.pop(name) for name in names}
    chosen = {name: value for name, value in given.items() if value is not None}
    sample = PreparedSample.open(prepared)
    for trained in train(model, sample, output, steps=steps, minutes=minutes, settings=chosen, **options):
        click.echo(trained.summary())
    click.echo(f"run folder {output}: `shipgen export {output} -o BUNDLE` makes a bundle of it")
