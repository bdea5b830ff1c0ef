"""Progress of long work: a bar with rate and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Whether this process shows nothing, such as one of several workers of a run that does.
_silent = False


def silence() -> None:
    """Show no progress in this process from now on."""
    global _silent  # noqa: PLW0603
    _silent = True


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
    if _silent or not sys.stderr.isatty():
        yield lambda _: None
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
