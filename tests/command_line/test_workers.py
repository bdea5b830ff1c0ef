"""Worker processes: order, errors, nothing left behind."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest

from helpers.processes import children, gone
from shipgen.errors import ShipgenError
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = """
import time
from shipgen_export.workers import in_order
if __name__ == "__main__":
    with in_order(time.sleep, [0, 0, 100, 100], 2) as results:
        next(results), next(results)
        print("ready", flush=True)
        next(results)
"""


def no_children(seconds: float = 10) -> bool:
    """Whether no worker is left; two threads may reap one, and the slower learns of it a moment later."""
    until = time.monotonic() + seconds
    while multiprocessing.active_children() and time.monotonic() < until:
        time.sleep(0.01)
    return not multiprocessing.active_children()


def test_results_come_in_the_order_of_tasks_and_tasks_may_be_endless() -> None:
    with in_order(math.sqrt, (n**2 for n in count()), 2) as results:
        assert list(islice(results, 9)) == list(range(9))
    assert no_children()


def test_no_task_gives_no_result() -> None:
    with in_order(math.sqrt, [], 1) as results:
        assert list(results) == []


def test_a_failing_task_is_one_clear_error() -> None:
    with (
        pytest.raises(ShipgenError, match=r"^-1\.0 failed: ValueError"),
        in_order(math.sqrt, [4.0, -1.0], 1) as results,
    ):
        list(results)
    assert no_children()


def test_a_dying_worker_is_one_clear_error() -> None:
    with (
        pytest.raises(ShipgenError, match="worker process died around 3"),
        in_order(os._exit, [3], 1) as results,
    ):
        list(results)
    assert no_children()


def test_leaving_early_ends_the_workers_at_once() -> None:
    started = time.monotonic()
    with in_order(time.sleep, [0, 100, 100], 2) as results:
        next(results)
    assert time.monotonic() - started < 20
    assert no_children()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        workers = children(process.pid)
        assert len(workers) >= 2
        process.send_signal(how)
        process.wait(timeout=20)
        assert gone(workers)
