"""One network in ONNX Runtime: latents in, muons in physical units out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import BundleError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.columns import Float32

#: Names of every network's input and output.
INPUT, OUTPUT = "latent", "muons"

#: ONNX Runtime logs what it raises as well; only the exception is wanted.
_ONLY_FATAL = 4


@dataclass(frozen=True)
class Network:
    """A network ready to run; calls from several threads are independent.

    Attributes
    ----------
    path : Path
        Where it came from, for messages.
    latent_size : int
        Width of the input.
    features : int
        Width of the output.
    """

    path: Path
    latent_size: int
    features: int
    _session: Any

    @classmethod
    def load(cls, path: Path, *, digest: str, latent_size: int, features: int) -> Self:
        """Load the ONNX file at `path` and check hash, input and output.

        Raises
        ------
        BundleError
            The file is missing, is not the one with `digest`, is no ONNX model, or has another interface.
        MissingExtraError
            ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("running networks", "ONNX Runtime", "cpu") from error
        try:
            model = path.read_bytes()
        except OSError as error:
            raise BundleError(f"the network {path} cannot be read: {error.strerror}") from error
        if hashlib.sha256(model).hexdigest() != digest:
            raise BundleError(
                f"the network {path} is damaged or not the bundle's own, its hash differs: "
                "get the bundle again"
            )
        options = onnxruntime.SessionOptions()
        # One thread a call: chunks run side by side, which beats threads inside a small network.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BundleError(f"the network {path} is no ONNX model that can run: {reason}") from error
        _check_interface(path, session.get_inputs(), INPUT, latent_size)
        _check_interface(path, session.get_outputs(), OUTPUT, features)
        return cls(path, latent_size, features, session)

    def __call__(self, latent: Float32) -> Float32:
        """Turn latents, float32[n, latent_size], into muons, float32[n, features], cm and GeV."""
        muons: Float32 = self._session.run([OUTPUT], {INPUT: latent})[0]
        return muons

    def try_out(self) -> None:
        """Make muons from the origin and its neighbours; raise `BundleError` unless they are finite."""
        latent = np.eye(4, self.latent_size, k=-1, dtype=np.float32)
        try:
            muons = self(latent)
        except Exception as error:  # as above
            raise BundleError(f"the network {self.path} cannot run: {str(error).splitlines()[0]}") from error
        if muons.shape != (len(latent), self.features) or not np.isfinite(muons).all():
            raise BundleError(f"the network {self.path} makes no finite muons of the stated shape")


def _check_interface(path: Path, nodes: list[Any], name: str, width: int) -> None:
    """Raise `BundleError` unless `nodes` is one float32 tensor called `name` of shape [N, width]."""
    found = [(node.name, node.type, list(node.shape)) for node in nodes]
    if len(found) == 1:
        node_name, kind, shape = found[0]
        free = len(shape) == 2 and not isinstance(shape[0], int)
        if node_name == name and kind == "tensor(float)" and free and shape[1] == width:
            return
    raise BundleError(f"the network {path} has {found} where one {name!r} float32[N, {width}] is expected")
