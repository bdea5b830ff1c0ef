"""Compressions by name, and blocks compressed as ROOT stores them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.muons.columns import Array

#: Algorithms ROOT knows and uproot writes, with the levels each takes.
COMPRESSIONS = {"zstd": range(1, 23), "lz4": range(13), "zlib": range(10), "lzma": range(10)}
DEFAULT_COMPRESSION = "zstd:1"

#: ROOT's numbers of them.
_NUMBERS = {"zlib": 1, "lzma": 2, "lz4": 4, "zstd": 5}

#: What ROOT is told of a file without.
NO_COMPRESSION = 100

#: Bytes before a compressed block: algorithm, its version, sizes after and before.
_ROOT_HEADER = 9


@dataclass(frozen=True, slots=True)
class Compression:
    """How blocks are compressed.

    Attributes
    ----------
    algorithm : str
        One of `COMPRESSIONS`.
    level : int
        As that has them.
    """

    algorithm: str
    level: int

    @property
    def code(self) -> int:
        """ROOT's number of it."""
        return 100 * _NUMBERS[self.algorithm] + self.level

    def uproots(self) -> Any:
        """Return what uproot calls it."""
        import uproot

        return getattr(uproot, self.algorithm.upper())(self.level)


def check_compression(text: str, kind: str) -> None:
    """Raise `InputError` where there is no such compression, or a file of that `kind` leaves no choice."""
    parse_compression(text)
    if kind != "root" and text != DEFAULT_COMPRESSION:
        raise InputError(
            f"compression {text} would be without effect: ROOT files have a choice, {kind} arrays do not; "
            "leave it out"
        )


def parse_compression(text: str) -> Compression | None:
    """Turn ``zstd:1`` and the like into a compression; ``none`` into ``None``."""
    if text == "none":
        return None
    name, _, level = text.partition(":")
    levels = COMPRESSIONS.get(name)
    if levels is None or not (level or "1").isdecimal() or int(level or "1") not in levels:
        choices = ", ".join(f"{key}:{span[0]} to {key}:{span[-1]}" for key, span in COMPRESSIONS.items())
        raise InputError(f"no compression {text!r}: choose none or {choices}")
    return Compression(name, int(level or "1"))


def compression_name(compression: Compression | None) -> str:
    """Return a compression as `parse_compression` takes it."""
    return "none" if compression is None else f"{compression.algorithm}:{compression.level}"


def compressor(compression: Compression | None) -> Callable[[Array], tuple[bytes, Any]]:
    """Return what turns content, uint8[n], into head and data as ROOT stores it; calls are independent."""
    if compression is None:
        return _as_it_is
    return Zstd(compression.level) if compression.algorithm == "zstd" else _ByUproot(compression)


def _as_it_is(content: Array) -> tuple[bytes, Any]:
    return b"", content


class _ByUproot:
    """Compresses by uproot."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression

    def __call__(self, content: Array) -> tuple[bytes, Any]:
        """Return head and data of `content`, both in the data; itself if it cannot be compressed."""
        from uproot.compression import compress

        return b"", compress(content, self._compression.uproots())


class Zstd:
    """Compresses by ZSTD, each thread with a context of its own, where uproot begins a new one each time.

    That, and for level 1 a table of matches that stays in the processor's first cache, takes a fifth less
    time, and gives blocks of the same size.

    Parameters
    ----------
    level : int
        1 to 22.
    """

    def __init__(self, level: int) -> None:
        import zstandard

        other = {"hash_log": 10} if level == 1 else {}
        self._level = level
        self._parameters = zstandard.ZstdCompressionParameters.from_level(level, **other)
        self._local = threading.local()

    def __reduce__(self) -> tuple[type[Zstd], tuple[int]]:
        """Make it again: what it compresses with belongs to a process."""
        return type(self), (self._level,)

    def __call__(self, content: Array) -> tuple[bytes, Any]:
        """Return head and data of `content` as ROOT stores it; itself if it cannot be compressed."""
        if not hasattr(self._local, "context"):
            import zstandard

            self._local.context = zstandard.ZstdCompressor(compression_params=self._parameters)
        data: bytes = self._local.context.compress(content)
        if len(data) + _ROOT_HEADER >= content.nbytes:
            return b"", content
        return zstd_head(len(data), content.nbytes), data


def zstd_head(stored: int, size: int) -> bytes:
    """Return what ROOT has before a block (core/zstd/src/ZipZSTD.cxx), which is below the 16 MiB that fit."""
    return b"ZS\x01" + stored.to_bytes(3, "little") + size.to_bytes(3, "little")
