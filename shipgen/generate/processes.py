"""Chunks made by other processes: Python runs one thread at a time, for which more than a few workers wait.

Each process has a few threads, and memory that it shares with this one: what it made of a chunk lies there
while the consumer looks at it. Processes are programs of their own, not forks, so that a script needs no
guard against being run again and a device may be in use already; they end when this one does.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar

from shipgen.errors import ShipgenError
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipgen.generate.generator import MuonGenerator
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch

Result = TypeVar("Result")

#: Up to so many workers are threads of this process.
MOST_THREADS = 4

#: Chunks for each worker below which processes are not worth their start of a second.
LEAST_CHUNKS = 4

#: Threads of a process. Each process has a state of its own on a GPU, of several hundred MB.
_THREADS = {"cpu": 2, "cuda": 4}

#: Bytes for what is made of one chunk; what is never touched takes no memory.
_SLOT = CHUNK_SIZE * 256


def worthwhile(workers: int, chunks: int) -> bool:
    """Return whether so many workers should be processes for so many chunks, where these can be started."""
    # A frozen program would be started again itself; without a memfd, as beside Linux, no memory is shared.
    possible = sys.executable and not hasattr(sys, "frozen") and hasattr(os, "memfd_create")
    return bool(possible) and workers > MOST_THREADS and chunks >= LEAST_CHUNKS * workers


def run(generator: MuonGenerator, work: Callable[[Chunk, Batch], Result], chunks: range) -> Iterator[Result]:
    """Yield what `work`, which can be pickled, makes of `chunks`, in their order.

    What the results hold of arrays and of buffers that are pickled out of band is overwritten afterwards.

    Raises
    ------
    ShipgenError
        A process ended by itself; and what `work` or a network raises there.
    """
    try:
        pool = _Pool(generator, work)
    except OSError:
        # For lack of memory, perhaps, or of processes: threads take less, and make the same.
        yield from generator.run(work, first=chunks.start, stop=chunks.stop)
        return
    waiting, made = iter(chunks), {}
    with pool:
        pool.give(waiting)
        for index in chunks:
            while index not in made:
                for answer in pool.answers():
                    made[answer[0]] = answer[1:]
            process, slot, result = made.pop(index)
            if isinstance(result, BaseException):
                raise result
            yield result
            del result
            process.free.append(slot)
            pool.give(waiting)


class _Pool:
    """The processes; a context manager, which ends them. An OSError says that they cannot be started."""

    def __init__(self, generator: MuonGenerator, work: Callable[[Chunk, Batch], Any]) -> None:
        task = pickle.dumps((generator, work))
        most = _THREADS[generator.device]
        count = -(-generator.workers // most)
        self._owner = os.getpid()
        self._processes: list[_Process] = []
        try:
            for number in range(count):
                self._processes.append(_Process((generator.workers + number) // count))
            for process in self._processes:
                process.take(task)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() == self._owner:
            for process in self._processes:
                process.end()

    def give(self, waiting: Iterator[int]) -> None:
        """Hand out numbers of chunks to those that have room, the idlest first."""
        while (idlest := max(self._processes, key=lambda process: len(process.free))).free:
            index = next(waiting, None)
            if index is None:
                return
            idlest.give(index)

    def answers(self) -> Iterator[tuple[int, _Process, int, Any]]:
        """Yield what has come, at least one: number of the chunk, from whom, where it lies, the result."""
        by_connection = {process.connection: process for process in self._processes}
        for connection in wait(list(by_connection)):
            process = by_connection[connection]  # type: ignore[index]
            index, slot, result = process.answer()
            yield index, process, slot, result


class _Process:
    """A process with some threads, as its parent sees it."""

    def __init__(self, threads: int) -> None:
        # One result for each thread to make, and one to be looked at.
        self.free = list(range(2 * threads))
        ours, theirs = socket.socketpair()
        handles: list[int] = []
        try:
            memory = os.memfd_create("shipgen")
            # Behind the standard streams, which are others there: a program may have closed its own.
            handles += [fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 3) for handle in (theirs.fileno(), memory)]
            os.close(memory)
            os.ftruncate(handles[1], _SLOT * len(self.free))
            self._memory = mmap.mmap(handles[1], 0)
            path = [str(folder) for folder in sys.path]
            code = f"import sys; sys.path[:] = {path!r}; from {__name__} import serve; serve()"
            self._popen = subprocess.Popen(  # noqa: S603 - this Python, and code of this module
                [sys.executable, "-c", code, *map(str, (*handles, threads))],
                pass_fds=handles,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C is for the parent, which ends its processes.
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            for handle in handles:
                os.close(handle)
        self.connection = Connection(ours.detach())

    def take(self, task: bytes) -> None:
        """Hand out what to do with chunks."""
        self._talk(lambda: self.connection.send_bytes(task))

    def give(self, index: int) -> None:
        """Hand out a chunk."""
        self._talk(lambda: self.connection.send((index, self.free.pop())))

    def answer(self) -> tuple[int, int, Any]:
        """Return the next answer: number of the chunk, where it lies, and the result."""
        index, slot, content, sizes = self._talk(self.connection.recv)
        if isinstance(content, BaseException):
            return index, slot, content
        view, buffers = memoryview(self._memory)[slot * _SLOT : (slot + 1) * _SLOT], []
        for size in sizes:
            buffers.append(view[:size])
            view = view[size:]
        return index, slot, pickle.loads(content, buffers=buffers)  # noqa: S301 - of our own process

    def end(self) -> None:
        """End it at once: it holds nothing."""
        self._popen.kill()
        self._popen.wait()
        self.connection.close()

    def _talk(self, action: Callable[[], Result]) -> Result:
        try:
            return action()
        except (EOFError, OSError):
            self.connection.close()
            code = self._popen.wait()
            reason = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            if code == -signal.SIGKILL:
                reason += ", for lack of memory perhaps: fewer --workers take less"
            raise ShipgenError(f"a worker process ended {reason}") from None


def serve() -> None:
    """Make chunks for the parent, as the process that it started, until there is none to make for."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    connection, memory = Connection(int(sys.argv[1])), mmap.mmap(int(sys.argv[2]), 0)
    lock = Lock()

    def answer(*content: Any) -> None:
        with lock:
            connection.send(content)

    try:
        generator, work = pickle.loads(connection.recv_bytes())  # noqa: S301 - of our parent
        make = generator.maker(work)
    except EOFError:
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - for the parent, with the first chunk
        told = _sendable(error)

        def make(_: int) -> Any:
            raise told

    def one(index: int, slot: int) -> None:
        try:
            answer(index, slot, *_put(make(index), memory, slot))
        except BaseException as error:  # noqa: BLE001 - for the parent
            answer(index, slot, _sendable(error), ())

    with ThreadPoolExecutor(int(sys.argv[3])) as pool:
        while True:
            try:
                index, slot = connection.recv()
            except (EOFError, OSError):
                # The parent is gone, and what is being made is for nobody.
                os._exit(0)
            pool.submit(one, index, slot)


def _put(result: Any, memory: mmap.mmap, slot: int) -> tuple[bytes, tuple[int, ...]]:
    """Pickle `result`, its buffers into the shared memory where they fit; return the rest and their sizes."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(result, 5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    if sum(part.nbytes for part in raw) > _SLOT:
        return pickle.dumps(result, 5), ()
    place = slot * _SLOT
    for part in raw:
        memory[place : place + part.nbytes] = part
        place += part.nbytes
    return content, tuple(part.nbytes for part in raw)


def _sendable(error: BaseException) -> BaseException:
    """Return `error`, or what it says where it cannot be sent, with where it happened."""
    error.add_note("".join(traceback.format_exception(error)).rstrip())
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - whatever a class does there
        told = ShipgenError(f"{type(error).__name__}: {error}")
        told.add_note(error.__notes__[-1])
        return told
    return error
