"""Fast muon source for the SHiP experiment.

>>> import shipgen
>>> muons = shipgen.generate_muons(1e6, seed=1)
>>> muons.in_frame("shield", unit="m").to_numpy().shape
(998362, 8)

In batches, for amounts that do not fit into memory:

>>> for batch in shipgen.MuonGenerator(1e9, seed=1):
...     print(len(batch), batch.pt.mean())
"""

from __future__ import annotations

import os

# Of `typing`, whose import takes milliseconds in which the program does not heed signals yet.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.generator import MuonGenerator, generate_muons
    from shipgen.generate.selection import Selection
    from shipgen.muons.batch import Batch

# ONNX Runtime reports its use to its maker and leaves a device's number in the user's cache folder. It looks
# at this when it is imported, which nothing of shipgen does before; worker processes inherit it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Batch", "Bundle", "MuonGenerator", "Selection", "__version__", "generate_muons"]

_HOMES = {
    "Batch": "shipgen.muons.batch",
    "Bundle": "shipgen.bundle.bundle",
    "MuonGenerator": "shipgen.generate.generator",
    "Selection": "shipgen.generate.selection",
    "generate_muons": "shipgen.generate.generator",
    # Of the training side: only who asks for it imports that.
    "enhance": "shipgen_export.enhance.enhance",
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


def __dir__() -> list[str]:
    return sorted((*__all__, "enhance"))
