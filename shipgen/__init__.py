"""Fast muon source for the SHiP experiment.

>>> from shipgen import MuonGenerator
>>> for batch in MuonGenerator(n=1e6, seed=1):
...     print(len(batch), batch.px.mean())
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.generator import MuonGenerator
    from shipgen.muons.batch import Batch

# ONNX Runtime reports its use to its maker and leaves a device's number in the user's cache folder. It looks
# at this when it is imported, which nothing of shipgen does before; worker processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Batch", "Bundle", "MuonGenerator", "__version__"]

_HOMES = {
    "Batch": "shipgen.muons.batch",
    "Bundle": "shipgen.bundle.bundle",
    "MuonGenerator": "shipgen.generate.generator",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `shipgen --help` and the version cost nothing."""
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("shipgen")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shipgen' has no attribute {name!r}")
