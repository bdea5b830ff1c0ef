"""Small GANs for tests, and ways to run a few of their steps quickly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.eager import eagerly
from shipgen_export.models import gan
from shipgen_export.models.gan import Gan, GanConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = GanConfig(latent=8, batch=20, layers_g=2, layers_d=2)
TINY = replace(SMALL, layers_g=1, layers_d=1)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the first layers few nodes, where their number does not matter."""
    monkeypatch.setattr(gan, "_FIRST_LAYER", 16)


@pytest.fixture
def eager(narrow: None) -> Iterator[None]:  # noqa: ARG001
    """Run steps without a graph: for a few of them, building it takes longer."""
    with eagerly():
        yield


def batches(steps: int, trained: Gan) -> np.ndarray:
    """Return normalised muons around 0.3, float32[steps, real_batch, 4]."""
    random = np.random.default_rng(2)
    return random.normal(0.3, 0.1, (steps, trained.config.real_batch, 4)).astype(np.float32)
