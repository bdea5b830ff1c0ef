from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shipgen.errors import InputError
from shipgen_export.backend import tf
from shipgen_export.models.distill import Student, StudentConfig

if TYPE_CHECKING:
    from pathlib import Path

SMALL = StudentConfig(nodes=(16, 16), batch=512, schedule=600, average=0.98)


def bent(latent: Any) -> Any:
    """A teacher whose second coordinate bends with the first."""
    return tf.stack([latent[:, 0], tf.tanh(latent[:, 0]) + 0.5 * latent[:, 1]], 1)


def test_a_student_learns_what_its_teacher_does() -> None:
    student = Student(SMALL, bent, 2, seed=1)
    losses = student.train(600)["loss"]
    assert losses.shape == (600,)
    latent = np.random.default_rng(2).standard_normal((10_000, 2)).astype(np.float32)
    learnt, taught = student(latent).numpy(), bent(latent).numpy()
    np.testing.assert_array_equal(learnt[:, 0], latent[:, 0])
    # 600 short steps; it starts at 0.8.
    assert np.sqrt(np.mean((learnt - taught) ** 2)) < 0.06


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = Student(SMALL, bent, 2, seed=1)
    expected = whole.train(6)["loss"]
    first = Student(SMALL, bent, 2, seed=1)
    first.train(3)
    saved = tf.train.Checkpoint(**first.parts).save(f"{tmp_path}/checkpoint")
    second = Student(SMALL, bent, 2, seed=1)
    tf.train.Checkpoint(**second.parts).restore(saved).assert_existing_objects_matched()
    np.testing.assert_array_equal(second.train(3)["loss"], expected[3:])
    for one, two in zip(second.average, whole.average, strict=True):
        np.testing.assert_array_equal(one, two)


def test_seeds_differ() -> None:
    losses = [Student(SMALL, bent, 2, seed=seed).train(2)["loss"] for seed in (1, 2)]
    assert (losses[0] != losses[1]).all()


@pytest.mark.parametrize("changed", [{"nodes": ()}, {"nodes": (0,)}, {"batch": 0}, {"average": 1.0}])
def test_settings_that_make_no_student_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changed))):
        StudentConfig(**changed)
