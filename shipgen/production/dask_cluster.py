"""Work on a Dask cluster: starting or finding one, and tasks on its workers.

Whoever reaches a scheduler runs code as its user, so clusters that are started here speak TLS, with a key
that is theirs alone, and their pages are seen from their own machines only.

Dask moves a task to another worker when its own is lost, so tasks have to be such that they may run twice.
What fails for a reason that another try does not change comes back as `Failure`, all else is tried again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import deque
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shipgen.errors import InputError, MissingExtraError, OutputError, ShipgenError
from shipgen.progress import silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

#: Batch systems that dask-jobqueue submits workers to: class, and what a worker gets where its configuration
#: file does not say.
_BATCH_SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "htcondor": ("HTCondorCluster", {"cores": 1, "memory": "2GB", "disk": "10GB"}),
    "slurm": ("SLURMCluster", {"cores": 1, "memory": "2GB"}),
}

#: How addresses of schedulers begin that nobody without a key, or no other process, can reach.
_CLOSED = ("tls://", "wss://", "inproc://")

#: How often a task is tried again that failed; Dask gives one up that lost this many workers and one.
_RETRIES = 3

#: Tasks that wait for each worker where results come in order.
_AHEAD = 2

#: Of a scheduler's or worker's pages: for this machine, and there may be several on it.
_PAGES = "127.0.0.1:0"

#: Seconds to wait for a scheduler, and for a worker without a word.
_PATIENCE = 30

#: Neither Pythia nor TensorFlow shares a process with itself; Dask's workers may have several threads.
_alone = threading.Lock()

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a task cannot succeed: what the user is told, and the exit code."""

    message: str
    exit_code: int

    def error(self) -> ShipgenError:
        """Return it as an error."""
        error = ShipgenError(self.message)
        error.exit_code = self.exit_code
        return error


@contextmanager
def connect(where: str, jobs: int | None = None, warn: Callable[[str], Any] = _log.warning) -> Iterator[Any]:
    """Give a client of a Dask cluster, which is closed at the end if it was started here.

    Parameters
    ----------
    where : str
        ``local`` for processes on this machine, ``htcondor`` or ``slurm`` for jobs by dask-jobqueue, or the
        address of a scheduler that runs already.
    jobs : int, optional
        Workers to start; all cores for ``local``, otherwise needed.
    warn : callable
        Takes a warning: no worker comes, which may take a batch system hours and is no error, or the
        connection is not encrypted.

    Raises
    ------
    InputError
        The cluster cannot be reached or started, or `jobs` is missing.
    MissingExtraError
        Dask is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("work on a Dask cluster", "distributed", "dask") from error
    # A lost worker is told by the result, not by pages of its log.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with _cluster(where, jobs) as address:
        try:
            client = distributed.Client(address, timeout=_PATIENCE)  # type: ignore[no-untyped-call]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"no Dask scheduler answers at {where!r} ({error}): give local, htcondor, slurm or the "
                "address of one that runs, such as tls://host:8786"
            ) from error
        with client:
            if where == "local":
                client.run(_leave_interrupts)
            else:
                if where not in _BATCH_SYSTEMS and not where.startswith(_CLOSED):
                    warn(
                        f"the connection to {where} is not encrypted, and whoever reaches that scheduler "
                        "runs code on its workers: start it with keys, and give its address as "
                        "tls://host:8786"
                    )
                _wait_for_one(client, where, warn)
            yield client


def _wait_for_one(client: Any, where: str, warn: Callable[[str], Any]) -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        warn(
            f"no worker of {where} has come in {_PATIENCE} s; waiting, Ctrl-C ends that: look at the "
            "jobs' state and logs if they should be running"
        )


def _leave_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all, to the process that asked for the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _cluster(where: str, jobs: int | None) -> Iterator[Any]:
    """Start the cluster `where` names, or pass an address on."""
    if where != "local" and where not in _BATCH_SYSTEMS:
        if jobs is not None:
            raise InputError(f"the workers of the Dask cluster {where} run already: leave out --workers")
        yield where
    elif where == "local":
        import distributed

        with distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=jobs or len(os.sched_getaffinity(0)),
            threads_per_worker=1,
            dashboard_address=_PAGES,
            silence_logs=logging.CRITICAL,
            security=_security(),
        ) as cluster:
            yield cluster
    else:
        if jobs is None:
            raise InputError(f"say how many workers {where} shall run: --workers W")
        with _batch_cluster(where) as cluster:
            cluster.scale(jobs=jobs)
            yield cluster


def _security() -> Any:
    """Return a new key and certificate, which scheduler, workers and client of one cluster share."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("starting a Dask cluster", "cryptography", "dask") from error
    from distributed.security import Security

    return Security.temporary()  # type: ignore[no-untyped-call]


@contextmanager
def _batch_cluster(where: str) -> Iterator[Any]:
    try:
        import dask
        import dask_jobqueue
    except ImportError as error:
        raise MissingExtraError(f"work on {where}", "dask-jobqueue", "dask") from error
    name, defaults = _BATCH_SYSTEMS[where]
    stated = dask.config.get(f"jobqueue.{where}", {})
    options = {key: value for key, value in defaults.items() if stated.get(key) is None}
    with ExitStack() as stack:
        try:
            cluster = getattr(dask_jobqueue, name)(
                **options,
                security=stack.enter_context(_key_on_disk(stated.get("shared-temp-directory") or ".")),
                scheduler_options={"dashboard_address": _PAGES, **(stated.get("scheduler-options") or {})},
                worker_extra_args=["--dashboard-address", _PAGES, *(stated.get("worker-extra-args") or [])],
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"the Dask cluster {where} cannot be started: {error}") from error
        yield stack.enter_context(cluster)


@contextmanager
def _key_on_disk(shared: str) -> Iterator[Any]:
    """Give what `_security` does, as files in a folder that jobs see and no other user can open."""
    from distributed.security import Security

    made = _security()
    where = Path(os.path.expandvars(shared)).expanduser().absolute()
    with TemporaryDirectory(prefix=".shipgen-dask-", dir=where) as folder:
        cert, key = (Path(folder) / name for name in ("cert", "key"))
        cert.write_text(made.tls_client_cert)
        key.write_text(made.tls_client_key)
        roles = [f"tls_{role}_{{}}" for role in ("client", "scheduler", "worker")]
        files = {role.format(path.name): str(path) for role in roles for path in (cert, key)}
        yield Security(require_encryption=True, tls_ca_file=str(cert), **files)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Guarded(Generic[_Task, _Result]):
    """Does a task on a worker: quietly, one at a time where asked for, and tells failures apart."""

    work: Callable[[_Task], _Result]
    alone: bool

    def __call__(self, task: _Task) -> _Result | Failure:
        silence()
        try:
            with _alone if self.alone else nullcontext():
                return self.work(task)
        except (OutputError, OSError, MemoryError) as error:
            # Another try may find room, memory or a better machine. As a plain error: it is sent.
            raise RuntimeError(str(error) or type(error).__name__) from None
        except ShipgenError as error:
            return Failure(str(error), error.exit_code)


def as_completed(
    client: Any, work: Callable[[_Task], _Result], tasks: Sequence[_Task]
) -> Iterator[tuple[_Task, _Result]]:
    """Yield each task with its result, in the order in which they are done; `_result`'s errors.

    `work` may run in several threads of a worker.
    """
    import distributed

    guarded = _Guarded(work, alone=False)
    futures = {client.submit(guarded, task, pure=False, retries=_RETRIES): task for task in tasks}
    try:
        for future in distributed.as_completed(list(futures)):  # type: ignore[no-untyped-call]
            yield futures[future], _result(futures[future], future)
            # Its result is not needed by any other.
            future.release()
    finally:
        client.cancel(list(futures), force=True)


@contextmanager
def in_order(
    client: Any, work: Callable[[_Task], _Result], tasks: Iterable[_Task]
) -> Iterator[Iterator[_Result]]:
    """Give an iterator over ``work(task)`` of all tasks, in their order, one at a time a worker.

    `tasks` may be endless: only a few are taken ahead. What is under way when the context ends is dropped.
    """
    waiting: deque[tuple[_Task, Any]] = deque()
    try:
        yield _in_order(client, work, iter(tasks), waiting)
    finally:
        client.cancel([future for _, future in waiting], force=True)


def _in_order(
    client: Any,
    work: Callable[[_Task], _Result],
    coming: Iterator[_Task],
    waiting: deque[tuple[_Task, Any]],
) -> Iterator[_Result]:
    guarded = _Guarded(work, alone=True)
    while True:
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        while len(waiting) < _AHEAD * workers and (task := next(coming, None)) is not None:
            waiting.append((task, client.submit(guarded, task, pure=False, retries=_RETRIES)))
        if not waiting:
            return
        task, future = waiting[0]
        result = _result(task, future)
        waiting.popleft()
        yield result


def _result(task: Any, future: Any) -> Any:
    """Return the result of a task.

    Raises
    ------
    ShipgenError
        The task failed, or lost its worker too often.
    """
    from distributed.scheduler import KilledWorker

    try:
        result = future.result()
    except KilledWorker as error:
        raise ShipgenError(
            f"{task} lost its worker {_RETRIES + 1} times, killed or out of memory: look at the workers' "
            "logs, give them more memory, and run again"
        ) from error
    except Exception as error:
        raise ShipgenError(f"{task} failed {_RETRIES + 1} times, at last with: {error}") from error
    if isinstance(result, Failure):
        raise result.error()
    return result
