"""The muon source in FairShip.

>>> from shipgen.fairship import muon_source
>>> primGen.AddGenerator(muon_source(seed=1))
"""

from shipgen.fairship.source import muon_source

__all__ = ["muon_source"]
