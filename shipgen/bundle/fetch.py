"""Bundles from an address: copied, compared with their hash, tried, and only then there.

An address is that of a folder, ``https://``, ``root://`` or one on this machine, in which each bundle is a
folder of its own name; its file ``bundles.json`` may state the bundles' hashes. Nothing of a bundle is
executed by Python.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from shipgen.bundle.bundle import Bundle
from shipgen.bundle.index import index_hash
from shipgen.bundle.library import INDEX, PACKAGE, is_name, user_folder
from shipgen.errors import BundleError, InputError, ShipgenError
from shipgen.files.outputs import check_output, complete_folder, read_json
from shipgen.files.remote import open_remote
from shipgen.files.rootfile import is_remote
from shipgen.numbers import parse_json, plain_text

if TYPE_CHECKING:
    from typing import BinaryIO

#: What an address may have beside its bundles: their hashes.
LISTING = "bundles.json"

_SHA256 = re.compile(r"[0-9a-f]{64}")

#: Bytes: of descriptions, of a network, and read at once.
_DESCRIPTION, _NETWORK, _PIECE = 2**25, 2**30, 2**20

#: Seconds without an answer.
_PATIENCE = 60.0


def listing(address: str) -> dict[str, str]:
    """Return the bundles that `address` lists: names and SHA-256 of their descriptions.

    Raises
    ------
    InputError
        It has no list, or one that cannot be read.
    """
    _check_address(address)
    if address.startswith("http://"):
        raise InputError(f"{address} is not protected on its way: give https://, or a name and its --sha256")
    where = _inside(address, LISTING)
    try:
        stated = parse_json(_read(where, _DESCRIPTION).decode())
        return {_checked_name(name): _digest(one["sha256"]) for name, one in stated["bundles"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where} is no list of bundles ({error}): give the bundle's --sha256") from error


def fetch(name: str, address: str, *, sha256: str | None = None, force: bool = False) -> Bundle:
    """Copy the bundle `name` from `address` into the user's folder.

    Parameters
    ----------
    name : str
        A folder at the address; also what the bundle is called here.
    address : str
        ``https://host/path``, ``root://host//path`` or a folder.
    sha256 : str, optional
        Of its ``bundle.json``, which states those of the networks; as the address lists it when not given.
    force : bool
        Replace a bundle of that name.

    Raises
    ------
    InputError
        The name is taken or none, or the address has no such bundle or does not say its hash.
    BundleError
        What came is not what the hash says, or no bundle that this version can use.
    """
    if not is_name(name):
        raise InputError(f"{name!r} is no name of a bundle: letters, digits, '.', '_' and '-'")
    if (PACKAGE / name).exists():
        raise InputError(f"{name} is a bundle of the package, which is found first: fetch it by another name")
    _check_address(address)
    wanted = _wanted(name, address, sha256)
    folder = user_folder()
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / name
    check_output(output, force=force, index=INDEX)
    with complete_folder(output, index=INDEX, force=force) as part:
        description = _read(_inside(address, name, INDEX), _DESCRIPTION)
        (part / INDEX).write_bytes(description)
        if (found := index_hash(part / INDEX)) != wanted:
            raise BundleError(
                f"{_inside(address, name, INDEX)} has sha256 {found}, not {wanted}: it was changed, or that "
                "is the hash of another bundle"
            )
        for file in _files(part / INDEX):
            _copy(_inside(address, name, file), part / file)
        # Compares each network with its hash, and tries it.
        Bundle.open(part)
    return Bundle.open(output)


def _wanted(name: str, address: str, sha256: str | None) -> str:
    """Return the hash that the bundle has to have."""
    if sha256 is not None:
        try:
            return _digest(sha256.lower())
        except ValueError as error:
            raise InputError(f"--sha256: {error}") from error
    known = listing(address)
    if name not in known:
        raise InputError(f"{address} has no bundle {name}: it has {', '.join(sorted(known)) or 'none'}")
    return known[name]


def _files(index: Path) -> list[str]:
    """Return the names of the networks' files that a description states."""
    content = read_json(index)
    try:
        names = [plain_text(item["file"], "file", most=255) for item in _stated(content)]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{index.name} cannot be used: {error}") from error
    for name in names:
        if Path(name).name != name or name == INDEX:
            raise BundleError(f"{index.name} cannot be used: a network lies outside the folder: {name}")
    return names


def _stated(content: Any) -> list[dict[str, Any]]:
    """Return all entries of a description that name a file with its hash, wherever they are."""
    found, rest = [], [content]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            if {"file", "sha256"} <= one.keys():
                found.append(one)
            if one is content:
                rest += [value for key, value in one.items() if key != "provenance"]
            else:
                rest += one.values()
        elif isinstance(one, list):
            rest += one
    return found


def _digest(text: object) -> str:
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise ValueError(f"{text!r} is no SHA-256, 64 digits of 0-9 and a-f")
    return text


def _checked_name(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"{name!r} is no name of a bundle")
    return name


def _check_address(address: str) -> None:
    """Raise `InputError` for what no bundle is fetched from."""
    if is_remote(address):
        if not address.startswith(("https://", "http://", "root://", "roots://", "xrootd://")):
            raise InputError(f"{address}: bundles come from https:// and root:// addresses, or folders")
    elif not Path(address).is_dir():
        raise InputError(f"{address} is neither a folder nor an address such as https://host/path")


def _inside(address: str, *names: str) -> str:
    web = address.startswith(("https://", "http://"))
    return "/".join([address.rstrip("/"), *(quote(name) if web else name for name in names)])


def _open(where: str) -> Any:
    """Open a file at an address, or on this machine."""
    if where.startswith(("https://", "http://")):
        return urlopen(Request(where, headers={"User-Agent": "shipgen"}), timeout=_PATIENCE)  # noqa: S310
    if is_remote(where):
        return open_remote(where)
    if Path(where).exists() and not Path(where).is_file():
        raise InputError(f"{where} is no file: it is no part of a bundle")
    return Path(where).open("rb")


def _pieces(where: str, most: int, keep: BinaryIO | None = None) -> bytes:
    """Read a file of at most `most` bytes; write it to `keep`, or return it."""
    taken, size = [], 0
    try:
        with closing(_open(where)) as source:
            while piece := source.read(_PIECE):
                size += len(piece)
                if size > most:
                    raise InputError(f"{where} has more than {most:,} bytes: it is no part of a bundle")
                if keep is None:
                    taken.append(piece)
                else:
                    keep.write(piece)
    except ShipgenError:
        raise
    except (OSError, URLError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise InputError(f"{where} cannot be read ({reason}): check address and access") from error
    return b"".join(taken)


def _read(where: str, most: int) -> bytes:
    return _pieces(where, most)


def _copy(where: str, file: Path) -> None:
    with file.open("wb") as keep:
        _pieces(where, _NETWORK, keep)
