"""Compressions by name."""

from __future__ import annotations

from typing import Any

from shipgen.errors import InputError

#: Algorithms ROOT knows and uproot writes, with the levels each takes.
COMPRESSIONS = {"zstd": range(1, 23), "lz4": range(13), "zlib": range(10), "lzma": range(10)}
DEFAULT_COMPRESSION = "zstd:1"


def check_compression(text: str, kind: str) -> None:
    """Raise `InputError` where there is no such compression, or a file of that `kind` leaves no choice."""
    parse_compression(text)
    if kind != "root" and text != DEFAULT_COMPRESSION:
        raise InputError(
            f"compression {text} would be without effect: ROOT files have a choice, {kind} arrays do not; "
            "leave it out"
        )


def parse_compression(text: str) -> Any:
    """Turn ``zstd:1`` and the like into uproot's compression; ``none`` into ``None``."""
    if text == "none":
        return None
    name, _, level = text.partition(":")
    levels = COMPRESSIONS.get(name)
    if levels is None or not (level or "1").isdecimal() or int(level or "1") not in levels:
        choices = ", ".join(f"{key}:{span[0]} to {key}:{span[-1]}" for key, span in COMPRESSIONS.items())
        raise InputError(f"no compression {text!r}: choose none or {choices}")
    import uproot

    return getattr(uproot, name.upper())(int(level or "1"))


def compression_name(compression: Any) -> str:
    """Return a compression of uproot as `parse_compression` takes it."""
    return "none" if compression is None else f"{type(compression).__name__.lower()}:{compression.level}"
