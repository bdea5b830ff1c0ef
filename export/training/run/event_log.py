"""Losses and figures of merit as TensorBoard's event files, which takes no TensorBoard to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipgen_export.backend import tf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class EventLog:
    """Scalars over steps, written into `folder`.

    Parameters
    ----------
    folder : Path
        Made when missing; each process adds a file.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))
        # `tf.summary.scalar` would need TensorBoard installed; this is what it writes.
        self._kind = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        )

    def __call__(self, step: int, values: Mapping[str, float | None]) -> None:
        """Add the values, by name, of one step; those without a value are left out."""
        with self._writer.as_default():
            for name, value in values.items():
                if value is not None:
                    tf.summary.write(name, tf.constant(value, tf.float32), step, self._kind)
        self._writer.flush()
