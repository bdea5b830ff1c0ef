#include "shipgen_muons/MuonSource.h"

#include <FairPrimaryGenerator.h>
#include <fairlogger/Logger.h>

#include <exception>

namespace shipgen_muons {
namespace {

// What AddTrack takes beside the muon: no parent; to be tracked; energy from mass and momentum; no time yet,
// s.
constexpr Int_t kNoParent = -1;
constexpr Bool_t kToBeTracked = true;
constexpr Double_t kFromMomentum = -9e9, kNoTime = 0;

}  // namespace

MuonSource::MuonSource(const char* bundle) : FairGenerator("shipgen", "muons of shipgen") {
  options_.bundle = bundle == nullptr ? "" : bundle;
}

MuonSource::~MuonSource() = default;

template <class Work>
bool MuonSource::Guarded(Work&& work) noexcept {
  // What left this function would go through the simulation's own frames, with its files open.
  if (failed_) return false;
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    LOG(error) << "shipgen: " << error.what();
  } catch (...) {
    LOG(error) << "shipgen: unknown error";
  }
  failed_ = true;
  return false;
}

void MuonSource::Open() {
  if (events_) return;
  events_ = std::make_unique<MuonEvents>(options_);
  const Bundle& bundle = events_->GetBundle();
  LOG(info) << "shipgen: bundle " << bundle.Name() << " " << bundle.Sha256().substr(0, 12) << ", seed "
            << events_->Seed() << ", " << events_->Rate() << " muons per proton on target";
}

Bool_t MuonSource::Init() {
  // Options may be mended; a run that failed stays failed.
  if (!events_) failed_ = false;
  return Guarded([this] { Open(); });
}

Bool_t MuonSource::ReadEvent(FairPrimaryGenerator* primary) {
  return Guarded([this, primary] {
    Open();
    events_->NextEvent([primary](const Track& track) {
      primary->AddTrack(track.pdg, track.px, track.py, track.pz, track.x, track.y, track.z, kNoParent,
                        kToBeTracked, kFromMomentum, kNoTime, track.weight);
    });
  });
}

}  // namespace shipgen_muons
