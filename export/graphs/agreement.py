"""Whether an exported graph gives the muons that were trained: three independent ways compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.levels import NORMAL, mixing
from shipgen.bundle.network import INPUT, OUTPUT, load_onnxruntime
from shipgen.errors import BundleError, ShipgenError
from shipgen_export.graphs.keras2 import ACTIVATIONS
from shipgen_export.graphs.student_graph import student_reference
from shipgen_export.models.dense import MappedNetwork

if TYPE_CHECKING:
    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.maps.muon_map import MuonMap
    from shipgen_export.sample.transforms import Normalisation

#: Largest difference allowed, in units of a feature's range in the training sample, or of the muon's own
#: distance from the middle of it where that is larger.
TOLERANCE = 1e-5

#: Of muons made by tables so many latents may differ by more, up to the other number: where a table's last
#: cells are steep, the rounding of float32 is a visible part of a cell.
_STEEP_SHARE, STEEP_TOLERANCE = 1e-3, 1e-3

#: Latents compared: ordinary ones and, of these, a share far out.
LATENTS = 10_000
_FAR_SHARE = 0.1
_FAR = 5.0


def reference(generator: Any, latent: Float32) -> Float64:
    """Compute a dense Keras network's output with NumPy in float64, layer by layer, as in inference.

    Parameters
    ----------
    generator : keras.Sequential or MappedNetwork
        Of dense, LeakyReLU, batch normalisation, rescaling and dropout layers; or a student.
    latent : float32[n, L]
        Input.

    Returns
    -------
    float64[n, d]
        Normalised features; normal numbers of a student.

    Raises
    ------
    ShipgenError
        The network has a layer of another kind.
    """
    if isinstance(generator, MappedNetwork):
        return student_reference(generator.get_weights(), latent)
    values = latent.astype(np.float64)
    for layer in generator.layers:
        kind = type(layer).__name__
        weights = [np.asarray(weight, np.float64) for weight in layer.get_weights()]
        if kind == "Dense" and layer.activation.__name__ in ACTIVATIONS:
            kernel, bias = weights
            values = ACTIVATIONS[layer.activation.__name__](values @ kernel + bias)
        elif kind == "Activation" and layer.activation.__name__ in ACTIVATIONS:
            values = ACTIVATIONS[layer.activation.__name__](values)
        elif kind == "LeakyReLU":
            values = np.where(values > 0, values, layer.negative_slope * values)
        elif kind == "BatchNormalization":
            gamma, beta, mean, variance = weights
            values = gamma * (values - mean) / np.sqrt(variance + layer.epsilon) + beta
        elif kind == "Rescaling":
            values = values * layer.scale + layer.offset
        elif kind != "Dropout":
            raise ShipgenError(f"there is no reference for a layer of kind {kind}: it cannot be exported")
    return values


@dataclass(frozen=True)
class Agreement:
    """Largest differences between the graph and two references, in units of each feature's range.

    Attributes
    ----------
    features : tuple of str
        The features.
    keras, numpy : tuple of float
        Graph against the Keras network with NumPy's inverse normalisation, and against NumPy alone.
    steep : int
        Latents that differ by more than `TOLERANCE` from either, where a table is steep.
    """

    features: tuple[str, ...]
    keras: tuple[float, ...]
    numpy: tuple[float, ...]
    steep: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the differences by feature."""
        return {
            "latents": LATENTS,
            "unit": "range of the feature in the training sample",
            "tolerance": TOLERANCE,
            "steep": self.steep,
            "keras": dict(zip(self.features, self.keras, strict=True)),
            "numpy": dict(zip(self.features, self.numpy, strict=True)),
        }


def comparison_latents(latent_size: int, seed: int) -> Float32:
    """Return `LATENTS` normal latents, float32[n, L]; the first tenth are far out.

    Those have 5 standard deviations in a twentieth of the dimensions, in one at least.
    """
    random = np.random.default_rng(seed)
    latent = random.standard_normal((LATENTS, latent_size), np.float32)
    far = latent[: int(_FAR_SHARE * LATENTS)]
    chosen = random.permuted(np.tile(np.arange(latent_size), (len(far), 1)), axis=1)
    chosen = chosen < max(1, latent_size // 20)
    far[chosen] = _FAR * np.sign(far[chosen])
    return latent


def check_agreement(
    category: Category,
    generator: Any,
    form: Normalisation | MuonMap,
    model: bytes,
    seed: int = 1,
    stream: int = NORMAL,
) -> Agreement:
    """Compare the graph with Keras and with NumPy on `comparison_latents`.

    Parameters
    ----------
    category : Category
        For the message.
    generator : keras.Sequential or MappedNetwork
        Latent -> normalised features or normal numbers.
    form : Normalisation or MuonMap
        Of the training sample; its NumPy inverse is the reference.
    model : bytes
        The serialised graph.
    seed : int
        Of the latents.
    stream : int
        What the graph takes: normal numbers (1), or levels (2), which the latents are turned into.

    Raises
    ------
    BundleError
        A difference is above `TOLERANCE`, or, of muons made by tables, more than a few or one far above it.
    """
    from shipgen_export.backend import tf

    latent = comparison_latents(generator.input_shape[1], seed)
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = latent if stream == NORMAL else (latent @ mixing(latent.shape[1])).astype(np.float32)
    # Students' graphs have a row a feature.
    rows = session.get_inputs()[0].shape[0] == given.shape[1]
    muons = session.run([OUTPUT], {INPUT: np.ascontiguousarray(given.T) if rows else given})[0]
    muons = (muons.T if rows else muons).astype(np.float64)
    with tf.device("/CPU:0"):
        trained = np.asarray(generator(latent, training=False), np.float64)
    width = form.maximum - form.minimum
    # A feature that is the same for all muons has no range: its own size is the scale then.
    width = np.where(width > 0, width, np.maximum(1, np.abs(form.maximum)))
    found, beyond = {}, np.zeros(len(latent), bool)
    for name, normalised in (("Keras", trained), ("NumPy", reference(generator, latent))):
        wanted = form.inverse(normalised)
        # A muon far outside the range is known as well as float32 knows it.
        scale = np.maximum(width, np.abs(wanted - (form.maximum + form.minimum) / 2))
        differences = np.nan_to_num(np.abs(muons - wanted) / scale, nan=np.inf)
        largest = differences.max(0)
        worst = int(np.argmax(largest))
        steep = hasattr(form, "marginals") and (
            np.mean(differences.max(1) > TOLERANCE) <= _STEEP_SHARE and largest[worst] <= STEEP_TOLERANCE
        )
        if not (largest[worst] <= TOLERANCE or steep):
            raise BundleError(
                f"the graph of {category.name} differs from {name} by {largest[worst]:.3g} of the range "
                f"of {category.features[worst]} (allowed: {TOLERANCE:g}): train it again with another seed"
            )
        found[name] = tuple(float(value) for value in largest)
        beyond |= differences.max(1) > TOLERANCE
    return Agreement(category.features, found["Keras"], found["NumPy"], int(beyond.sum()))
