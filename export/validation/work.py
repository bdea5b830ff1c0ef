"""Work of a validation that can be done side by side, in processes of its own where there are cores."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from shipgen.errors import MissingExtraError
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Work(Protocol):
    """Something to do."""

    def run(self) -> Any:
        """Do it."""


@contextmanager
def results(tasks: Sequence[Work], cores: int) -> Iterator[Iterator[Any]]:
    """Give an iterator over the results of all tasks, in their order.

    With one core they are done here. Otherwise fresh interpreters do them, so that a script needs
    ``if __name__ == "__main__":``.
    """
    if cores == 1 or len(tasks) < 2:
        yield (_run(task) for task in tasks)
        return
    with in_order(_run, tasks, min(cores, len(tasks))) as found:
        yield found


def _run(task: Work) -> Any:
    """Run a task in one thread: processes share the cores."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("validation", "threadpoolctl", "validate") from error
    with threadpool_limits(1):
        return task.run()
