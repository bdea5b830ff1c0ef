"""The command line: finds the command, runs it, turns failures into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

import click

from shipgen import interrupts
from shipgen.errors import ShipgenError

#: Command -> (module, what ``--help`` says of it). Modules load when the command runs.
COMMANDS = {
    "produce": ("shipgen.commands.produce", "Produce muons from a bundle into a ROOT file."),
    "merge": ("shipgen.commands.merge", "Merge the shards of a production, or list them."),
    "condor": ("shipgen.commands.condor", "Write the jobs of a production for HTCondor."),
    "fairship": ("shipgen.commands.fairship", "Run a macro of FairShip with muons of networks."),
    "convert": ("shipgen.commands.convert", "Write a file of muons in another layout."),
    "info": ("shipgen.commands.info", "Say what a bundle or a file is and how it was made."),
    "bundle": ("shipgen.commands.bundle", "List, show, fetch and verify bundles by name."),
    "plot": ("shipgen.commands.training.plot", "Draw the muons of a file in one picture."),
    "validate": ("shipgen.commands.training.validate", "Say how far generated muons can be trusted."),
    "simulate": ("shipgen.commands.training.simulate", "Simulate a training sample with Pythia 8."),
    "prepare": ("shipgen.commands.training.prepare", "Prepare files of simulated muons for training."),
    "train": ("shipgen.commands.training.train", "Train networks on a prepared sample."),
    "tune": ("shipgen.commands.training.tune", "Search for the settings of a model."),
    "latent": ("shipgen.commands.training.latent", "Say what the latents of a bundle's networks do."),
    "enhance": ("shipgen.commands.training.enhance", "Make a bundle of which more muons lie in a region."),
    "export": ("shipgen.commands.training.export", "Export trained networks to a bundle."),
}


#: What is told in one line; all else is a fault of the program and shows its traceback.
_TOLD = (ShipgenError, click.UsageError, KeyboardInterrupt, OSError, MemoryError)

#: Seconds that threads and processes have to end after an interrupt was told.
_MOMENT = 5.0


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
    leave(run(sys.argv[1:]))


def leave(code: int) -> NoReturn:
    """End the program; after an interrupt what is still at work, perhaps for ever, gets a moment for that.

    In another thread than the main one, end that.
    """
    if threading.current_thread() is not threading.main_thread():
        sys.exit(code)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if interrupts.seen():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        last = threading.Timer(_MOMENT, os._exit, (code,))
        last.daemon = True
        last.start()
        # One that came within the code of a text, as dataclasses are made of, makes `python -m` end itself by
        # the signal, whatever the exit code; the next text makes it forget that.
        exec("")  # noqa: S102
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command of ``shipgen``; return its exit code (0 is success)."""
    return run_command(shipgen, "shipgen", arguments)


def run_command(program: click.Command, name: str, arguments: list[str]) -> int:
    """Run `program`, called `name`; turn failures into one line on stderr and an exit code."""
    with interrupts.heeded(name):
        return _run(program, name, arguments)


def _run(program: click.Command, name: str, arguments: list[str]) -> int:
    debug = False
    try:
        # Not by `program.main`, which answers Ctrl-C with an empty line of its own.
        with program.make_context(name, list(arguments)) as context:
            debug = context.params.get("debug", False)
            program.invoke(context)
        interrupts.over()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.exceptions.NoArgsIsHelpError as bare:
        # Help as it is printed when it is asked for.
        click.echo(bare.message)
    except BrokenPipeError:
        # The reader of the output, `head` perhaps, has had enough; nothing can be told to it any more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug or not (isinstance(error, _TOLD) or interrupts.seen()):
            raise
        message, code = _explain(error)
        interrupts.over()
        # Messages quote other libraries, whose own may span lines, and name what damaged files do.
        line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in " ".join(message.split()))
        with suppress(OSError):
            click.echo(f"{name}: {line}", err=True)
        return code
    return 0


def _explain(error: BaseException) -> tuple[str, int]:
    """Return what to tell of an error and the exit code."""
    if interrupts.seen() and not isinstance(error, KeyboardInterrupt):
        # What an interrupt makes of an import, for example.
        error = KeyboardInterrupt()
    if isinstance(error, ShipgenError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return error.format_message() + hint, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted; {str(error) or interrupts.NOTHING_HALF}", interrupts.CODE
    if isinstance(error, MemoryError):
        return f"not enough memory: {str(error) or 'use a larger machine, or fewer of its cores'}", 1
    return str(error), 1
