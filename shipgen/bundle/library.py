"""Bundles by name: those that come with the package, and those in a folder of the user's."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shipgen.bundle.index import index_hash
from shipgen.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is in every bundle.
INDEX = "bundle.json"

#: Where the bundles of the package are.
PACKAGE = Path(__file__).parents[1] / "bundles"

#: The environment's word for the user's folder.
VARIABLE = "SHIPGEN_BUNDLES"

#: What a bundle may be called to be found by that.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_name(text: str) -> bool:
    """Return whether `text` can be the name of a bundle, which is no path."""
    return _NAME.fullmatch(text) is not None


def user_folder() -> Path:
    """Return the user's folder of bundles: ``SHIPGEN_BUNDLES``, or ``shipgen/bundles`` where data is kept."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "shipgen" / "bundles"


def locate(bundle: Path | str) -> Path:
    """Return the folder that is meant by a path or a name.

    What is at the path wins, then bundles of the package, then those of the user; a path that leads nowhere
    and is no name of one is returned as it is.
    """
    path = Path(bundle)
    if len(path.parts) == 1 and is_name(path.name) and not path.exists():
        for folder in (PACKAGE, user_folder()):
            if (folder / path / INDEX).is_file():
                return folder / path
    return path.parent if path.name == INDEX else path


def named() -> Iterator[tuple[str, Path]]:
    """Yield name and folder of each bundle that can be found by name, those of the package first."""
    seen = set()
    for folder in (PACKAGE, user_folder()):
        for index in sorted(folder.glob(f"*/{INDEX}")):
            name = index.parent.name
            if is_name(name) and name not in seen:
                seen.add(name)
                yield name, index.parent


def known(sha256: object) -> tuple[str, Path] | None:
    """Return name and folder of the bundle of that hash, if one can be found by name."""
    for name, folder in named():
        with suppress(OSError, BundleError):
            if index_hash(folder / INDEX) == sha256:
                return name, folder
    return None
