"""A ROOT file with one directory, around data that lie in it already.

What stands before them is the file's header and its directory; behind them lie objects, the streamers that
tell other versions of ROOT how the tree's classes are stored, the list of keys and that of free space. All
places are of 64 bits, in files of any size. Sources: ROOT, io/doc/TFile: header.md, tdirectory.md,
datarecord.md, freesegments.md, streamerinfo.md, tobjstring.md. Tests compare with uproot, which writes the
same, but needs a third of a second to be imported.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from importlib.resources import files

#: Where a file's directory begins, and with it whatever states its place.
DIRECTORY = 100

#: Fixed part of a key in a file of any size: bytes in all, version, bytes of the object, date, bytes of the
#: key, cycle, place, place of the directory.
KEY = struct.Struct(">ihiIhhqq")
KEY_VERSION = 1004

#: Of ROOT 6.24 with places of 64 bits, as the numbers of a header, a directory and free space have it.
_FILE_VERSION, _DIRECTORY_VERSION, _FREE_VERSION = 1_062_400, 1005, 1001

#: Mark, version, first byte, end, place and bytes of the list of free space, its length, bytes of the name,
#: bytes of a place, compression, place and bytes of the streamers.
_HEADER = struct.Struct(">4siiqqiiiBiqi")

#: Version, dates of making and change, bytes of the keys, bytes of the name, places of the directory, of that
#: above it, and of its keys.
_DIRECTORY = struct.Struct(">hIIiiqqq")
_FREE = struct.Struct(">hqq")

#: Of a TUUID, before its 16 bytes.
_UUID_VERSION = b"\x00\x01"

#: What a file is called within itself.
_NAME = "muons.root"

#: End of free space behind a file, doubled until it is.
_INFINITY = 2_000_000_000

#: Marks numbers of bytes, of which they are a part.
_BYTES = 0x40000000

#: Of objects in memory that were not deleted, which all are.
_BITS = 0x03000000


@dataclass(frozen=True, slots=True)
class Record:
    """An object to store.

    Attributes
    ----------
    kind, name, title : str
        Its class, name and title.
    content : bytes
        As it is stored.
    size : int, optional
        Its bytes before compression, where it is compressed.
    """

    kind: str
    name: str
    title: str
    content: bytes
    size: int | None = None

    def key(self, place: int) -> bytes:
        """Return what stands before the content, if it begins at `place`; lists of keys have the same."""
        names = string(self.kind) + string(self.name) + string(self.title)
        length, size = KEY.size + len(names), len(self.content)
        fixed = KEY.pack(
            length + size, KEY_VERSION, self.size or size, _now(), length, 1, place, DIRECTORY
        )  # fmt: skip
        return fixed + names

    def at(self, place: int) -> bytes:
        """Return all of it, to be stored at `place`."""
        return self.key(place) + self.content


def string(text: str) -> bytes:
    """Return `text` as ROOT stores it."""
    content = text.encode()
    if len(content) < 255:
        return bytes([len(content)]) + content
    return b"\xff" + len(content).to_bytes(4, "big") + content


def versioned(version: int, content: bytes) -> bytes:
    """Return the `content` of an object of a class with its size and the class's version before it."""
    return struct.pack(">IH", len(content) + 2 | _BYTES, version) + content


def bare_object(bits: int = 0) -> bytes:
    """Return a TObject with `bits` set."""
    return struct.pack(">HII", 1, 0, _BITS | bits)


def named(name: str, title: str, bits: int = 0) -> bytes:
    """Return a TNamed."""
    return versioned(1, bare_object(bits) + string(name) + string(title))


def any_object(kind: str, content: bytes) -> bytes:
    """Return an object that a pointer leads to, with the name of its class."""
    text = kind.encode() + b"\x00" + content
    return struct.pack(">II", len(text) + 4 | _BYTES, 0xFFFFFFFF) + text


def object_array(members: list[bytes], bits: int = 0) -> bytes:
    """Return a TObjArray."""
    return versioned(
        3, bare_object(bits) + string("") + struct.pack(">ii", len(members), 0) + b"".join(members)
    )


def text_record(name: str, text: str) -> Record:
    """Return a TObjString `text`."""
    return Record("TObjString", name, "Collectable string class", versioned(1, bare_object() + string(text)))


def frame(first: int, end: int, records: list[Record], compression: int) -> tuple[bytes, bytes]:
    """Return what stands before and behind data in a file, which make it one of ROOT.

    Parameters
    ----------
    first, end : int
        Where the data lie: first byte, and first byte behind them.
    records : list of Record
        The directory's objects.
    compression : int
        What ROOT is told of it: a hundred times the algorithm, and the level.

    Returns
    -------
    head, tail : bytes
        From the beginning of the file on to `first`, and from `end` on.
    """
    tail, place, keys = [], end, []
    for record in records:
        keys.append(record.key(place))
        tail.append(keys[-1] + record.content)
        place += len(tail[-1])
    streamers, streamers_place = _streamers().at(place), place
    place += len(streamers)
    listed, listed_place = _own(struct.pack(">i", len(keys)) + b"".join(keys)).at(place), place
    place += len(listed)
    identity = _UUID_VERSION + os.urandom(16)
    name_size = len(_own(b"").key(0)) + len(string(_NAME) + string(""))
    directory = _DIRECTORY.pack(
        _DIRECTORY_VERSION, _now(), _now(), len(listed), name_size, DIRECTORY, 0, listed_place
    )  # fmt: skip
    own = _own(string(_NAME) + string("") + directory + identity)
    begin = DIRECTORY + len(own.at(DIRECTORY))
    # The gap before the data, and all behind the file.
    free_size = len(_own(b"\0" * 2 * _FREE.size).at(place))
    beyond = _INFINITY
    while beyond <= place + free_size:
        beyond *= 2
    gaps = _FREE.pack(_FREE_VERSION, begin, first - 1) + _FREE.pack(
        _FREE_VERSION, place + free_size, beyond
    )  # fmt: skip
    free = _own(gaps).at(place)
    header = _HEADER.pack(
        b"root", _FILE_VERSION, DIRECTORY, place + free_size, place, free_size, 2, name_size, 8, compression,
        streamers_place, len(streamers),
    )  # fmt: skip
    head = (header + identity).ljust(DIRECTORY, b"\0") + _directory_record(own)
    # How ROOT marks a gap, for those who walk from record to record.
    head += struct.pack(">i", begin - first)
    return head.ljust(first, b"\0"), b"".join([*tail, streamers, listed, free])


def _own(content: bytes) -> Record:
    """Return a record of the file itself."""
    return Record("TFile", _NAME, "", content)


def _directory_record(own: Record) -> bytes:
    """Return the directory with its key, which has no directory above it."""
    key = own.key(DIRECTORY)
    return key[: KEY.size - 8] + bytes(8) + key[KEY.size :] + own.content


def _streamers() -> Record:
    """Return the streamers of a tree and all that is in one, compressed by ZLIB, which all versions read.

    `macros/tree_streamers.py` makes them.
    """
    content = files("shipgen.files.root").joinpath("tree_streamers.bin").read_bytes()
    return Record(
        "TList", "StreamerInfo", "Doubly linked list", content, int.from_bytes(content[6:9], "little")
    )


def _now() -> int:
    """Return the time as ROOT packs it."""
    now = time.localtime()
    days = (now.tm_year - 1995) << 26 | now.tm_mon << 22 | now.tm_mday << 17
    return days | now.tm_hour << 12 | now.tm_min << 6 | now.tm_sec
