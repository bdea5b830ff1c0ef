"""``shipgen fairship run``: a macro of FairShip with muons of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shipgen.commands.options import COUNT, PATH, POSITIVE, SEED
from shipgen.commands.selection_options import selection_options, take_selection


@click.group("fairship")
def command() -> None:
    """Run FairShip with muons of networks."""


@command.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--bundle", type=PATH, help="The networks. [default: the default bundle]")
@click.option("--muons-per-event", type=COUNT, metavar="K", help="Muons of an event. [default: 1]")
@click.option("--pot-per-event", type=POSITIVE, metavar="P", help="Protons on target of an event.")
@click.option(
    "--target-z",
    type=float,
    metavar="CM",
    help="Where the target starts. [default: what the macro or the geometry says]",
)
@click.option("--beside", is_flag=True, help="Add the muons to those of the macro's own generators.")
@click.option("--seed", type=SEED, help="With --beside; else the macro's.")
@click.option("--energy-cut", type=POSITIVE, metavar="GEV", help="With --beside; else the macro's.")
@click.option("--variation", metavar="NAME", help="Weights are those of this variation of the bundle.")
@selection_options
@click.argument("macro", type=PATH)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- [ARGS]")
def run(macro: Path, arguments: tuple[str, ...], *, beside: bool, **options: Any) -> None:
    """Run MACRO of FairShip, unchanged, with its ARGS: networks in place of its FixedTargetGenerator.

    An event is then a muon, not a proton. `docs/howto/fairship.md` says what to type for which version.
    """
    from shipgen.fairship.runner import MuonSettings, run_macro
    from shipgen.generate.event_options import EventOptions

    own = {"seed": None, "energy_cut": None, "smear_beam": 0.0, "paint_beam": 0.0}
    if not beside and (given := [name for name, none in own.items() if options[name] != none]):
        name = f"--{given[0].replace('_', '-')}"
        raise click.UsageError(f"{name} goes with --beside: without it the macro's own arguments say that")
    bundle, target_z, selection = options.pop("bundle"), options.pop("target_z"), take_selection(options)
    settings = MuonSettings(bundle, EventOptions(**options, selection=selection), target_z)
    run_macro(macro, arguments[1:] if arguments[:1] == ("--",) else arguments, settings, beside=beside)
