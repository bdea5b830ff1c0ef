"""How good a trained generator is: the figure of merit on muons that training has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.progress import progress
from shipgen_export.figure_of_merit import CLASSIFIER, MUONS, draw, figure_of_merit

if TYPE_CHECKING:
    from shipgen.columns import Float32
    from shipgen_export.sample import CategorySample
    from shipgen_export.transforms import Normalisation

#: Muons generated at once, which bounds the memory a wide network takes.
_SLICE = 10_000


def generate(
    generator: Any, normalisation: Normalisation, muons: int, random: np.random.Generator
) -> Float32:
    """Return muons in physical units made by a Keras generator, float32[muons, d], cm and GeV."""
    latent_size = generator.input_shape[1]
    made = np.empty((muons, len(normalisation.features)), np.float32)
    for first in range(0, muons, _SLICE):
        part = made[first : first + _SLICE]
        latent = random.standard_normal((len(part), latent_size), np.float32)
        part[:] = normalisation.inverse(np.asarray(generator(latent, training=False), np.float64))
    return made


def measure(sample: CategorySample, generator: Any, seed: int, muons: int = MUONS) -> dict[str, Any]:
    """Return the figure of merit of `generator` and a control with real muons in its place, as plain values.

    The classifier is trained on the validation part and applied to the test part. The control's muons come
    from the training part, those to train on and those to apply to from different protons: it is what a
    perfect generator would get from this sample.

    Parameters
    ----------
    sample : CategorySample
        The category's muons.
    generator : keras.Model
        Latent -> normalised features.
    seed : int
        Decides the muons drawn, the latents and the classifier.
    muons : int
        Muons of each kind at most, to train on and to apply to.
    """
    random = np.random.default_rng(np.random.SeedSequence((seed, sample.category.number, 1)))
    held_out = [draw(*sample.part(name), muons, random) for name in ("validation", "test")]
    generated = [generate(generator, sample.normalisation, len(part), random) for part in held_out]
    training = sample.split == 0
    half = np.unique(sample.group, return_inverse=True)[1] % 2
    control = [
        draw(sample.features[chosen], sample.weights[chosen], muons, random)
        for chosen in (training & (half == 0), training & (half == 1))
    ]
    with progress(f"comparing {sample.category.name}", 2 * CLASSIFIER["n_estimators"], "trees") as advance:
        merit, real = (
            figure_of_merit((held_out[0], held_out[1]), (other[0], other[1]), seed, advance)
            for other in (generated, control)
        )
    return {
        "classifier": {"name": "GradientBoostingClassifier", **CLASSIFIER},
        "seed": seed,
        **merit.to_json(),
        "control": real.to_json(),
    }
