"""ROOT's own records: the same bytes as uproot's, and files without a place that belongs to nothing."""

from __future__ import annotations

import io
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest
import uproot

from shipgen.files.layouts import MUONBACK, TRAINING, TTREE, Layout
from shipgen.files.root.records import frame, string, text_record
from shipgen.files.root.trees import TreeBranch, tree_record

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("layout", [MUONBACK, TTREE, TRAINING], ids=lambda layout: layout.name)
def test_a_tree_is_uproots_to_the_last_byte(layout: Layout) -> None:
    """But for the places of the baskets, which are put where uproot had put its own."""
    sizes, content = (7, 300), io.BytesIO()
    with uproot.recreate(content, compression=None) as file:
        tree = file.mktree(layout.tree, layout.branch_types(), initial_basket_capacity=len(sizes) + 1)
        for n in sizes:
            tree.extend({name: np.zeros(n, dtype) for name, dtype in layout.branch_types().items()})
        raw = content.getvalue()
    with uproot.open(io.BytesIO(raw)) as file:
        key, read = file.key(layout.tree), file[layout.tree]
        theirs = raw[key.fSeekKey + key.fKeylen : key.fSeekKey + key.fNbytes]
        branches = [
            TreeBranch(
                branch.name,
                branch.dtype,
                read[branch.name].member("fBasketSeek")[: len(sizes)],
                read[branch.name].member("fBasketBytes")[: len(sizes)],
                read[branch.name].member("fTotBytes"),
            )
            for branch in layout.branches
        ]
    made = tree_record(layout.tree, branches, np.array(sizes))
    assert made.content == theirs
    assert made.key(1234)[34:] == raw[key.fSeekKey + 34 : key.fSeekKey + key.fKeylen]


def test_the_streamers_are_those_of_uproot() -> None:
    """Made by the macro; what a new version of uproot writes otherwise is seen here."""
    macro = runpy.run_path(str(REPOSITORY / "macros" / "tree_streamers.py"))
    assert macro["OUTPUT"].read_bytes() == macro["compressed"](macro["streamers"]())


@pytest.mark.parametrize("length", [0, 254, 255, 70_000])
def test_texts_of_any_length(length: int) -> None:
    """Read back by uproot, which also finds no place in the file that belongs to nothing."""
    text, first, end = "x" * length, 1000, 5000
    head, tail = frame(first, end, [text_record("note", text), text_record("other", "y")], 505)
    content = head + b"\xff" * (end - first) + tail
    assert len(head) == first
    with uproot.open(io.BytesIO(content)) as file:
        assert {name: str(file[name]) for name in file.keys(cycle=False)} == {"note": text, "other": "y"}
        assert str(file.file.compression) == "ZSTD(5)"
        assert (file.file.fEND, file.file.fSeekFree < len(content)) == (len(content), True)
    place, found = 100, []
    while place < len(content):
        (size,) = struct.unpack_from(">i", content, place)
        if place == first:
            size = end - first
        found.append(size)
        place += abs(size)
    # The directory, a gap, what lies in the file, two texts, streamers, the list of keys and that of gaps.
    assert place == len(content)
    assert [size < 0 for size in found] == [False, True, *[False] * 6]


def test_strings() -> None:
    assert string("é") == b"\x02\xc3\xa9"
    assert string("a" * 255) == b"\xff\x00\x00\x00\xff" + b"a" * 255
