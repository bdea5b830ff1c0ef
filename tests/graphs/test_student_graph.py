"""The exported student: the graph's muons are those of TensorFlow and of NumPy, whatever the coordinates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from helpers.even_muons import CASES, START, category_sample
from shipgen.bundle.levels import LEVELLED, NORMAL
from shipgen.errors import BundleError
from shipgen_export.graphs.agreement import TOLERANCE, check_agreement, reference
from shipgen_export.graphs.student_graph import STREAM, build_student_graph
from shipgen_export.maps.marginals import Marginal
from shipgen_export.maps.muon_map import MuonMap
from shipgen_export.models.distill import build_generator
from shipgen_export.models.settings import StudentConfig

if TYPE_CHECKING:
    from shipgen_export.models.dense import MappedNetwork

EDGES = tuple(START + depth for depth in (0.0, 8.0, 8.5, 20.0, 20.5, 150.0))


def student(made: MuonMap, seed: int) -> MappedNetwork:
    """A student with weights as large as trained ones."""
    generator = build_generator(StudentConfig(nodes="16-16", nodes_on_axis="12"), made.shape, seed)
    random = np.random.default_rng(seed)
    for variable in generator.variables:
        variable.assign_add(random.normal(0, 0.1, variable.shape).astype(np.float32))
    return generator


@pytest.mark.parametrize("name", CASES)
def test_graph_agrees_with_tensorflow_and_numpy(name: str) -> None:
    muons, category, _ = CASES[name]
    sample = category_sample(muons, category)
    made = MuonMap.fit(sample, START, EDGES)
    generator = student(made, 1)
    for how in (NORMAL, LEVELLED):
        graph = build_student_graph(generator.get_weights(), made, stream=how)
        agreement = check_agreement(sample.category, generator, made, graph, stream=how)
        assert max(*agreement.keras, *agreement.numpy) < TOLERANCE
        # Another student's graph is refused.
        other = build_student_graph(student(made, 2).get_weights(), made, stream=how)
        with pytest.raises(BundleError, match="differs from"):
            check_agreement(sample.category, generator, made, other, stream=how)


@pytest.mark.parametrize(
    ("cell", "size", "allowed"), [(1450, 5e-4, True), (1450, 1e-2, False), (1024, 5e-5, False)]
)
def test_a_few_muons_where_a_table_is_steep_may_differ_more(cell: int, size: float, allowed: bool) -> None:
    muons, category, _ = CASES["even"]
    sample = category_sample(muons, category)
    made = MuonMap.fit(sample, START)
    generator = student(made, 1)
    p = made.marginals[0].values.copy()
    p[cell] += size * (made.maximum[5] - made.minimum[5])
    other = replace(made, marginals=(Marginal(p), *made.marginals[1:]))
    graph = build_student_graph(generator.get_weights(), other)
    if allowed:
        agreement = check_agreement(sample.category, generator, made, graph, stream=STREAM)
        assert max(agreement.numpy) > TOLERANCE
        assert 0 < agreement.steep <= 10
    else:
        with pytest.raises(BundleError, match="differs from"):
            check_agreement(sample.category, generator, made, graph, stream=STREAM)


def test_a_muon_is_made_of_its_latents_alone() -> None:
    """Rows are features, and what stands beside a muon does not matter."""
    muons, category, _ = CASES["even"]
    made = MuonMap.fit(category_sample(muons, category), START, EDGES)
    generator = student(made, 3)
    session = onnxruntime.InferenceSession(
        build_student_graph(generator.get_weights(), made), providers=["CPUExecutionProvider"]
    )
    latent = np.random.default_rng(4).standard_normal((8, 5000), np.float32)
    whole = session.run(None, {"latent": latent})[0]
    assert whole.shape == (6, 5000)
    part = session.run(None, {"latent": np.ascontiguousarray(latent[:, 1000:1100])})[0]
    np.testing.assert_allclose(part, whole[:, 1000:1100], rtol=1e-5, atol=1e-4)
    p = np.sqrt(np.square(whole[3:].astype(np.float64)).sum(0))
    assert p.min() > 0.9999 * made.marginals[0].values[0]
    assert (whole[5] > 0).all()


def test_first_coordinate_passes_through() -> None:
    muons, category, _ = CASES["even"]
    made = MuonMap.fit(category_sample(muons, category), START)
    generator = student(made, 5)
    latent = np.random.default_rng(6).standard_normal((100, 7)).astype(np.float32)
    out = reference(generator, latent)
    np.testing.assert_array_equal(out[:, [0, 5, 6]], latent[:, [0, 5, 6]])
    np.testing.assert_allclose(generator(latent).numpy(), out, atol=2e-5)
