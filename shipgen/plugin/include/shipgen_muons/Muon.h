/// One muon: as networks make it, and as a simulation takes it.
#ifndef SHIPGEN_MUONS_MUON_H_
#define SHIPGEN_MUONS_MUON_H_

#include <cstdint>

namespace shipgen_muons {

/// One muon of a series, with the numbers of `shipgen.muons.batch.Batch`.
struct Muon {
  std::int32_t pdg = 0;       ///< PDG code: 13 is the negative muon, -13 the positive one
  float x = 0, y = 0, z = 0;  ///< where it starts, cm, z in the frame of the bundle (`Bundle::TargetStart`)
  float px = 0, py = 0, pz = 0;  ///< momentum there, GeV
  float weight = 1;              ///< how many muons it stands for in the plan's protons
};

/// One muon of an event, as `FairPrimaryGenerator::AddTrack` takes it.
struct Track {
  int pdg = 0;                    ///< PDG code
  double px = 0, py = 0, pz = 0;  ///< momentum, GeV
  double x = 0, y = 0, z = 0;     ///< where it starts in the geometry, cm
  double weight = 1;              ///< how many muons it stands for in the event's protons
};

}  // namespace shipgen_muons

#endif
