"""Progress of long work: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Seconds between lines where no terminal is: short work says nothing.
_EVERY = 60.0

#: Whether this thread shows nothing, such as one of several workers of a run that does. A Dask worker may be
#: a thread of the process that shows it.
_silent = ContextVar("silent", default=False)


def silence() -> None:
    """Show no progress in this thread from now on."""
    _silent.set(True)


@contextmanager
def progress(what: str, total: float | None, unit: str) -> Iterator[Callable[[float], None]]:
    """Show how far the work has come, on stderr; give a function to call with what was done since.

    Parameters
    ----------
    what : str
        What is being done, such as ``"producing"``.
    total : float, optional
        How much there is to do; ``None`` when that is not known.
    unit : str
        What is counted, such as ``"muons"``.
    """
    if _silent.get() or sys.stderr is None:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _Lines(what, total, unit).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.3g} {unit}/s", style="progress.data.speed")

    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.completed:,.0f}" + ("" if total is None else f" of {total:,.0f}") + f" {unit}"),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


class _Lines:
    """Says on stderr how far the work has come, for a log: a line every `_EVERY` seconds."""

    def __init__(self, what: str, total: float | None, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done, self._since = 0.0, 0.0
        self._started = self._told = time.monotonic()

    def advance(self, done: float) -> None:
        """Count what was done since."""
        now = time.monotonic()
        # What was there at the start says nothing of the rate.
        self._since += done if self._done or now - self._started > 1 else 0
        self._done += done
        if now - self._told < _EVERY:
            return
        self._told = now
        whole = "" if self._total is None else f" of {self._total:,.0f}"
        rate = max(self._since, 1e-9) / (now - self._started)
        left = "" if self._total is None else f", {(self._total - self._done) / rate / 60:,.1f} minutes left"
        sys.stderr.write(
            f"{self._what}: {self._done:,.0f}{whole} {self._unit}, {rate:,.3g} {self._unit}/s{left}\n"
        )
        sys.stderr.flush()
