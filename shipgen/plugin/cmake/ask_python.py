"""Prints where this Python has what the plugin is built with, as a list of CMake's.

The folder of NumPy, that of its headers, ONNX Runtime's library, the folder of ROOT; NOTFOUND where there is
none. Packages other than NumPy are not imported.
"""
# ruff: noqa: INP001

from importlib.util import find_spec
from pathlib import Path


def folder(package: str) -> Path | None:
    """Return the folder of an installed package."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def main() -> None:
    """Print the list."""
    numpy, headers = folder("numpy"), ""
    if numpy is not None:
        import numpy as np

        headers = np.get_include()
    onnxruntime = folder("onnxruntime")
    libraries = [] if onnxruntime is None else sorted(onnxruntime.glob("capi/libonnxruntime.so*"))
    found = (numpy, headers, libraries[0] if libraries else None, folder("ROOT"))
    print(";".join("NOTFOUND" if part is None or part == "" else str(part) for part in found))  # noqa: T201


main()
