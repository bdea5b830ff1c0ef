"""Steps of TensorFlow without a graph: for a few of them, building it takes longer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from shipgen_export.backend import tf

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def eagerly() -> Iterator[None]:
    """Run all functions of TensorFlow as they are written."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
