"""A Keras generator and the inverse normalisation as one ONNX graph that gives muons in physical units."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.network import INPUT, OUTPUT
from shipgen.errors import MissingExtraError, ShipgenError
from shipgen_export.backend import tf
from shipgen_export.silence import silenced

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.sample.transforms import Normalisation

OPSET = 18

#: Operators that would make the muons depend on more than the latents.
_RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


def import_onnx() -> Any:
    """Return the module; raise `MissingExtraError` without it."""
    try:
        with silenced():
            import onnx
    except ImportError as error:
        raise MissingExtraError("export", "onnx", "train") from error
    return onnx


def _scale_and_offset(low: Float64, high: Float64, span: float) -> tuple[Float64, Float64]:
    """Return s and o with low + (v + span) (high - low) / (2 span) = v s + o."""
    scale = (high - low) / (2 * span)
    return scale, low + span * scale


def denormalise(normalised: Any, normalisation: Normalisation) -> Any:
    """Do what `Normalisation.inverse` does, in TensorFlow; float32[n, d] -> float32[n, d], cm and GeV.

    Scales and offsets are folded in float64, which leaves no difference of large numbers and for z, near
    -7000 cm, a rounding of 0.0005 cm: float32 is then enough.
    """
    n = normalisation
    scale, offset = _scale_and_offset(n.minimum, n.maximum, n.span)
    if not any(n.broadened):
        return normalised * _constant(scale) + _constant(offset)
    root_scale, root_offset = _scale_and_offset(n.broad_minimum, n.broad_maximum, n.span)
    # For what is not broadened root_scale is 1, root_offset and mean are 0, and `factor` is 1.
    root = normalised * _constant(root_scale) + _constant(root_offset - n.mean)
    broadened = np.array(n.broadened, np.float64)
    factor = tf.abs(root) * _constant(broadened) + _constant(1 - broadened)
    return root * factor * _constant(scale) + _constant(offset + scale * n.mean)


def _constant(values: Float64) -> Any:
    return tf.constant(values.astype(np.float32))


def build_graph(generator: Any, normalisation: Normalisation) -> bytes:
    """Return the serialised graph: ``latent`` float32[N, L] -> ``muons`` float32[N, d], cm and GeV.

    Parameters
    ----------
    generator : keras.Model
        Latent -> normalised features; used as in inference.
    normalisation : Normalisation
        Of the category's training sample.

    Raises
    ------
    MissingExtraError
        onnx or tf2onnx is not installed.
    ShipgenError
        The graph has random operators or another interface.
    """
    try:
        with silenced():
            import onnx
            import tf2onnx
    except ImportError as error:
        raise MissingExtraError("export", "onnx and tf2onnx", "train") from error

    latent = tf.TensorSpec((None, generator.input_shape[1]), tf.float32, name=INPUT)

    def muons(latent: Any) -> Any:
        return tf.identity(denormalise(generator(latent, training=False), normalisation), name=OUTPUT)

    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with silenced():
            model, _ = tf2onnx.convert.from_function(
                tf.function(muons, input_signature=[latent]), input_signature=[latent], opset=OPSET
            )
    finally:
        logger.setLevel(level)
    _name_interface(model)
    onnx.checker.check_model(model, full_check=True)
    random = sorted({node.op_type for node in model.graph.node} & _RANDOM)
    if random:
        raise ShipgenError(f"the network's graph draws random numbers ({', '.join(random)})")
    serialised: bytes = model.SerializeToString()
    return serialised


def _name_interface(model: Any) -> None:
    """Give input and output of `model` their names, leave N free, drop operator sets that are not used."""
    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ShipgenError(
            f"the network's graph has {len(graph.input)} inputs and {len(graph.output)} outputs, not one each"
        )
    names = {graph.input[0].name: INPUT, graph.output[0].name: OUTPUT}
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for value in (graph.input[0], graph.output[0]):
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    standard = [opset for opset in model.opset_import if opset.domain in {"", "ai.onnx"}]
    del model.opset_import[:]
    model.opset_import.extend(standard)
