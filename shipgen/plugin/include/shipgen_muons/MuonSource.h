/// The muon source for FairRoot: a generator that makes its muons while the simulation runs.
#ifndef SHIPGEN_MUONS_MUONSOURCE_H_
#define SHIPGEN_MUONS_MUONSOURCE_H_

#include <FairGenerator.h>

#include <memory>
#include <string>

#include "shipgen_muons/MuonEvents.h"

namespace shipgen_muons {

/// What `shipgen.fairship.muon_source` makes in Python, compiled: one muon an event unless told otherwise.
///
/// Options are set before the run; all of them are explained at `Options`. It never runs out. What is wrong
/// with the options or the bundle is told through FairLogger, in one line, by `Init`, which then returns
/// false. FairRoot ignores that, so the first `ReadEvent` also returns false, at which FairRoot ends the
/// process, with status 0: a macro that is to fail looks at `Init` itself.
class MuonSource : public FairGenerator {
 public:
  /// \param bundle  folder; empty: the default bundle
  explicit MuonSource(const char* bundle = "");
  ~MuonSource() override;
  MuonSource(const MuonSource&) = delete;
  MuonSource& operator=(const MuonSource&) = delete;

  void SetSeed(Long64_t seed) { options_.seed = seed; }
  void SetMuonsPerEvent(Long64_t muons) { options_.muons_per_event = muons; }
  void SetPotPerEvent(Double_t protons) { options_.pot_per_event = protons; }
  void SetEnergyCut(Double_t energy) { options_.energy_cut = energy; }        ///< GeV
  void AddCategory(const char* name) { options_.categories.emplace_back(name); }  ///< those that are read
  void SetChargeFraction(Double_t fraction) { options_.charge_fraction = fraction; }
  void SetSmearBeam(Double_t deviation) { options_.smear_beam = deviation; }  ///< cm
  void SetPaintBeam(Double_t radius) { options_.paint_beam = radius; }        ///< cm
  void SetOffset(Double_t x, Double_t y) { options_.offset_x = x, options_.offset_y = y; }  ///< cm
  void SetTargetZ(Double_t z) { options_.target_z = z; }                      ///< cm
  void SetVariation(const char* name) { options_.variation = name == nullptr ? "" : name; }  ///< of the weights

  /// Load the bundle, if that has not been done, and tell what the run will be made of; tell why and return
  /// false where that fails. Options that are set later have no effect.
  Bool_t Init() override;

  /// Pass the muons of the next event to `primary`; tell why and return false where that fails.
  Bool_t ReadEvent(FairPrimaryGenerator* primary) override;

  /// Of the events so far; zero before `Init`.
  Long64_t GetEvents() const { return events_ ? events_->Events() : 0; }
  Long64_t GetMuons() const { return events_ ? events_->Muons() : 0; }

  /// Protons on target that the events so far stand for, for the file's header; zero before `Init`.
  Double_t GetPot() const { return events_ ? events_->Pot() : 0; }

  /// The seed: the one set, or the one drawn by `Init`.
  Long64_t GetSeed() const { return events_ ? events_->Seed() : options_.seed; }

  /// The keys of FairShip's `FileSummary`, as JSON; empty before `Init`.
  std::string GetFileSummary() const { return events_ ? events_->FileSummary() : std::string(); }

  /// What it takes to make the events so far again, as JSON; empty before `Init`.
  std::string GetProvenance() const { return events_ ? events_->Provenance() : std::string(); }

 private:
  void Open();

  /// Run `work`; tell what it throws, once, and return whether it threw nothing.
  template <class Work>
  bool Guarded(Work&& work) noexcept;

  Options options_;                     //!
  std::unique_ptr<MuonEvents> events_;  //!
  bool failed_ = false;                 //!

  ClassDefOverride(shipgen_muons::MuonSource, 0);
};

}  // namespace shipgen_muons

#endif
