"""One network in ONNX Runtime: latents in, muons in physical units out.

A graph has one of two layouts, told apart by which dimension of its input is free: row-major, ``latent``
float32[N, L] to ``muons`` float32[N, d], or feature-major, float32[L, N] to float32[d, N]. The second is
faster where the layers are small, and its output is columns already. A second output, ``weight`` float32[N],
says how many muons each one stands for, 1 on average; without it all stand for one.

The latents of a feature-major network may be given as levels, whose sums they are, more rows than there are
latents: see `shipgen.bundle.levels`.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.bundle.levels import LEVELLED, NORMAL, levels_of, mixing
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

#: Bytes of a network, latents of a trial, and seconds that it may take.
_LARGEST, _TRIED, _PATIENCE = 2**27, 1000, 120

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
    offered = load_onnxruntime().get_available_providers()
    if name == "auto":
        return "cuda" if _PROVIDERS["cuda"] in offered else "cpu"
    if _PROVIDERS[name] not in offered:
        raise DeviceError(
            f"device {name} needs ONNX Runtime's GPU build: install shipgen with its extra 'gpu' in place of "
            "'cpu', or choose --device cpu"
        )
    return name


@cache
def load_onnxruntime() -> Any:
    """Return ONNX Runtime, which sends nothing; raise `MissingExtraError` without it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("running networks", "ONNX Runtime", "cpu") from error
    os.register_at_fork(after_in_child=_end_without_destructors)
    # For the case that a program imported it before shipgen, which says so by a variable: see there.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _end_without_destructors() -> None:
    """Let a forked child end when it ends: ONNX Runtime's destructors would wait for the parent's threads.

    The C library calls what was registered last first, so `_exit`, with the exit code, comes before them.
    """
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.on_exit(library._exit, None)  # noqa: SLF001
        # Which no longer happens behind that; Python's own streams are flushed before.
        atexit.register(library.fflush, None)


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
    stream : int
        What its graph takes and production draws: normal numbers (1) or levels (2).
    """

    path: Path
    latent_size: int
    features: int
    feature_major: bool
    weighted: bool
    device: str
    _session: Any
    stream: int = NORMAL

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        digest: str,
        latent_size: int,
        features: int,
        device: str = "cpu",
        stream: int = NORMAL,
    ) -> Self:
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
        session = open_session(path, digest, device)
        inputs, outputs = session.get_inputs(), session.get_outputs()
        try:
            width = levels_of(latent_size) if stream == LEVELLED else latent_size
            feature_major = _layout(path, inputs, outputs, width, features)
        except UnicodeDecodeError as error:
            raise BundleError(f"the network {path} has names that are no text: {error}") from error
        if stream == LEVELLED and not feature_major:
            raise BundleError(f"the network {path} takes levels as columns: levels are rows; export it again")
        return cls(path, latent_size, features, feature_major, len(outputs) > 1, device, session, stream)

    def latent_shape(self, n: int) -> tuple[int, int]:
        """Return the shape of `n` latents in the network's layout."""
        return (self.latent_size, n) if self.feature_major else (n, self.latent_size)

    def drawn_shape(self, n: int) -> tuple[int, int]:
        """Return the shape of what is drawn for `n` muons: their latents or their levels."""
        return (levels_of(self.latent_size), n) if self.stream == LEVELLED else self.latent_shape(n)

    def __call__(self, latent: Float32) -> Float32:
        """Turn latents into muons, cm and GeV, both in the network's layout.

        It may be ended from another thread where `columns` is given what `run_options` returns.

        Raises
        ------
        BundleError
            The network cannot run.
        DeviceError
            It cannot run on a device other than the CPU, for example for lack of memory.
        MemoryError
            The main memory is not enough.
        """
        muons: Float32 = self._run([OUTPUT], self._drawn(latent), None)[0]
        return muons

    def columns(self, latent: Float32, options: Any = None) -> Float32:
        """Turn latents in the network's layout into columns, float32[features (+ 1), n].

        The last one is the weight, if the network is `weighted`; raises as a call does. `options` is from
        `run_options`.
        """
        return self.columns_of_drawn(self._drawn(latent), options)

    def columns_of_drawn(self, drawn: Float32, options: Any = None) -> Float32:
        """Turn what is drawn, of `drawn_shape`, into columns, as `columns` does."""
        if not self.weighted:
            muons: Float32 = self._run([OUTPUT], drawn, options)[0]
            return muons if self.feature_major else muons.T
        muons, weights = self._run([OUTPUT, WEIGHT], drawn, options)
        return np.concatenate([muons if self.feature_major else muons.T, weights[None]])

    def _drawn(self, latent: Float32) -> Float32:
        """Return levels whose sums are the latents; latents as they are where the graph takes these."""
        if self.stream == NORMAL:
            return latent
        return (mixing(self.latent_size).T @ latent).astype(np.float32)

    def _run(self, names: list[str], latent: Float32, options: Any) -> Any:
        made = self._outputs(names, latent, options)
        n = latent.shape[self.feature_major]
        wanted = {OUTPUT: (self.features, n) if self.feature_major else (n, self.features), WEIGHT: (n,)}
        for name, values in zip(names, made, strict=True):
            if values.shape != wanted[name]:
                # NumPy would spread one row over all.
                raise BundleError(
                    f"the network {self.path} makes {name} of shape {values.shape} of {n} latents, not "
                    f"{wanted[name]}: export it again"
                )
        return made

    def _outputs(self, names: list[str], latent: Float32, options: Any) -> Any:
        try:
            return self._session.run(names, {INPUT: latent}, options)
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            told = f"the network {self.path} cannot run: {reason(error)}"
            if self.device == "cpu":
                raise BundleError(told) from error
            raise DeviceError(f"{told}; --device cpu does without the device") from error

    def try_out(self) -> None:
        """Make muons of some latents, and of the first of them again in smaller batches.

        Raises
        ------
        BundleError
            They are not finite, of another shape, other ones in other batches, or do not come at all.
        """
        latent = self._trial_latents()
        whole = self._try(latent)
        if not np.isfinite(whole).all():
            raise BundleError(f"the network {self.path} makes no finite muons")
        if self.weighted and not (whole[-1] > 0).all():
            raise BundleError(f"the network {self.path} makes muons of a weight that is not above zero")
        scale = 1e-4 * np.ptp(whole, 1, keepdims=True) + 1e-5 * np.abs(whole[:, :4])
        for few in (1, 4):
            if not (np.abs(self._try(latent[:few]) - whole[:, :few]) <= scale[:, :few]).all():
                raise BundleError(
                    f"the network {self.path} makes other muons of the same latents where it makes {few} or "
                    f"{_TRIED} at a time: export it again"
                )

    def trial(self) -> Float32:
        """Return columns of some muons, as `columns` gives them."""
        return self._try(self._trial_latents())

    def _trial_latents(self) -> Float32:
        latent = np.random.default_rng(1).standard_normal((_TRIED, self.latent_size), np.float32)
        # Never two zeros: of an azimuth that is the ratio of two latents rounding would decide.
        latent[:4] = np.eye(4, self.latent_size, k=-1) + np.float32(0.25)
        return latent

    def _try(self, latent: Float32) -> Float32:
        """Turn rows of latents into columns in another thread: one that does not end can be interrupted."""
        if self.feature_major:
            latent = np.ascontiguousarray(latent.T)
        options, done = run_options(), threading.Event()
        made: list[Float32] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                made.append(self.columns(latent, options))
            except BaseException as error:  # noqa: BLE001 - for the thread that waits
                failed.append(error)
            done.set()

        threading.Thread(target=work, name="shipgen-trial", daemon=True).start()
        try:
            if not done.wait(_PATIENCE):
                raise BundleError(f"the network {self.path} does not come to an end in {_PATIENCE} s")
        finally:
            options.terminate = True
            done.wait(5)
        if failed:
            raise failed[0]
        return made[0]


def open_session(path: Path, digest: str, device: str) -> Any:
    """Return a session of the ONNX file at `path` on `device`, the file compared with its hash.

    Raises
    ------
    BundleError
        The file is missing, is not the one with `digest`, or is no ONNX model.
    DeviceError
        The device cannot be used.
    MissingExtraError
        ONNX Runtime is not installed.
    """
    onnxruntime = load_onnxruntime()
    model = read_model(path, digest)
    options = onnxruntime.SessionOptions()
    # One thread a call: chunks run side by side, which beats threads inside a small network.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ONLY_FATAL
    # No numbers from other files, whose hash nobody checked: they would be looked for in this folder.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=[(_PROVIDERS[device], _OPTIONS.get(device, {}))]
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no base class
        raise BundleError(f"the network {path} is no ONNX model that can run: {reason(error)}") from error
    # ONNX Runtime goes on with the CPU when the device's libraries or driver are missing.
    if _PROVIDERS[device] not in session.get_providers():
        raise DeviceError(
            f"device {device} cannot be used, its driver or libraries are missing (ONNX Runtime lists "
            "the versions of CUDA and cuDNN it needs): install them, or choose --device cpu"
        )
    return session


def run_options() -> Any:
    """Return what ends the calls that were given it, of any network, once its ``terminate`` is true."""
    return load_onnxruntime().RunOptions()


def read_model(path: Path, digest: str) -> bytes:
    """Return what is in the file of a network; raise `BundleError` where that is none or not of `digest`."""
    try:
        if not path.is_file():
            raise BundleError(f"the network {path} cannot be read, it is not there or no file: get it again")
        if (size := path.stat().st_size) > _LARGEST:
            raise BundleError(f"the network {path} has {size:,} bytes, more than {_LARGEST:,}")
        model = path.read_bytes()
    except OSError as error:
        raise BundleError(f"the network {path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(model).hexdigest() != digest:
        raise BundleError(
            f"the network {path} is damaged or not the bundle's own, its hash differs: get the bundle again"
        )
    return model


def reason(error: Exception) -> str:
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
