"""What files say of themselves: versions, and reading the JSON objects back."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import metadata
from platform import python_version
from typing import TYPE_CHECKING, Any

from shipgen.numbers import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    found = {"python": python_version()}
    for package in packages:
        # The GPU build of ONNX Runtime is a distribution of its own.
        for name in (package, f"{package}-gpu"):
            try:
                found[name] = metadata.version(name)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def without_folders(text: str) -> str:
    """Reduce the paths in a line of text to their last part: a file tells nothing of a machine's folders.

    Two numbers, as of the shard 3/8, are no path.
    """
    return re.sub(r"(?<![^\s='\"])(?!\d+/\d+(?!\S))[^\s='\"]*/(?=[^\s/])", "", text)


def command_line() -> str:
    """Return the command that runs now, as it is recorded in its output: without folders."""
    return without_folders(shlex.join(["shipgen", *sys.argv[1:]]))


def cycles(file: Any, name: str) -> list[str]:
    """Return the keys (``NAME;1``, ``NAME;2``) of all cycles of `name` in an open uproot file, first to last.

    There are several where files were merged: ROOT's ``hadd`` keeps one of each file.
    """
    keys = [key for key in file.keys(recursive=False) if key.rpartition(";")[0] == name]
    return sorted(keys, key=lambda key: int(key.rpartition(";")[2]))


def read_objects(file: Any, name: str) -> list[dict[str, Any] | None]:
    """Return the JSON objects of all cycles of `name`, ``None`` for what is no JSON object."""
    return [parse_object(str(file[key])) for key in cycles(file, name)]


def read_object(file: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the JSON object called `name` of an open uproot file (its last cycle), ``None`` without one."""
    return parse_object(str(file[name])) if name in file else None


def parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in `text`, ``None`` for what is none."""
    try:
        content = parse_json(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
