"""Columns of +-13 as ZSTD frames: every reader of ZSTD gets them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot
import zstandard

from shipgen import MuonGenerator
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import parse_compression
from shipgen.files.layouts import MUONBACK
from shipgen.files.two_signs import LEAST, is_two_signs, two_signs
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Float32


def charges(n: int, share: float = 0.5) -> Float32:
    return np.where(np.random.default_rng(n).random(n) < share, 13, -13).astype(np.float32)


@pytest.mark.parametrize(
    "n",
    [
        LEAST,
        LEAST + 1,
        LEAST + 2,
        LEAST + 3,
        32_511,
        32_514,
        32_769,
        32_770,
        32_771,
        65_538,
        262_143,
        CHUNK_SIZE,
    ],
)
def test_a_frame_becomes_the_column(n: int) -> None:
    """Of lengths at which blocks, streams and the number of sequences are stored in other ways."""
    values = charges(n)
    assert is_two_signs(values)
    frame = two_signs(values)
    assert zstandard.ZstdDecompressor().decompress(frame) == values.astype(">f4").tobytes()
    assert zstandard.get_frame_parameters(frame).content_size == 4 * n
    assert len(frame) < n / 8 + 60 * (1 + n / 32_768)


@pytest.mark.parametrize("share", [0.0, 0.001, 1.0])
def test_of_one_charge_alone(share: float) -> None:
    values = charges(40_000, share)
    assert zstandard.ZstdDecompressor().decompress(two_signs(values)) == values.astype(">f4").tobytes()


def test_other_columns_are_none_of_these() -> None:
    values = charges(5000)
    other = values.copy()
    other[4321] = 12
    wrong = (other, np.where(values > 0, values, np.nan), values[: LEAST - 1], values.astype(np.float64))
    for column in (*wrong, values.astype(np.int32), np.zeros_like(values)):
        assert not is_two_signs(column)


@pytest.mark.parametrize("compression", ["zstd:1", "zstd:9"])
def test_encoders_use_them(compression: str) -> None:
    batch = next(iter(MuonGenerator(n=50_000, seed=1, exact=True)))
    encode = ClusterEncoder(
        MUONBACK, {"energy_cut": 10.0}, batch.target_start, parse_compression(compression)
    )
    block = encode(batch.columns()).blocks[0]
    assert block.data == two_signs(batch.pdg.astype(np.float32))
    assert block.head[:3] == b"ZS\x01"
    assert int.from_bytes(block.head[3:6], "little") == len(block.data)
    assert int.from_bytes(block.head[6:], "little") == block.size == 200_000


def test_uproot_reads_them(tmp_path: Path) -> None:
    generator = MuonGenerator(n=300_000, seed=1, exact=True)
    produce(generator, tmp_path / "muons.root")
    with uproot.open(tmp_path / "muons.root") as file:
        stored = file[MUONBACK.tree].arrays(["id", "pythiaid"], library="np")
    for name in ("id", "pythiaid"):
        np.testing.assert_array_equal(stored[name], generator.to_batch().pdg)
