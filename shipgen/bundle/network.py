"""One network in ONNX Runtime: latents in, muons in physical units out.

A graph has one of two layouts, told apart by which dimension of its input is free: row-major, ``latent``
float32[N, L] to ``muons`` float32[N, d], or feature-major, float32[L, N] to float32[d, N]. The second is
faster where the layers are small, and its output is columns already. A second output, ``weight`` float32[N],
says how many muons each one stands for, 1 on average; without it all stand for one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import BundleError, DeviceError, InputError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Float32

#: Names of every network's input and output, and of the output that only some have.
INPUT, OUTPUT, WEIGHT = "latent", "muons", "weight"

#: ONNX Runtime logs what it raises as well; only the exception is wanted.
_ONLY_FATAL = 4

#: Execution provider of each device.
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}

#: TensorFloat-32 would round the inputs of every product to ten bits.
_OPTIONS = {"cuda": {"use_tf32": "0"}}

DEVICES = ("auto", *_PROVIDERS)


def choose_device(name: str) -> str:
    """Return the device to use for `name`: itself, or for ``auto`` CUDA where it is offered, else the CPU.

    Raises
    ------
    DeviceError
        ONNX Runtime has no support for the device.
    InputError
        There is no such device.
    MissingExtraError
        ONNX Runtime is not installed.
    """
    if name not in DEVICES:
        raise InputError(f"no device {name!r}: choose from {', '.join(DEVICES)}")
    offered = _onnxruntime().get_available_providers()
    if name == "auto":
        return "cuda" if _PROVIDERS["cuda"] in offered else "cpu"
    if _PROVIDERS[name] not in offered:
        raise DeviceError(
            f"device {name} needs ONNX Runtime's GPU build: install shipgen with its extra 'gpu' in place of "
            "'cpu', or choose --device cpu"
        )
    return name


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("running networks", "ONNX Runtime", "cpu") from error
    # For the case that a program imported it before shipgen, which says so by a variable: see there.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


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
    feature_major : bool
        Whether latents and muons are columns, float32[L, n] and float32[d, n], or rows.
    weighted : bool
        Whether it says a weight of each muon.
    device : str
        Where it runs, ``cpu`` or ``cuda``.
    """

    path: Path
    latent_size: int
    features: int
    feature_major: bool
    weighted: bool
    device: str
    _session: Any

    @classmethod
    def load(cls, path: Path, *, digest: str, latent_size: int, features: int, device: str = "cpu") -> Self:
        """Load the ONNX file at `path` onto `device` and check hash, input and output.

        Raises
        ------
        BundleError
            The file is missing, is not the one with `digest`, is no ONNX model, or has another interface.
        DeviceError
            The device cannot be used.
        MissingExtraError
            ONNX Runtime is not installed.
        """
        onnxruntime = _onnxruntime()
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
            session = onnxruntime.InferenceSession(
                model, options, providers=[(_PROVIDERS[device], _OPTIONS.get(device, {}))]
            )
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise BundleError(
                f"the network {path} is no ONNX model that can run: {_reason(error)}"
            ) from error
        # ONNX Runtime goes on with the CPU when the device's libraries or driver are missing.
        if _PROVIDERS[device] not in session.get_providers():
            raise DeviceError(
                f"device {device} cannot be used, its driver or libraries are missing (ONNX Runtime lists "
                "the versions of CUDA and cuDNN it needs): install them, or choose --device cpu"
            )
        inputs, outputs = session.get_inputs(), session.get_outputs()
        feature_major = _layout(path, inputs, outputs, latent_size, features)
        return cls(path, latent_size, features, feature_major, len(outputs) > 1, device, session)

    def latent_shape(self, n: int) -> tuple[int, int]:
        """Return the shape of `n` latents in the network's layout."""
        return (self.latent_size, n) if self.feature_major else (n, self.latent_size)

    def __call__(self, latent: Float32) -> Float32:
        """Turn latents into muons, cm and GeV, both in the network's layout.

        Raises
        ------
        BundleError
            The network cannot run.
        DeviceError
            It cannot run on a device other than the CPU, for example for lack of memory.
        MemoryError
            The main memory is not enough.
        """
        muons: Float32 = self._run([OUTPUT], latent)[0]
        return muons

    def columns(self, latent: Float32) -> Float32:
        """Turn latents in the network's layout into columns, float32[features (+ 1), n].

        The last one is the weight, if the network is `weighted`; raises as a call does.
        """
        if not self.weighted:
            return self(latent) if self.feature_major else self(latent).T
        muons, weights = self._run([OUTPUT, WEIGHT], latent)
        columns = muons if self.feature_major else muons.T
        if weights.shape != columns.shape[1:]:
            raise BundleError(
                f"the network {self.path} makes {weights.size} weights of {columns.shape[1]} muons"
            )
        return np.concatenate([columns, weights[None]])

    def _run(self, names: list[str], latent: Float32) -> Any:
        try:
            if self.device == "cpu":
                return self._session.run(names, {INPUT: latent})
            return self._run_on_device(names, latent)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            told = f"the network {self.path} cannot run: {_reason(error)}"
            if self.device == "cpu":
                raise BundleError(told) from error
            raise DeviceError(f"{told}; --device cpu does without the device") from error

    def _run_on_device(self, names: list[str], latent: Float32) -> Any:
        """Do what the session's `run` does, with one copy to the device and one back."""
        n = latent.shape[self.feature_major]
        muons = (self.features, n) if self.feature_major else (n, self.features)
        made = [np.empty(muons if name == OUTPUT else n, np.float32) for name in names]
        binding = self._session.io_binding()
        binding.bind_cpu_input(INPUT, latent)
        for name, memory in zip(names, made, strict=True):
            binding.bind_ortvalue_output(name, _onnxruntime().OrtValue.ortvalue_from_numpy(memory))
        self._session.run_with_iobinding(binding)
        return made

    def try_out(self) -> None:
        """Make muons from the origin and its neighbours; raise `BundleError` unless they are good."""
        latent = np.eye(4, self.latent_size, k=-1, dtype=np.float32)
        if self.feature_major:
            latent = np.ascontiguousarray(latent.T)
        muons = self.columns(latent)
        if muons.shape != (self.features + self.weighted, 4) or not np.isfinite(muons).all():
            raise BundleError(f"the network {self.path} makes no finite muons of the stated shape")
        if self.weighted and not (muons[-1] > 0).all():
            raise BundleError(f"the network {self.path} makes muons of a weight that is not above zero")


def _reason(error: Exception) -> str:
    """Return the first line of an exception."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _layout(path: Path, inputs: list[Any], outputs: list[Any], latent_size: int, features: int) -> bool:
    """Return whether a graph is feature-major; raise `BundleError` if it is neither that nor row-major."""
    if len(inputs) == 1 and (len(outputs) == 1 or (len(outputs) == 2 and _is_weight(outputs[1]))):
        for feature_major in (False, True):
            if _is_interface(inputs[0], INPUT, latent_size, feature_major=feature_major) and _is_interface(
                outputs[0], OUTPUT, features, feature_major=feature_major
            ):
                return feature_major
    found = [f"{node.name} {node.type}[{', '.join(map(str, node.shape))}]" for node in (*inputs, *outputs)]
    raise BundleError(
        f"the network {path} has {'; '.join(found)} where {INPUT!r} float32[N, {latent_size}] and {OUTPUT!r} "
        f"float32[N, {features}] are expected, or both transposed, and {WEIGHT!r} float32[N] if any"
    )


def _is_interface(node: Any, name: str, width: int, *, feature_major: bool) -> bool:
    """Return whether `node` is a float32 tensor `name`, `width` wide, its other dimension free."""
    shape = node.shape[::-1] if feature_major else node.shape
    named = (node.name, node.type) == (name, "tensor(float)")
    return named and len(shape) == 2 and not isinstance(shape[0], int) and shape[1] == width


def _is_weight(node: Any) -> bool:
    """Return whether `node` is a number a muon."""
    named = (node.name, node.type) == (WEIGHT, "tensor(float)")
    return named and len(node.shape) == 1 and not isinstance(node.shape[0], int)
