"""TensorFlow and Keras as the training side uses them: quiet, on Keras' TensorFlow backend, threads set."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shipgen.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2


@contextmanager
def silenced() -> Iterator[None]:
    """Discard what is printed to stdout and stderr, by compiled code as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [(stream, os.dup(stream)) for stream in (_STDOUT, _STDERR)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream, _ in saved:
            os.dup2(nowhere, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in saved:
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
try:
    # Looking for a GPU prints to stderr before TensorFlow's own log level counts.
    with silenced():
        import keras
        import tensorflow as tf
except ImportError as error:
    raise MissingExtraError("training", "TensorFlow", "train") from error
# Steps are compared with the same steps on a CPU and with the exported graph: full float32 products.
tf.config.experimental.enable_tensor_float_32_execution(False)

__all__ = ["configure", "keras", "silenced", "tf"]


def configure(threads: int | None = None) -> str:
    """Set up TensorFlow for this process; later calls must ask for the same.

    Parameters
    ----------
    threads : int, optional
        CPU threads to use; ``None`` for all.

    Returns
    -------
    str
        What TensorFlow runs on: ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    InputError
        TensorFlow already runs in this process with another number of threads.
    """
    wanted = threads or 0
    if tf.config.threading.get_intra_op_parallelism_threads() != wanted:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(wanted)
            # The networks are chains of layers: nothing to gain from running operations side by side.
            tf.config.threading.set_inter_op_parallelism_threads(1 if threads == 1 else 0)
        except RuntimeError as error:
            raise InputError(
                "TensorFlow already runs in this process with another number of threads: use a new process"
            ) from error
    with silenced():
        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            # Several categories may train on one GPU at the same time.
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.list_logical_devices()
    return "gpu" if gpus else "cpu"
