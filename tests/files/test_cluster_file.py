"""Growing files and their journal: cut off anywhere, taken up again, beyond 2 GB."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import uproot
import zstandard

from shipgen.files.cluster_file import ClusterFile, intact
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import Compression, parse_compression
from shipgen.files.journal import Journal, JournalContent, JournalEntry, read_journal
from shipgen.files.layouts import MUONBACK, OUTPUT_LAYOUTS
from shipgen.files.root_storage import Stored
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.files.clusters import Cluster
    from shipgen.files.layouts import Layout

RNG = np.random.default_rng(1)
CONSTANTS = {"energy_cut": 10.0, "weight": 0.5}
SIZES = (500, 1, 2000)


def columns(n: int) -> dict[str, np.ndarray]:
    return {
        "pdg": RNG.choice(np.array([-13, 13], np.int32), n),
        **{name: RNG.normal(size=n).astype(np.float32) for name in ("x", "y", "z", "px", "py", "pz")},
    }


BATCHES = [columns(n) for n in SIZES]


def encode(layout: Layout, compression: str) -> list[Cluster]:
    encoder = ClusterEncoder(layout, CONSTANTS, 0.0, parse_compression(compression))
    return [encoder(batch) for batch in BATCHES]


def check(path: Path, layout: Layout) -> None:
    with uproot.open(path) as file:
        assert str(file["note"]) == "text"
        read = file[layout.tree].arrays(library="np")
    for name in ("px", "py", "pz"):
        expected = np.concatenate([batch[name] for batch in BATCHES])
        np.testing.assert_array_equal(read[name], expected)
    assert list(read) == [branch.name for branch in layout.branches]
    assert (read[layout.branches[1].name if layout.rntuple else "w"] == 0.5).all()


@pytest.mark.parametrize("layout", list(OUTPUT_LAYOUTS.values()), ids=list(OUTPUT_LAYOUTS))
@pytest.mark.parametrize("compression", ["none", "zstd:1", "lz4:1", "zlib:1"])
def test_round_trip(tmp_path: Path, layout: Layout, compression: str) -> None:
    with ClusterFile(tmp_path / "f.root", layout, parse_compression(compression)) as file:
        for cluster in encode(layout, compression):
            file.append(cluster)
        assert file.rows == sum(SIZES)
        file.finish({"note": "text"})
    check(tmp_path / "f.root", layout)


def test_the_system_is_told_to_write_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cluster when it is there, and again some clusters later, when it is on disk; elsewhere nothing."""
    told: list[tuple[int, int, int]] = []
    (cluster,) = encode(MUONBACK, "zstd:1")[:1]
    with ClusterFile(tmp_path / "f.root", MUONBACK, None) as file:
        monkeypatch.setattr(os, "posix_fadvise", lambda _, *what: told.append(what))
        stored = [file.append(cluster) for _ in range(12)]
        for number, (start, length, advice) in enumerate(told):
            assert start == stored[max(number - 7, 0)].start
            assert start + length == stored[number].end
            assert advice == os.POSIX_FADV_DONTNEED
        assert len(told) == 12

        def refuse(*_: int) -> None:
            raise OSError("not on this disk")

        monkeypatch.setattr(os, "posix_fadvise", refuse)
        file.append(cluster)
        monkeypatch.delattr(os, "posix_fadvise")
        assert file.append(cluster).end > stored[-1].end


@pytest.mark.parametrize("level", [1, 3])
def test_zstd_blocks_are_as_uproots(level: int) -> None:
    """As small or smaller, read by uproot, from several threads; what cannot be compressed is kept."""
    from uproot.compression import compress

    codes = RNG.choice(np.array([-13, 13], np.int32), CHUNK_SIZE)
    batch = {**columns(CHUNK_SIZE), "pdg": codes, "x": RNG.normal(size=CHUNK_SIZE).astype(np.float32)}
    batch["x"][RNG.random(CHUNK_SIZE) < 0.25] = 0
    batch["py"] = (RNG.integers(0, 2**32, CHUNK_SIZE, np.uint32) & np.uint32(0xBFFFFFFF)).view(np.float32)
    compression = Compression("zstd", level)
    encoder = ClusterEncoder(MUONBACK, CONSTANTS, 0.0, compression)
    with ThreadPoolExecutor(2) as pool:
        clusters = list(pool.map(encoder, [batch] * 4))
    names = [branch.name for branch in MUONBACK.branches]
    for name, values in (("id", codes.astype(">f4")), ("px", batch["px"].astype(">f4")), ("py", None)):
        blocks = [cluster.blocks[names.index(name)] for cluster in clusters]
        assert len({bytes(block.data) for block in blocks}) == 1
        block = blocks[0]
        if values is None:
            assert len(block) == block.size
            continue
        theirs = compress(values.view(np.uint8), compression.uproots())
        if name == "id":
            # A bit a muon, where ZSTD's own encoder takes two to three.
            assert CHUNK_SIZE / 8 < len(block) < min(0.127 * CHUNK_SIZE, 0.5 * len(theirs))
        else:
            assert len(block) == pytest.approx(len(theirs), rel=0.01)
        assert block.head[:3] == bytes(theirs[:3])
        content = zstandard.decompress(block.data)
        np.testing.assert_array_equal(np.frombuffer(content, ">f4"), values)
        assert (int.from_bytes(block.head[3:6], "little"), int.from_bytes(block.head[6:], "little")) == (
            len(block.data),
            block.size,
        )


@pytest.mark.parametrize("layout", list(OUTPUT_LAYOUTS.values()), ids=list(OUTPUT_LAYOUTS))
def test_cut_off_anywhere_and_taken_up(tmp_path: Path, layout: Layout) -> None:
    """Including a file that was complete but for its name, and one with a changed byte."""
    path, clusters = tmp_path / "f.root", encode(layout, "zstd:1")
    with ClusterFile(path, layout, None) as file:
        stored = [file.append(cluster) for cluster in clusters]
        file.finish({"note": "wrong"})
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[stored[1].start + 5] ^= 1
    ends = [0, stored[0].start, stored[0].end - 1, stored[0].end, stored[1].end + 7, len(content) - 1]
    for text, good in zip(
        (*(content[:end] for end in ends), bytes(damaged)), (0, 0, 0, 1, 2, 3, 1), strict=True
    ):
        path.write_bytes(text)
        kept = intact(path, layout, stored)
        assert len(kept) == good
        with ClusterFile(path, layout, None, kept) as file:
            for cluster in clusters[good:]:
                file.append(cluster)
            assert file.stored == stored
            file.finish({"note": "text"})
        check(path, layout)
    path.unlink()
    assert intact(path, layout, stored) == []


PROGRAM = """
import sys, ROOT
for path, tree in zip(sys.argv[1::2], sys.argv[2::2]):
    file = ROOT.TFile.Open(path)
    print(file.IsZombie(), file.TestBit(ROOT.TFile.kRecovered))
    frame = ROOT.RDataFrame(tree, path)
    print(frame.Count().GetValue(), frame.Sum("pz").GetValue())
"""


def test_beyond_2_gb(tmp_path: Path) -> None:
    """With a hole of 5 GB in place of clusters, which takes no room on disk; one process of ROOT for all."""
    words: list[Path | str] = []
    for name, layout in OUTPUT_LAYOUTS.items():
        path, clusters = tmp_path / f"{name}.root", encode(layout, "zstd:1")
        words += [path, layout.tree]
        with ClusterFile(path, layout, parse_compression("zstd:1")) as file:
            file.append(clusters[0])
            file._end = 5 * 2**30
            for cluster in clusters[1:]:
                file.append(cluster)
            file.finish({"note": "text"})
        assert path.stat().st_size > 5 * 2**30
        check(path, layout)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(OUTPUT_LAYOUTS)
    total = sum(batch["pz"].sum(dtype=float) for batch in BATCHES)
    for state, sums in zip(lines[::2], lines[1::2], strict=True):
        assert state == "False False"
        assert [float(word) for word in sums.split()] == [sum(SIZES), pytest.approx(total, rel=1e-6)]


def test_equal_branches_and_constants_are_encoded_once() -> None:
    encoder = ClusterEncoder(MUONBACK, CONSTANTS, 0.0, parse_compression("zstd:1"))
    one, other = (encoder(columns(CHUNK_SIZE)) for _ in range(2))
    names = [branch.name for branch in MUONBACK.branches]
    assert one.blocks[names.index("id")] is one.blocks[names.index("pythiaid")]
    for name in ("parentid", "ecut", "w"):
        assert one.blocks[names.index(name)] is other.blocks[names.index(name)]
        assert len(one.blocks[names.index(name)].data) < 200


@pytest.mark.parametrize("layout", list(OUTPUT_LAYOUTS.values()), ids=list(OUTPUT_LAYOUTS))
@pytest.mark.parametrize("compression", ["none", "lz4:1", "zstd:1"])
def test_clusters_do_not_share_the_callers_memory(layout: Layout, compression: str) -> None:
    """Of numbers that compress and of those that do not: the caller's buffers hold the next chunk by then."""
    encoder = ClusterEncoder(layout, CONSTANTS, 0.0, parse_compression(compression))
    for rows in (3, CHUNK_SIZE):
        batch = columns(rows)
        # Random bits, but for infinities and NaN; and constants, which compress.
        batch["px"] = (RNG.integers(0, 2**32, rows, np.uint32) & np.uint32(0xBFFFFFFF)).view(np.float32)
        batch["py"] = np.zeros(rows, np.float32)
        cluster = encoder(batch)
        before = [bytes(block.data) for block in cluster.blocks]
        for column in batch.values():
            column[:] = 1
        assert [bytes(block.data) for block in cluster.blocks] == before


ENTRIES = [
    JournalEntry(0, Stored(8192, 100, 10, (20, 30), "0f"), (3, 7)),
    JournalEntry(0),
    JournalEntry(1, Stored(8192, 90, 9, (20, 20), "f0"), (9, 0)),
    JournalEntry(1, Stored(8282, 80, 8, (10, 20), "f1", 4.5), (0, 8)),
]

KEY = {"work": "production", "seed": 1}


def test_journal_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, KEY, ENTRIES[:1]) as journal:
        for entry in ENTRIES[1:]:
            journal.add(entry)
    content = path.read_bytes()
    assert read_journal(path) == JournalContent(KEY, ENTRIES, damaged=False)
    head, *ends = [place + 1 for place, byte in enumerate(content) if byte == ord("\n")]
    for size in range(len(content)):
        os.truncate(path, 0)
        path.write_bytes(content[:size])
        found = read_journal(path)
        assert found.key == (KEY if size >= head else None)
        assert found.entries == ENTRIES[: sum(end <= size for end in ends)]
        # What a kill leaves is no damage, but for a first line, which is there at once.
        assert found.damaged == (0 < size < head)
    for rubbish in (b"\0" * 50 + b"\n", b"{}\n", b"[1]\n", b"\xff\n", b"\n"):
        path.write_bytes(content[: ends[0]] + rubbish + content[ends[0] :])
        assert read_journal(path) == JournalContent(KEY, ENTRIES[:1], damaged=True)
    assert read_journal(tmp_path / "none") == JournalContent(None, [], damaged=False)


def test_a_journal_that_was_changed_counts_up_to_there(tmp_path: Path) -> None:
    """Lines are good on their own as well, but each vouches for the one before."""
    path = tmp_path / "journal"
    with Journal(path, KEY, ENTRIES):
        pass
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    for number in range(len(lines)):
        for changed in (
            lines[:number] + lines[number + 1 :],
            lines[:number] + lines[number : number + 1] + lines[number:],
            [*lines[:number], *lines[number + 1 : number + 2], lines[number], *lines[number + 2 :]],
        ):
            path.write_bytes(b"".join(changed))
            same = [one == other for one, other in zip(lines, changed, strict=False)]
            first = [*same, False].index(False)
            found = read_journal(path)
            assert found.entries == ENTRIES[: max(first - 1, 0)]
            assert found.damaged == (first < len(changed))
        for place in range(len(lines[number]) - 1):
            for bit in range(8):
                flipped = bytearray(lines[number])
                flipped[place] ^= 1 << bit
                path.write_bytes(b"".join([*lines[:number], bytes(flipped), *lines[number + 1 :]]))
                found = read_journal(path)
                assert found.damaged
                assert found.entries == ENTRIES[: max(number - 1, 0)]
