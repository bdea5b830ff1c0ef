"""Progress where no terminal is: a line now and then, none of short work."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import shipgen.progress
from shipgen.progress import progress, silence

if TYPE_CHECKING:
    import pytest


def test_lines_off_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with progress("producing", 100, "muons") as advance:
        advance(50)
    assert capsys.readouterr().err == ""
    clock = iter([0.0, 0.5, 10.0, 70.0, 80.0, 131.0])
    # In this module alone: threads of other tests read the clock as well.
    monkeypatch.setattr(shipgen.progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress("producing", 1000, "muons") as advance:
        # What an earlier run had made says nothing of the rate.
        advance(400)
        for _ in range(4):
            advance(100)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "producing: 600 of 1,000 muons, 2.86 muons/s, 2.3 minutes left"
    assert second.startswith("producing: 800 of 1,000 muons, 3.05 muons/s")
    clock = iter([0.0, 61.0])
    with progress("reading", None, "entries") as advance:
        advance(61)
    assert capsys.readouterr().err == "reading: 61 entries, 1 entries/s\n"


def test_a_silent_worker_that_is_a_thread_silences_itself_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipgen.progress, "_EVERY", 0.0)

    def work() -> None:
        silence()
        with progress("working", 10, "muons") as advance:
            advance(5)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert capsys.readouterr().err == ""
    with progress("producing", 10, "muons") as advance:
        advance(5)
    assert capsys.readouterr().err.startswith("producing: 5 of 10 muons")
