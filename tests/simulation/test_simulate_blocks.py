"""Blocks of simulated protons: sizes, files, and the key that tells which of them belong together."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen_export.simulation import simulate as simulate_module
from shipgen_export.simulation.block import ProtonBlock, SimulationSettings
from shipgen_export.simulation.block_files import block_file, read_block, write_block
from shipgen_export.simulation.sample_facts import code_digest
from shipgen_export.simulation.simulate import BLOCK_PROTONS, even_blocks, simulate
from shipgen_export.simulation.target import read_target

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

PROTONS = 100


@pytest.mark.parametrize("largest", [2, 7, 60, BLOCK_PROTONS])
def test_blocks_are_about_even_for_an_even_number_of_cores(largest: int) -> None:
    for protons in {1, largest // 2, largest // 2 + 1, largest, largest + 1, 10 * largest + 3}:
        size = even_blocks(protons, largest)
        blocks, last = -(-protons // size), (protons - 1) % size + 1
        assert 1 <= size <= largest
        assert size - last < blocks
        assert blocks == 1 if protons <= largest // 2 else blocks % 2 == 0 or size < 2 * blocks


def test_blocks_of_a_large_sample() -> None:
    """200,000 protons: 34 blocks, not 33 full ones and a rest."""
    assert even_blocks(200_000, BLOCK_PROTONS) == 5883


def test_blocks_come_back_as_written_and_damage_is_one_line(tmp_path: Path) -> None:
    columns = {"pdg": np.array([13, -13], dtype=np.int32), "weight": np.array([0.5, 0.25])}
    path = block_file(tmp_path, 3, 100)
    write_block(path, ProtonBlock(3, 100, columns, {"CHARM": 7}))
    block = read_block(path)
    assert (block.number, block.protons, block.heavy_events) == (3, 100, {"CHARM": 7})
    for name, column in columns.items():
        np.testing.assert_array_equal(block.columns[name], column)
        assert block.columns[name].dtype == column.dtype
    whole = path.read_bytes()
    for content in (b"", whole[:200], whole[:-30], whole.replace(b"column_pdg", b"column_xyz")[:-1]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"block-000003-100\.npz is damaged: run again"):
            read_block(path)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ('{"work": "shipgen prepare", "seed": "of another kind"}', "work shipgen prepare, but shipgen sim"),
        ('{"work": "shipgen simulate", "seed": "seven"}', "unfinished work with seed seven"),
        ('{"work": "shipgen simulate"}', "unfinished work with seed not given"),
        ('{"work": "ship', "work.json"),
        ("[7]", "work.json"),
    ],
)
def test_other_work_beside_the_output_is_one_clear_error(tmp_path: Path, left: str, said: str) -> None:
    """Not asked for a seed, and whatever stands where one could be."""
    work = tmp_path / "a.root.work"
    work.mkdir()
    (work / "work.json").write_text(left, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        simulate(tmp_path / "a.root", protons=PROTONS)
    assert (work / "work.json").read_text(encoding="utf-8") == left


def test_blocks_of_other_physics_are_not_mixed_in(tmp_path: Path) -> None:
    """The key of unfinished work holds a digest of the simulation's source."""
    source = tmp_path / "source"
    (source / "physics").mkdir(parents=True)
    decays = source / "physics" / "decays.py"
    decays.write_text("RATIO = 1.0\n", encoding="utf-8")
    before = code_digest(source)
    assert before == code_digest(source)
    (source / "notes.txt").touch()
    assert code_digest(source) == before
    decays.write_text("RATIO = 2.0\n", encoding="utf-8")
    assert code_digest(source) != before

    key = simulate_module._key(SimulationSettings(7, 10.0, read_target(), PROTONS // 2))
    work = tmp_path / "a.root.work"
    work.mkdir()
    (work / "work.json").write_text(json.dumps({**key, "code": before}), encoding="utf-8")
    with pytest.raises(InputError, match=f"unfinished work with code {before}"):
        simulate(tmp_path / "a.root", protons=PROTONS, block_protons=PROTONS // 2)


def test_a_survival_table_of_other_slabs_is_refused_before_anything_is_made(
    shipgen: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    text = (resources.files("shipgen_export.simulation") / "targets" / "ship2018.toml").read_text()
    (tmp_path / "short.toml").write_text(text.replace("[480.0]", "[150.0]"), encoding="utf-8")
    result = shipgen("simulate", "-o", "a.root", "--protons", "10", "--target", "short.toml")
    assert (result.returncode, result.stdout) == (3, "")
    assert "its slabs take 5.14 GeV" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["short.toml"]
