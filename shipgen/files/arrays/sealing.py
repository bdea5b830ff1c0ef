"""The seal of a file of arrays, as ROOT files have one, and where such a file ends.

The numbers have checksums of their own; the seal is a hash of what the file says of itself (JSON), and of the
names and types of its columns. Files of others, and of earlier versions, have none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY, SEAL_KEY
from shipgen.files.seals import check_pot
from shipgen.provenance import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np

    from shipgen.files.arrays.fields import ArraySource

#: What the seal covers.
TEXTS = (PROVENANCE_KEY, FILE_SUMMARY_KEY)

#: Where an HDF5 superblock of each version has the address of the file's end, and its own kind of addresses.
_HDF5_ENDS = {0: (40, 13), 1: (44, 13), 2: (28, 9), 3: (28, 9)}

#: How the last record of a zip archive begins, its bytes without the comment behind it, and that one's most.
_ZIP_END, _ZIP_LENGTH, _ZIP_COMMENT = b"PK\x05\x06", 22, 2**16


def sealed(texts: Mapping[str, str], stored: Mapping[str, Any]) -> dict[str, str]:
    """Return `texts`, JSON by name, and the seal on them and on what is `stored` (`ArraySource.stored`)."""
    objects = {name: parse_object(text) for name, text in texts.items()}
    return {**texts, SEAL_KEY: json.dumps({"xxh3": _hash(objects, stored)})}


def type_name(dtype: np.dtype[np.generic], *width: int) -> str:
    """Return the type of a column, or of the rows of a table of some `width`, as seals have it."""
    return f"{dtype.str}{list(width) or ''}"


def check_source(path: Path, source: ArraySource) -> None:
    """Compare what an open file says of itself with its seal, if it has one, and its POT with each other.

    Raises
    ------
    InputError
        It is not as it was written, or contradicts itself.
    """
    objects = {name: found[-1] for name in TEXTS if (found := source.objects(name))}
    if seal := source.objects(SEAL_KEY):
        stated = (seal[-1] or {}).get("xxh3")
        if stated != _hash(objects, source.stored()):
            raise InputError(
                f"{path} is damaged or truncated, or another program has rewritten it: its seal does not "
                "fit, so that what it says of its muons cannot be trusted; get it again as shipgen wrote it"
            )
    check_pot(path, objects.get(PROVENANCE_KEY) or {}, objects.get(FILE_SUMMARY_KEY) or {})


def _hash(objects: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    import xxhash

    text = json.dumps({"texts": objects, "stored": stored}, sort_keys=True)
    return str(xxhash.xxh3_64_hexdigest(text.encode()))


def check_end(path: Path, kind: str) -> None:
    """Raise `InputError` where a file of that `kind` goes on behind its end, as far as its format tells."""
    if kind in _ENDS and (end := _ENDS[kind](path)) is not None and (size := path.stat().st_size) > end:
        raise behind_end(path, end, size)


def behind_end(path: Path, end: int, size: int) -> InputError:
    """Say that a file of so many bytes goes on behind its end."""
    return InputError(
        f"{path} has {size - end:,} bytes behind its end, as of files put together by `cat`: its own are the "
        f"first {end:,}, nothing reads the rest; give each file apart"
    )


def _hdf5_end(path: Path) -> int | None:
    with path.open("rb") as file:
        head = file.read(52)
    place, sizes = _HDF5_ENDS.get(head[8] if len(head) > 8 else -1, (0, 0))
    if not place or len(head) < place + 8 or head[sizes] != 8:
        return None
    return int.from_bytes(head[place : place + 8], "little")


def _npz_end(path: Path) -> int | None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = file.seek(max(0, size - _ZIP_COMMENT - 2 * _ZIP_LENGTH))
        tail = file.read()
    place = tail.rfind(_ZIP_END)
    if place < 0 or len(tail) < place + _ZIP_LENGTH:
        return None
    comment = int.from_bytes(tail[place + _ZIP_LENGTH - 2 : place + _ZIP_LENGTH], "little")
    return start + place + _ZIP_LENGTH + comment


def check_footer(path: Path, metadata: Any) -> None:
    """Raise `InputError` where the muons of a sealed Parquet file do not end where its footer begins.

    `metadata` is pyarrow's of the file.
    """
    with path.open("rb") as file:
        start = file.seek(-8, 2) - int.from_bytes(file.read(4), "little")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    end = max((one.data_page_offset + one.total_compressed_size for one in columns), default=start)
    if start > end:
        raise InputError(
            f"{path} has {start - end:,} bytes between its muons and what it says of them, as of files put "
            "together by `cat`: give each file apart"
        )


_ENDS: dict[str, Callable[[Path], int | None]] = {"hdf5": _hdf5_end, "npz": _npz_end}
