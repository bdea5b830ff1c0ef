"""The command line: finds the command, runs it, turns failures into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import NoReturn

import click

from shipgen.errors import ShipgenError

#: Command -> (module, what ``--help`` says of it). Modules load when the command runs.
COMMANDS = {
    "produce": ("shipgen.commands.produce", "Produce muons from a bundle into a ROOT file."),
    "info": ("shipgen.commands.info", "Say what a bundle or a file is and how it was made."),
    "simulate": ("shipgen.commands.simulate", "Simulate a training sample with Pythia 8."),
    "prepare": ("shipgen.commands.prepare", "Prepare files of simulated muons for training."),
    "train": ("shipgen.commands.train", "Train networks on a prepared sample."),
    "export": ("shipgen.commands.export", "Export trained networks to a bundle."),
}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shipgen")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def shipgen(*, debug: bool) -> None:
    """Fast muon source for SHiP: simulate, prepare, train, export, produce.

    Numbers may be written 1e9. `shipgen COMMAND --help` tells a command's options.
    """
    del debug  # read by `main`, before a command can fail


def main() -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code (0 is success)."""
    # A batch system's SIGTERM cleans up like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    debug = "--debug" in arguments or "SHIPGEN_DEBUG" in os.environ
    try:
        code = shipgen.main(arguments, prog_name="shipgen", standalone_mode=False)
    except ShipgenError as error:
        if debug:
            raise
        # Messages quote other libraries, whose own may span lines.
        click.echo(f"shipgen: {' '.join(str(error).split())}", err=True)
        return error.exit_code
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        click.echo(f"shipgen: {error.format_message()}{hint}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        if debug:
            raise
        click.echo("shipgen: interrupted; nothing was left under the output's name", err=True)
        return 130
    return code if isinstance(code, int) else 0
