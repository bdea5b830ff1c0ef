"""Pickles of arrays, read without running anything in them.

A pickle is a program. This reader knows the few calls by which NumPy's arrays are stored and answers them by
functions of its own, which take bytes, a type of plain numbers and a shape, and check all three; whatever
else a pickle asks for ends in an error. Nothing of NumPy's or Python's is called with what the file says.
"""

from __future__ import annotations

import gzip
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Array

#: Types of numbers: floats, whole numbers, truth values.
_CODE = re.compile(r"f[248]|[iu][1248]|b1")


class _Type:
    """A type of numbers as a pickle says it."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not (isinstance(code, str) and _CODE.fullmatch(code)):
            raise pickle.UnpicklingError(f"the type {code!r} is none of plain numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not (isinstance(state, tuple) and state[1:5] in {(order, None, None, None) for order in "<>|="}):
            raise pickle.UnpicklingError("a type of numbers is damaged")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Stored:
    """An array as a pickle says it."""

    def __init__(self) -> None:
        self.values: Array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.values = _built(data, kind, shape, "F" if fortran else "C")


def _built(data: Any, kind: Any, shape: Any, order: Any) -> Array:
    if not (isinstance(kind, _Type) and isinstance(data, bytes | bytearray) and isinstance(shape, tuple)):
        raise pickle.UnpicklingError("an array is damaged, or of other things than numbers")
    return np.frombuffer(data, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _begin_array(*_: Any) -> _Stored:
    return _Stored()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, *_: Any) -> Array:
    return _built(data, kind, shape, order)


def _scalar(kind: Any, data: Any) -> Array:
    return _built(data, kind, (), "C")


def _latin1(text: Any, encoding: Any) -> bytes:
    """Return the bytes that the oldest forms of pickles store as a text."""
    if not (isinstance(text, str) and encoding == "latin1"):
        raise pickle.UnpicklingError("bytes are stored in an odd way")
    return text.encode("latin1")


def _nothing(*_: Any) -> None:
    raise pickle.UnpicklingError("an array is stored in an odd way")


_ANSWERS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _nothing,
    ("_codecs", "encode"): _latin1,
}
for _place in ("numpy.core", "numpy._core"):
    _ANSWERS[f"{_place}.multiarray", "_reconstruct"] = _begin_array
    _ANSWERS[f"{_place}.multiarray", "scalar"] = _scalar
    _ANSWERS[f"{_place}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ANSWERS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays of numbers are read")
        return _ANSWERS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        del pid
        raise pickle.UnpicklingError("it refers to something outside of it")


def read_pickle(path: Path) -> Any:
    """Return the arrays in a pickle, packed by gzip or not: an array, or dicts, lists and tuples of them.

    Raises
    ------
    pickle.UnpicklingError
        There is anything else in it; nothing of it is run.
    Exception
        Whatever a damaged file leads to.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as file:
        return _plain(_Unpickler(file).load())


def _plain(content: Any) -> Any:
    """Return `content` with NumPy's arrays in it; raise `UnpicklingError` for all but containers of them."""
    if isinstance(content, _Stored):
        return content.values
    if isinstance(content, dict):
        return {str(name): _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, np.ndarray | str | int | float | bool) or content is None:
        return content
    raise pickle.UnpicklingError(f"there is a {type(content).__name__} in it, which is no array")
