"""The frame of all fuzzers: what one is, commands that may hang or crash, and runs of many trials."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import numpy as np

from shipgen.__main__ import early
from shipgen.cli import COMMANDS, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Name -> module of `helpers.fuzzers` and class.
FUZZERS = {
    "bundles": ("bundles", "Bundles"),
    "files": ("files", "Files"),
    "journals": ("journals", "Journals"),
    "signals": ("signals", "Signals"),
}

#: What `command` would import anew in each child.
_MODULES = ("shipgen.production.request", "shipgen.generate.generator", "shipgen.files.remote", "uproot")

#: Seconds after which a command counts as hanging; the machine may be busy.
PATIENCE = 120.0


class WrongError(AssertionError):
    """What a trial found that must not be."""


class Fuzzer(Protocol):
    """Trials of one kind; made in a folder for what they share, such as a good file."""

    def __init__(self, folder: Path) -> None: ...

    def trial(self, rng: np.random.Generator, folder: Path) -> str:
        """Damage something in the empty `folder`; return how it ended in a word, or raise `WrongError`."""


@dataclass
class Ended:
    """How a command ended; ``code`` is ``None`` if it had to be killed."""

    code: int | None
    stdout: str
    stderr: str

    def check(self, *, refused: bool | None = None) -> None:
        """Raise `WrongError` for a hang, a crash, a traceback, or more than one line beside warnings.

        With `refused` it has to have failed with one line, or to have succeeded.
        """
        lines = self.stderr.splitlines()
        if self.code is None:
            raise WrongError(f"hangs: {self.stderr}")
        if self.code < 0 or "Traceback" in self.stderr or "Error:" in self.stderr.split(" ")[0]:
            raise WrongError(f"code {self.code}: {self.stderr}")
        odd = [line for line in lines if not line.startswith("shipgen: ")]
        last = [line for line in lines if not line.startswith("shipgen: warning: ")]
        if odd or len(last) != (self.code != 0):
            raise WrongError(f"code {self.code}, stderr: {self.stderr}")
        if refused is not None and refused != (self.code != 0):
            raise WrongError(
                f"code {self.code} where it should {'fail' if refused else 'succeed'}: {self.stderr}"
            )


def load(*names: str) -> None:
    """Import what the commands `names` of ``shipgen`` do, once, where `command` takes it from."""
    for name in names:
        import_module(COMMANDS[name][0])
    for module in _MODULES:
        import_module(module)


def command(
    *words: object, folder: Path, signals: tuple[tuple[float, int], ...] = (), memory: int | None = None
) -> Ended:
    """Run ``shipgen`` with `words` in `folder`, in a child of this process, which has all modules already.

    Parameters
    ----------
    words : object
        Of the command line.
    folder : Path
        Where it runs.
    signals : tuple of (float, int)
        What it is sent, after so many seconds each.
    memory : int, optional
        Bytes of address space beyond what this process has.
    """
    with TemporaryDirectory() as scratch:
        told = [Path(scratch) / name for name in ("stdout", "stderr")]
        child = os.fork()
        if not child:
            _inside(list(map(str, words)), folder, told, memory)
        code = wait(child, signals)
        return Ended(code, *(path.read_text(errors="replace") for path in told))


def wait(child: int, signals: tuple[tuple[float, int], ...] = ()) -> int | None:
    """Wait for a child, sending it `signals`; return its exit code, ``None`` if it had to be killed."""
    start, left = time.monotonic(), list(signals)
    while (passed := time.monotonic() - start) < PATIENCE:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if left and passed >= left[0][0]:
            os.kill(child, left.pop(0)[1])
        time.sleep(0.0005 if left else 0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _inside(words: list[str], folder: Path, told: list[Path], memory: int | None) -> None:
    """Be the command; never return."""
    code = 70
    try:
        for number, path in enumerate(told, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", buffering=1, errors="backslashreplace", closefd=False) for number in (1, 2)
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, early)
        os.chdir(folder)
        sys.argv = ["shipgen", *words]
        if memory is not None:
            import resource

            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * resource.getpagesize() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = run(words)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@dataclass
class Outcome:
    """What trials of a kind gave: how many ended how, and the seeds of those that went wrong with why."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        ends = ", ".join(f"{number} {end}" for end, number in self.ends.most_common())
        return f"{sum(self.ends.values()) + len(self.wrong)} trials: {ends}; {len(self.wrong)} wrong"


@contextlib.contextmanager
def opened(kind: str) -> Iterator[Callable[[int], str]]:
    """Give what runs the trial of one seed of a fuzzer; its folder is empty each time."""
    module, name = FUZZERS[kind]
    with TemporaryDirectory() as shared:
        fuzzer: Fuzzer = getattr(import_module(f"helpers.fuzzers.{module}"), name)(Path(shared))

        def one(seed: int) -> str:
            with TemporaryDirectory() as folder:
                return fuzzer.trial(np.random.default_rng(seed), Path(folder))

        yield one


def fuzz(kind: str, *, first: int = 0, trials: int | None = None, seconds: float | None = None) -> Outcome:
    """Run trials of the seeds from `first` on, so many or so long."""
    outcome, start, seed = Outcome(), time.monotonic(), first
    with opened(kind) as one:
        while (trials is None or seed < first + trials) and (
            seconds is None or time.monotonic() - start < seconds
        ):
            try:
                outcome.ends[one(seed)] += 1
            except WrongError as error:
                outcome.wrong[seed] = str(error)
            seed += 1
    return outcome


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with one bit changed."""
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
