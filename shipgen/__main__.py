"""``python -m shipgen`` is ``shipgen``: the program, which heeds signals before it loads anything else."""

from __future__ import annotations

# The compiled half of `signal`: the other one takes milliseconds, in which Ctrl-C makes Python's traceback.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def early(*_: object) -> None:
    """Say that the program was interrupted, and end it; once, and not where it has ended by itself."""
    if getattr(sys.modules.get("shipgen.interrupts"), "ended", bool)():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.write(2, b"shipgen: interrupted; nothing half-made was left under the name of the output\n")
    os._exit(130)


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, early)
    for stream in range(3):
        # What is opened next must not become the standard output of those who find none.
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    from shipgen.cli import main as run

    run()


if __name__ == "__main__":
    main()
