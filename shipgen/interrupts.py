"""Ctrl-C and a batch system's SIGTERM: heeded once, and for certain.

The first one raises KeyboardInterrupt. What comes while that is handled changes nothing, so that cleaning up
is not cut off in its turn. And a thread, which the system's own handler wakes, ends the program where that
does not end by itself: while a network runs in an endless loop, no Python runs that could be interrupted.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that cleaning up may take, and how many are left when the user asks again.
_PATIENCE, _IMPATIENCE = 30.0, 5.0

#: What is told of an interrupt that has nothing to say of its own.
NOTHING_HALF = "nothing half-made was left under the name of the output"

#: Exit code, as shells have it.
CODE = 130

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_seen = _over = False


def seen() -> bool:
    """Return whether there was one."""
    return _seen


def check() -> None:
    """Raise KeyboardInterrupt if there was one: where Python raised it, it may have been lost."""
    if _seen and not _over:
        raise KeyboardInterrupt


def over() -> None:
    """Heed none from now on: the work is done, and there is nothing to stop."""
    global _over  # noqa: PLW0603
    # What another thread does is nothing that the program's signals are for.
    if _in_main_thread():
        _over = True


def ended() -> bool:
    """Return whether the work is done, or its end was told."""
    return _over


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def heeded(name: str) -> Iterator[None]:
    """Heed interrupts in the main thread within the context; `name` is the program's, for what is told.

    In another thread there are none, and those of the main thread stay as they are.
    """
    global _seen, _over  # noqa: PLW0603
    if not _in_main_thread():
        yield
        return
    _seen = _over = False
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    hook = sys.unraisablehook
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(name, reading), daemon=True, name="interrupts").start()
    try:
        sys.unraisablehook = _unraisable
        for number, handler in before.items():
            # What a script starts in the background is not to be interrupted by Ctrl-C.
            if handler != signal.SIG_IGN:
                signal.signal(number, _interrupt)
        yield
    finally:
        _over = True
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        sys.unraisablehook = hook
        signal.set_wakeup_fd(woken)
        os.close(writing)


def end(name: str, message: str = NOTHING_HALF) -> None:
    """Say that the program was interrupted, and end it at once."""
    text = f"{name}: interrupted; {message}\n"
    try:
        os.write(2, text.encode(errors="backslashreplace"))
    finally:
        os._exit(CODE)


def _interrupt(number: int, frame: Any) -> None:  # noqa: ARG001
    global _seen  # noqa: PLW0603
    if not (_seen or _over):
        _seen = True
        raise KeyboardInterrupt


def _unraisable(error: Any) -> None:
    """Say nothing of an interrupt that Python could not raise where it was; `check` does."""
    if not _seen:
        sys.__unraisablehook__(error)


def _leave_to_parent() -> None:
    """Let signals to a forked child wake nobody here."""
    if _in_main_thread():
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_leave_to_parent)


def _watch(name: str, reading: int) -> None:
    """End the program if it does not end by itself after a signal."""
    deadline = float("inf")
    while True:
        left = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
        if not select.select([reading], [], [], left)[0]:
            # Others that took over the signals have their own ways, such as to finish a step of training.
            if _interrupt in map(signal.getsignal, _SIGNALS):
                end(name, "what was at work did not stop by itself; " + NOTHING_HALF)
            deadline = float("inf")
            continue
        numbers = os.read(reading, 64)
        if not numbers:
            os.close(reading)
            return
        if set(numbers) & set(_SIGNALS):
            wait = _PATIENCE if math.isinf(deadline) else _IMPATIENCE
            deadline = min(deadline, time.monotonic() + wait)
