"""Tasks in worker processes, results in order; no process outlives the run.

The workers are fresh interpreters ("spawn"), so a script that simulates needs ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from shipgen.errors import ShipgenError
from shipgen.progress import silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

#: Tasks that wait for each worker, so that none is idle while the results are taken.
_AHEAD = 2


@contextmanager
def in_order(
    work: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    cores: int,
    *,
    dask: str | None = None,
    jobs: int | None = None,
) -> Iterator[Iterator[_Result]]:
    """Give an iterator over ``work(task)`` of all tasks, in their order, from `cores` processes.

    At the end of the context, however it is left, the workers are gone; tasks that were under way are lost.
    `tasks` may be endless: only a few are taken ahead.

    Parameters
    ----------
    work : callable
        A function of a module.
    tasks : iterable
        What it is called with.
    cores : int
        Processes.
    dask, jobs
        Workers of a Dask cluster in place of processes, as for `shipgen.production.dask_cluster.connect`;
        a task that loses its worker runs again.

    Raises
    ------
    ShipgenError
        A worker died or failed, naming the task.
    """
    if dask is not None:
        from shipgen.production import dask_cluster

        with (
            dask_cluster.connect(dask, jobs) as client,
            dask_cluster.in_order(client, work, tasks) as results,
        ):
            yield results
        return
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield _results(executor, work, tasks, cores)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        workers = [child for child in multiprocessing.active_children() if child not in others]
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()


def _results(
    executor: ProcessPoolExecutor, work: Callable[[_Task], _Result], tasks: Iterable[_Task], cores: int
) -> Iterator[_Result]:
    coming = iter(tasks)
    waiting: deque[tuple[_Task, Future[_Result]]] = deque()
    while True:
        while len(waiting) < _AHEAD * cores and (task := next(coming, None)) is not None:
            waiting.append((task, executor.submit(work, task)))
        if not waiting:
            return
        task, future = waiting.popleft()
        try:
            result = future.result()
        except BrokenProcessPool as error:
            raise ShipgenError(
                f"a worker process died around {task}, killed or out of memory: run again, with fewer cores "
                "if memory is short"
            ) from error
        except ShipgenError:
            raise
        except Exception as error:
            raise ShipgenError(f"{task} failed: {type(error).__name__}: {error}") from error
        yield result


def _start_worker() -> None:
    """Leave Ctrl-C and progress to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
