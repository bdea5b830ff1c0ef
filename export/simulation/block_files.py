"""Finished blocks as files in a work folder, so that an interrupted simulation goes on where it was."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import complete_file
from shipgen_export.simulation.block import ProtonBlock

if TYPE_CHECKING:
    from pathlib import Path

_NUMBER, _PROTONS, _EVENTS, _COLUMN = "number", "protons", "heavy_events", "column_"


def block_file(folder: Path, number: int, protons: int) -> Path:
    """Return where the block of that number with so many protons belongs."""
    return folder / f"block-{number:06d}-{protons}.npz"


def write_block(path: Path, block: ProtonBlock) -> None:
    """Write a block; the file appears when it is complete."""
    content: dict[str, Any] = {
        _NUMBER: np.int64(block.number),
        _PROTONS: np.int64(block.protons),
        _EVENTS: np.frombuffer(json.dumps(block.heavy_events).encode(), dtype=np.uint8),
        **{_COLUMN + name: column for name, column in block.columns.items()},
    }
    with complete_file(path, force=True) as part, part.open("wb") as file:
        np.savez(file, **content)


def read_block(path: Path) -> ProtonBlock:
    """Read a block.

    Raises
    ------
    InputError
        The file is damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            columns = {
                name.removeprefix(_COLUMN): file[name] for name in file.files if name.startswith(_COLUMN)
            }
            events = json.loads(file[_EVENTS].tobytes())
            return ProtonBlock(int(file[_NUMBER]), int(file[_PROTONS]), columns, events)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged: run again, and it is simulated anew ({error})") from error
