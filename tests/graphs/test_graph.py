"""Graphs: that they give the muons of their networks, in what form, and that a difference is seen."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

from helpers.shaken import shake
from helpers.synthetic import synthetic_category
from shipgen.errors import BundleError
from shipgen.muons.categories import CATEGORIES
from shipgen_export.backend import keras, tf
from shipgen_export.graphs import agreement, onnx_graph
from shipgen_export.graphs.agreement import LATENTS, TOLERANCE, check_agreement, comparison_latents, reference
from shipgen_export.graphs.keras2 import ACTIVATIONS
from shipgen_export.graphs.onnx_graph import build_graph

if TYPE_CHECKING:
    from shipgen.muons.categories import Category
    from shipgen_export.sample.transforms import Normalisation


@cache
def trained(category: Category) -> tuple[Any, Normalisation]:
    """Return a small generator of all kinds of layers, and the normalisation of made-up muons."""
    layers = keras.layers
    generator = keras.Sequential([keras.Input((20,))])
    for nodes in (16, 32):
        generator.add(layers.Dense(nodes))
        generator.add(layers.LeakyReLU(0.2))
        generator.add(layers.BatchNormalization(momentum=0.8))
    generator.add(layers.Dropout(0.25))
    generator.add(layers.Dense(len(category.features), activation="tanh"))
    shake(generator)
    return generator, synthetic_category(category, 1000, seed=1).normalisation


@pytest.mark.parametrize("category", CATEGORIES[::2], ids=lambda category: category.name)
def test_graph_keras_and_numpy_agree(category: Category) -> None:
    generator, normalisation = trained(category)
    graph = build_graph(generator, normalisation)
    found = check_agreement(category, generator, normalisation, graph)
    assert max(*found.keras, *found.numpy) <= TOLERANCE
    latent = comparison_latents(20, seed=1)
    muons = onnxruntime.InferenceSession(graph).run(["muons"], {"latent": latent})[0]
    assert muons.dtype == np.float32
    expected = normalisation.inverse(reference(generator, latent))
    width = normalisation.maximum - normalisation.minimum
    assert (np.abs(muons - expected).max(0) / width).max() == pytest.approx(max(found.numpy))


def test_denormalisation_alone_is_as_exact_as_float32_allows() -> None:
    sample = synthetic_category(CATEGORIES[2], 1000, seed=1)
    n = sample.normalisation
    values = np.random.default_rng(1).uniform(-1, 1, (5000, 6)).astype(np.float32)
    muons = onnx_graph.denormalise(tf.constant(values), n).numpy()
    expected = n.inverse(values.astype(np.float64))
    # Offset and sum are each rounded once, to half a unit in the last place of the largest value.
    rounding = np.spacing(np.abs(expected).max(0).astype(np.float32))
    assert (np.abs(muons - expected).max(0) <= 1.5 * rounding + 3e-7 * (n.maximum - n.minimum)).all()


def test_a_feature_without_range_keeps_its_value() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    flat = replace(
        normalisation, maximum=np.where([1, 0, 0, 0], normalisation.minimum, normalisation.maximum)
    )
    graph = build_graph(generator, flat)
    check_agreement(CATEGORIES[0], generator, flat, graph)
    latent = comparison_latents(20, seed=1)
    z = onnxruntime.InferenceSession(graph).run(None, {"latent": latent})[0][:, 0]
    np.testing.assert_array_equal(z, np.float32(flat.minimum[0]))


def test_graph_interface() -> None:
    generator, normalisation = trained(CATEGORIES[2])
    model = onnx.load_from_string(build_graph(generator, normalisation))
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
    sides = [*model.graph.input, *model.graph.output]
    assert [side.name for side in sides] == ["latent", "muons"]
    dimensions = [side.type.tensor_type.shape.dim for side in sides]
    assert [(dim[0].dim_param, dim[1].dim_value) for dim in dimensions] == [("N", 20), ("N", 6)]
    operators = {node.op_type for node in model.graph.node}
    # Batch normalisation is multiplications and additions of constants, dropout is gone.
    assert operators <= {"Abs", "Add", "Gemm", "LeakyRelu", "MatMul", "Mul", "Tanh"}


def test_graph_takes_any_number_of_latents() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    session = onnxruntime.InferenceSession(build_graph(generator, normalisation))
    latent = comparison_latents(20, seed=1)
    whole = session.run(None, {"latent": latent[:1000]})[0]
    one = np.vstack([session.run(None, {"latent": latent[i : i + 1]})[0] for i in range(5)])
    # Sums may be in another order for another number of rows.
    np.testing.assert_allclose(one, whole[:5], rtol=2e-6, atol=1e-5)


def test_comparison_latents_reach_far() -> None:
    latent = comparison_latents(100, seed=1)
    assert latent.shape == (LATENTS, 100)
    assert ((np.abs(latent[:1000]) == 5).sum(1) == 5).all()
    assert latent[1000:].std() == pytest.approx(1, abs=0.01)
    assert (np.abs(comparison_latents(2, seed=1)[:1000]) == 5).any(1).all()


def test_disagreement_names_category_feature_and_size() -> None:
    generator, normalisation = trained(CATEGORIES[0])
    maximum = normalisation.maximum * np.array([1, 1, 1.001, 1])
    graph = build_graph(generator, replace(normalisation, maximum=maximum))
    with pytest.raises(
        BundleError, match=r"muplus_onaxis differs from Keras by .* of the range of py \(allowed"
    ):
        check_agreement(CATEGORIES[0], generator, normalisation, graph)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_can_be_imported_can_be_compared(name: str) -> None:
    """Every activation, of a dense layer or a layer of its own, far out too."""
    layers = [keras.layers.Dense(6, activation=name), keras.layers.Activation(name), keras.layers.Dense(4)]
    network = keras.Sequential([keras.Input((3,)), *layers])
    latent = 300 * np.random.default_rng(1).standard_normal((50, 3), np.float32)
    expected = np.asarray(network(latent))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(reference(network, latent), expected, rtol=0, atol=1e-5 * max(1, scale))
    assert agreement.ACTIVATIONS is ACTIVATIONS
