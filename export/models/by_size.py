"""How long a flow is trained, and from what: by the sample it learns from. The rules stand here, once.

What is given is the most. A flow that is trained on few muons learns them by heart: it is likeliest for
muons of other protons after a few hundred steps, and its learning rate should have fallen by then. Flows with
fewer nodes and bins are no likelier.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shipgen_export.models.settings import FlowConfig

#: How often a flow sees each effective muon of its sample on average, at most, and the fewest steps.
PASSES, FEWEST_STEPS = 60, 600

#: Training ends when the muons held out have not become likelier for this share of the planned steps, and
#: for so many steps, and are less likely by this in the mean of the logarithm: of large samples a learning
#: rate that is still high holds up the loss, and they would end too early.
PATIENCE_SHARE, PATIENCE_STEPS, WORSE = 0.25, 300, 1e-3

#: With fewer effective protons, or muons, flows start from a bundle's: of samples of the project's simulation
#: with up to 7,000 protons and 75,000 effective muons those that did were never worse than from nothing by
#: more than the error, and the largest off axis no better (docs/explanation/networks.md, "Small samples").
FEW_PROTONS, FEW_MUONS = 10_000, 100_000

#: A flow that goes on from another one starts with this share of the learning rate.
FINE = 0.3


def flow_of_size(config: FlowConfig, muons: float, start: FlowConfig | None = None) -> FlowConfig:
    """Return the settings of a flow for a sample of so many effective muons.

    Parameters
    ----------
    config : FlowConfig
        What is asked for.
    muons : float
        Effective number of those that are learnt from.
    start : FlowConfig, optional
        Of the flow that it goes on from, whose networks it has.
    """
    if start is not None:
        shape = {name: getattr(start, name) for name in ("hidden", "layers", "bins")}
        config = replace(config, **shape, learning_rate=FINE * config.learning_rate)
    if config.as_given:
        return config
    most = max(FEWEST_STEPS, int(round(PASSES * muons / config.batch, -2)))
    return replace(config, steps=min(config.steps, most))


def patience(config: FlowConfig) -> int:
    """Return after how many steps without improvement a flow's training ends."""
    return max(PATIENCE_STEPS, int(PATIENCE_SHARE * config.steps))
