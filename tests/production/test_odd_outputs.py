"""Outputs that nobody would give on purpose, and streams that are not there: one line, or the whole file."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.production_runs import read, run_inside  # noqa: F401

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.production_runs import Run
    from shipgen.bundle.bundle import Bundle

LONG = "n" * 250


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("produce", "-n", 100, "-o", ""), "'' is no name of a file"),
        (("produce", "-n", 100, "-o", "."), "'.' is no name of a file"),
        (("produce", "-n", 100, "-o", "new/"), "'new/' is no name of a file"),
        (("produce", "-n", 100, "-o", "root://host/new/"), "is no name of a file"),
        (("produce", "-n", 100, "-o", "loop"), "'loop' cannot be an output"),
        (("produce", "-n", 100, "-o", LONG), "choose a shorter one"),
        (("produce", "-n", 100, "-o", LONG * 2), "choose a shorter one"),
        (("produce", "-n", 100, "-o", "o.root", "--smear-beam", "1e300"), "is not a number of centimetres"),
        (("produce", "-n", 100, "-o", "o.root", "--paint-beam", "1e39"), "is not a number of centimetres"),
        (("produce", "-n", 100, "-o", "o.root", "--smear-beam", "nan"), "is not a number of centimetres"),
        (("condor", "jobs", "-n", 100, "--shards", 2, "-o", "a\nb.root"), "cannot stand in a submit"),
        (
            ("condor", "jobs", "-n", 9, "--shards", 2, "-o", "o.root", "--validate", "'x"),
            "close its quotes",
        ),
        (("condor", "jobs", "-n", 100, "--shards", 2, "-o", ""), "'' is no name of a file"),
    ],
)
def test_an_odd_output_is_one_line(
    inside: Run, bundle: Bundle, tmp_path: Path, command: tuple[object, ...], message: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = inside(*command, "--bundle", bundle.path)
    assert done.returncode in (1, 2, 3)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize("streams", ["2>&-", ">&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_are_not_there_cost_no_file(bundle: Bundle, tmp_path: Path, streams: str) -> None:
    """Least of all may what is told go into the file, in whose place the system opened it."""
    words = f"-m shipgen produce -n 1000 --seed 1 -o out.root --bundle {bundle.path}"
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} {words} {streams}"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    full = streams == ">/dev/full"
    assert done.returncode == (6 if full else 0)
    told = "shipgen: out.root is complete, but nothing can be printed: No space left on device\n"
    assert done.stderr == (told if full else "")
    assert [path.name for path in tmp_path.iterdir()] == ["out.root"]
    assert len(read(tmp_path / "out.root")["id"]) > 900


@pytest.mark.parametrize("command", ["convert in.root out.root --layout ttree", "plot in.root -o out.svg"])
def test_what_is_complete_is_said_where_nothing_can_be_printed(
    inside: Run, bundle: Bundle, tmp_path: Path, command: str
) -> None:
    inside("produce", "-n", 1000, "--seed", 1, "-o", "in.root", "--bundle", bundle.path)
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m shipgen {command} >/dev/full"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    (output,) = (path.name for path in tmp_path.glob("out.*"))
    told = f"shipgen: {output} is complete, but nothing can be printed: No space left on device\n"
    assert (done.returncode, done.stderr) == (6, told)
