"""The muon source in FairShip.

>>> from shipgen.fairship import muon_source
>>> primGen.AddGenerator(muon_source(seed=1))

or, with all that macros say to FairShip's own generator,

>>> from shipgen.fairship import FixedTargetGenerator
>>> P8gen = FixedTargetGenerator()
"""

from shipgen.fairship.source import muon_source
from shipgen.fairship.stand_in import FixedTargetGenerator

__all__ = ["FixedTargetGenerator", "muon_source"]
