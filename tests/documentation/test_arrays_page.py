"""The page on arrays: its code runs, and its table of frames is the program's."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shipgen.cli import run
from shipgen.muons.frames import FRAMES

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "arrays.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    done = 0
    for kind, text in BLOCKS:
        if "needs PyTorch" in text and importlib.util.find_spec("torch") is None:
            continue
        if kind == "sh":
            for line in text.splitlines():
                assert run(shlex.split(line, comments=True)[1:]) == 0, line
        else:
            exec(compile(text, "docs/howto/arrays.md", "exec"), names)  # noqa: S102 (our own page)
        done += 1
    assert done >= 8
    assert names["counts"].sum() == pytest.approx(1e5, rel=0.05)
    assert names["rows"].shape[1] == 8
    np.testing.assert_allclose(np.median(names["rows"][:, 5]), -1.8, atol=0.2)
    assert set(names["positive"].categories) == {"muplus_onaxis", "muplus_offaxis"}
    assert names["total"] > 0
    assert len(names["train"]) > len(names["test"]) > 0


def test_frames_are_all_told() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| .*? \| (-?[\d.]+)(?: m)? \|", PAGE, re.MULTILINE))
    assert {name: 100 * float(start) for name, start in told.items()} == pytest.approx(FRAMES)
