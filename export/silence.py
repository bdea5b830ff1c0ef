"""Silence for libraries that print from compiled code, or make folders in the user's home."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


@contextmanager
def silenced() -> Iterator[None]:
    """Discard what is printed to stdout and stderr, by compiled code as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(stream, os.dup(stream)) for stream in (_STDOUT, _STDERR)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream, _ in saved:
            os.dup2(nowhere, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


@contextmanager
def away_from_home() -> Iterator[None]:
    """Have Matplotlib and Keras, where they are imported within, put their folders elsewhere, for so long.

    They make them in the home of whoever imports them, for settings and a list of fonts. A user who has one
    keeps it.
    """
    places = {
        "MPLCONFIGDIR": [
            f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/matplotlib",
            f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/matplotlib",
        ],
        "KERAS_HOME": ["~/.keras"],
    }
    chosen = [
        variable
        for variable, folders in places.items()
        if variable not in os.environ
        and not any(Path(os.path.expanduser(folder)).exists() for folder in folders)  # noqa: PTH111
    ]
    with TemporaryDirectory(prefix="shipgen-") as folder:
        os.environ.update(dict.fromkeys(chosen, folder))
        try:
            yield
        finally:
            for variable in chosen:
                del os.environ[variable]
