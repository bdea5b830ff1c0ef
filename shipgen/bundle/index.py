"""``bundle.json`` as a text: its hash, which identifies the bundle, and the seal that states that hash in it.

The seal is the second line of the file, ``"seal": "SHA-256",``, of all other bytes. Networks are covered by
their hashes in the file, so that one changed digit anywhere in a bundle is noticed. A bundle without a seal
is one of an earlier version, or was changed by hand: its hash is that of the whole file.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from shipgen.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Entry of the file.
SEAL = "seal"

#: The file's beginning.
_SEALED = re.compile(rb'\{\n  "seal": "([0-9a-f]{64})",\n')


def index_text(content: Mapping[str, Any]) -> str:
    """Return a bundle's description, JSON without a seal, as it is written: with one."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("{\n", f'{{\n  "{SEAL}": "{digest}",\n', 1)


def index_hash(path: Path) -> str:
    """Return the hash of the ``bundle.json`` at `path`, which its seal, if any, does not change.

    Raises
    ------
    BundleError
        The seal does not fit.
    """
    data = path.read_bytes()
    sealed = _SEALED.match(data)
    digest = hashlib.sha256(b"{\n" + data[sealed.end() :] if sealed else data).hexdigest()
    if sealed and sealed[1].decode() != digest:
        raise _broken(path)
    return digest


def check_seal(path: Path, index: Mapping[str, Any]) -> None:
    """Raise `BundleError` unless `index`, read from `path`, is as it was written, or has no seal at all."""
    if SEAL in index and index[SEAL] != index_hash(path):
        raise _broken(path)


def _broken(path: Path) -> BundleError:
    return BundleError(
        f"{path} is not as it was written, its seal does not fit: get the bundle again; or, if it was "
        f'changed on purpose, remove the line "{SEAL}" from it'
    )
