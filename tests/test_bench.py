from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle import Bundle

PROGRAM = "from shipgen_bench.cli import main; main()"


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_throughput_measures_every_stage(bundle: Bundle, tmp_path: Path) -> None:
    record = tmp_path / "figures.json"
    done = bench(
        "throughput",
        "--n",
        "1e4",
        "--repeat",
        1,
        "--bundle",
        bundle.path,
        "--folder",
        tmp_path,
        "--json",
        record,
    )
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(record.read_text())
    stages = [item["stage"] for item in facts["measurements"]]
    assert stages == ["latents", "networks", "chunks", "output", "no output", "end to end"]
    assert all(item["muons"] == 10_000 and item["rate"] > 0 for item in facts["measurements"])
    assert facts["bundle"]["sha256"] == bundle.sha256
    assert list(tmp_path.iterdir()) == [record]


def test_bad_input_is_one_line(bundle: Bundle) -> None:
    for arguments, message in (
        (["throughput", "--bundle", "nowhere"], "nowhere is no bundle"),
        (["throughput", "--bundle", bundle.path, "--folder", "nowhere"], "nowhere does not exist"),
        (["--debug"], "No such option"),
    ):
        done = bench(*arguments)
        assert done.returncode > 0
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
