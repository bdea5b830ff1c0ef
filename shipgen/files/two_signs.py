"""A column of +-13 as a ZSTD frame of one bit a muon, made without looking for anything.

ZSTD's own encoder takes 16 ns for each such number, and two to three bits. Here all that repeats is said
once: a muon is one literal, which has its sign, and a match of the three bytes that all have in common.
Literals are two symbols of one bit, and all matches are alike, so that their tables have one entry and their
codes no bits. It is the format of RFC 8878 (Y. Collet, M. Kucherawy, 2021), whose sections are named below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: The first byte of 13 and -13, and the three that follow, as big-endian float32.
_PLUS, _MINUS, _REST = 0x41, 0xC1, b"\x50\x00\x00"

#: 3.1.1: magic number; a frame of one segment, whose size is said in four bytes.
_FRAME = bytes.fromhex("28b52ffd a0")

#: 4.2.1: one bit for each of the two first bytes, the weights of all bytes below them being 0.
_TREE = bytes.fromhex("06e00f8008c001")

#: 3.1.1.2: largest block, and the muons it holds; a muon's bytes.
_MUONS, _WIDTH = 2**15, 4

#: 3.1.1.3.1.1: kinds of literals, raw, compressed, and compressed by the tree of the block before; and how
#: the sizes of four streams are stored.
_RAW, _COMPRESSED, _TREELESS, _FOUR_STREAMS = 0, 2, 3, 3

#: 3.1.1.3.2.1: three tables of one entry each.
_ALIKE = b"\x54"

#: Fewer muons are not worth it, and their streams would be too short.
LEAST = 1024


def is_two_signs(values: npt.NDArray[Any]) -> bool:
    """Return whether `values` are enough float32 numbers, each 13 or -13."""
    if values.dtype != np.float32 or len(values) < LEAST or abs(values[0]) != 13:
        return False
    return bool((np.abs(values) == 13).all())


def two_signs(values: npt.NDArray[Any]) -> bytes:
    """Return the ZSTD frame that becomes `values`, float32[n] of `is_two_signs`, as big-endian numbers."""
    minus = np.signbit(values)
    blocks, tree = [_first(minus)], _TREE
    parts = np.array_split(minus[2:], -(-(len(minus) - 2) // _MUONS))
    for number, part in enumerate(parts, 1):
        blocks.append(_header(_block(part, tree), last=number == len(parts)))
        tree = b""
    return b"".join([_FRAME, (len(minus) * _WIDTH).to_bytes(4, "little"), *blocks])


def _header(content: bytes, *, last: bool) -> bytes:
    """Return a compressed block with its header (3.1.1.2)."""
    return (last | 2 << 1 | len(content) << 3).to_bytes(3, "little") + content


def _first(minus: npt.NDArray[np.bool_]) -> bytes:
    """Return the block of two muons that makes a muon's bytes the distance of the match used last.

    Five raw literals, and a match of length 3 at the second of the distances that frames begin with, 4.
    """
    first, second = (bytes([_MINUS if one else _PLUS]) for one in minus[:2])
    literals = first + _REST + second
    head = bytes([_RAW | len(literals) << 3])
    # One sequence: codes of five literals, of distances 2 and 3, of length 3; one bit chooses distance 2.
    return _header(head + literals + b"\x01" + _ALIKE + bytes([len(literals), 1, 0]) + b"\x02", last=False)


def _block(minus: npt.NDArray[np.bool_], tree: bytes) -> bytes:
    """Return the content of a block: a literal a muon, and as many matches at the last distance."""
    n, quarter = len(minus), (len(minus) + 3) // 4
    # From the last symbol to the first, and a bit that marks the end, whatever byte it is in.
    streams = [
        np.packbits(np.append(minus[start : start + quarter][::-1], True), bitorder="little").tobytes()
        for start in range(0, n, quarter)
    ]
    sizes = b"".join(len(stream).to_bytes(2, "little") for stream in streams[:3])
    literals = tree + sizes + b"".join(streams)
    kind = _COMPRESSED if tree else _TREELESS
    head = (kind | _FOUR_STREAMS << 2 | n << 4 | len(literals) << 22).to_bytes(5, "little")
    # Codes of one literal, of the last distance, of length 3; no bits but the one that marks the end.
    return head + literals + _number(n) + _ALIKE + bytes([1, 0, 0]) + b"\x01"


def _number(n: int) -> bytes:
    """Return a number of sequences, 128 at least (3.1.1.3.2.1)."""
    if n < 0x7F00:
        return bytes([(n >> 8) + 128, n & 255])
    return b"\xff" + (n - 0x7F00).to_bytes(2, "little")
