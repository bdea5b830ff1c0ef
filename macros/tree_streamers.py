#!/usr/bin/env python3
"""Make shipgen/files/root/tree_streamers.bin: ROOT's classes of a tree, as they are stored.

Usage: tree_streamers.py [OUTPUT]      (pip install 'shipgen[cpu]')

They are taken from a file that uproot writes, and compressed by ZLIB, as ROOT stores them.
"""

from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

import uproot

OUTPUT = Path(__file__).resolve().parents[1] / "shipgen/files/root/tree_streamers.bin"


def streamers() -> bytes:
    """Return the content of the record of streamers in uproot's file of a tree."""
    file = io.BytesIO()
    with uproot.recreate(file) as made:
        made.mktree("tree", {"x": "f4"})
        made["text"] = ""
        content = file.getvalue()
    with uproot.open(io.BytesIO(content)) as read:
        start, size = read.file.fSeekInfo, read.file.fNbytesInfo
    record = content[start : start + size]
    # Bytes of the key, behind those of the record, the version, the object's bytes and the date.
    return record[int.from_bytes(record[14:16], "big") :]


def compressed(content: bytes) -> bytes:
    """Return `content` as ROOT compresses it (core/zip/src/RZip.cxx)."""
    text = zlib.compress(content, 9)
    sizes = len(text).to_bytes(3, "little") + len(content).to_bytes(3, "little")
    return b"ZL\x08" + sizes + text


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT).write_bytes(compressed(streamers()))
