"""TensorFlow and Keras as the training side uses them: quiet, on Keras' TensorFlow backend, threads set."""

from __future__ import annotations

import os

from shipgen.errors import InputError, MissingExtraError
from shipgen_export.silence import away_from_home, silenced

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
try:
    # Looking for a GPU prints to stderr before TensorFlow's own log level counts.
    with silenced(), away_from_home():
        import keras
        import tensorflow as tf
except ImportError as error:
    raise MissingExtraError("training", "TensorFlow", "train") from error
# It warns of a function traced again where each category has functions of its own.
tf.get_logger().setLevel("ERROR")
# Steps are compared with the same steps on a CPU and with the exported graph: full float32 products.
tf.config.experimental.enable_tensor_float_32_execution(False)

__all__ = ["configure", "keras", "tf"]


def configure(threads: int | None = None) -> str:
    """Set up TensorFlow for this process.

    Parameters
    ----------
    threads : int, optional
        CPU threads to use; ``None`` leaves what is set already, all cores at first.

    Returns
    -------
    str
        What TensorFlow runs on: ``"cpu"``, or ``"gpu"`` with the name of the first one.

    Raises
    ------
    InputError
        TensorFlow already runs in this process with another number of threads.
    """
    if threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            # The networks are chains of layers: little to gain from running operations side by side.
            tf.config.threading.set_inter_op_parallelism_threads(threads)
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
    if not gpus:
        return "cpu"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name")
    return f"gpu ({name})" if name else "gpu"
