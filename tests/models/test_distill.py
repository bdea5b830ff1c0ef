from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen_export.backend import tf
from shipgen_export.maps.coordinates import Shape
from shipgen_export.models.distill import Student, StudentConfig, build_generator

if TYPE_CHECKING:
    from pathlib import Path

SMALL = StudentConfig(nodes="16-16", pairs=100_000, batch=512, steps=600, average=0.98)
SHAPE = Shape(coordinates=2, drawn=0, on_axis=False)


def bent(latent: Any) -> Any:
    """A teacher whose second coordinate bends with the first."""
    return tf.stack([latent[:, 0], tf.tanh(latent[:, 0]) + 0.5 * latent[:, 1]], 1)


def test_a_student_learns_what_its_teacher_does() -> None:
    student = Student(SMALL, SHAPE, 1, bent)
    losses = student.train(np.zeros(600))["loss"]
    assert losses.shape == (600,)
    latent = np.random.default_rng(2).standard_normal((10_000, 2)).astype(np.float32)
    learnt, taught = student.generator(latent).numpy(), bent(latent).numpy()
    np.testing.assert_array_equal(learnt[:, 0], latent[:, 0])
    # 600 short steps; it starts at 0.8.
    assert np.sqrt(np.mean((learnt - taught) ** 2)) < 0.06


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = Student(SMALL, SHAPE, 1, bent)
    expected = whole.train(np.zeros(6))["loss"]
    first = Student(SMALL, SHAPE, 1, bent)
    first.train(np.zeros(3))
    saved = tf.train.Checkpoint(**first.parts).save(f"{tmp_path}/checkpoint")
    second = Student(SMALL, SHAPE, 1, bent)
    tf.train.Checkpoint(**second.parts).restore(saved).assert_existing_objects_matched()
    np.testing.assert_array_equal(second.train(np.zeros(3))["loss"], expected[3:])
    for one, two in zip(second.average, whole.average, strict=True):
        np.testing.assert_array_equal(one, two)


def test_seeds_differ() -> None:
    losses = [Student(SMALL, SHAPE, seed, bent).train(np.zeros(2))["loss"] for seed in (1, 2)]
    assert (losses[0] != losses[1]).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"nodes": ""},
        {"nodes": "8-0"},
        {"nodes_on_axis": "wide"},
        {"pairs": 0},
        {"batch": 0},
        {"average": 1.0},
    ],
)
def test_settings_that_make_no_student_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changed))):
        StudentConfig(**changed)


def test_generator_hands_on_what_is_drawn_and_keeps_its_weights(tmp_path: Path) -> None:
    shape = Shape(coordinates=3, drawn=2, on_axis=True)
    one, other = (build_generator(StudentConfig(nodes_on_axis="8"), shape, seed) for seed in (1, 2))
    assert one.input_shape == (None, 5)
    latent = np.random.default_rng(3).standard_normal((50, 5)).astype(np.float32)
    np.testing.assert_array_equal(one(latent).numpy()[:, 3:], latent[:, 3:])
    one.save_weights(tmp_path / "one.weights.h5")
    assert not np.array_equal(one(latent), other(latent))
    other.load_weights(tmp_path / "one.weights.h5")
    np.testing.assert_array_equal(one(latent), other(latent))
    wider = build_generator(StudentConfig(nodes_on_axis="9"), shape)
    with pytest.raises(ValueError, match="another network"):
        wider.load_weights(tmp_path / "one.weights.h5")
