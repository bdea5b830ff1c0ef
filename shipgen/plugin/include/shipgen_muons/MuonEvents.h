/// Muons by events, for simulations that read one event after the other.
#ifndef SHIPGEN_MUONS_MUONEVENTS_H_
#define SHIPGEN_MUONS_MUONEVENTS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shipgen_muons/Bundle.h"
#include "shipgen_muons/Muon.h"
#include "shipgen_muons/MuonSeries.h"

namespace shipgen_muons {

/// For options: what it is without the option.
inline constexpr int kNotGiven = -1;

/// After so many muons in a row below the cut none are expected above it.
inline constexpr std::int64_t kMostBelow = 10000000;

/// What an event is; the same options as `shipgen.fairship.muon_source` has.
struct Options {
  std::string bundle;             ///< folder; empty: the default bundle
  std::int64_t seed = kNotGiven;  ///< 0 to 2^63 - 1; not given: drawn anew, see `MuonEvents::Seed`
  std::int64_t muons_per_event =
      kNotGiven;                     ///< muons of each event; 1 if this and `pot_per_event` are not given
  double pot_per_event = kNotGiven;  ///< protons on target of an event. Alone: a Poisson number of muons.
                                     ///< With `muons_per_event`: muons of the weight that makes up for it
  double energy_cut = kNotGiven;     ///< leave out muons of a kinetic energy not above it, GeV
  std::vector<std::string> categories;  ///< names of those that are read; empty: all
  double charge_fraction = kNotGiven;   ///< share of positive muons; weights make up for it
  double smear_beam = 0;             ///< standard deviation of the beam's position in x and y, cm
  double paint_beam = 0;             ///< radius of the circle that the beam is painted on, cm
  double target_z = 0;               ///< where the target starts in the geometry, cm
  double offset_x = 0, offset_y = 0;  ///< where the beam hits the target in the geometry, cm
  std::string variation;  ///< name or column of one of the bundle's, such as `kaons`, whose factors weights are
                          ///< multiplied with; empty: none
};

/// An endless series of events: those of `shipgen.generate.events.MuonEvents` with the same bundle, seed and
/// options.
class MuonEvents {
 public:
  /// \throws InputError    an option is out of range, or the bundle has no such variation
  /// \throws BundleError   the bundle cannot be used
  /// \throws OnnxRuntimeError  ONNX Runtime is missing
  explicit MuonEvents(const Options& options = {});
  ~MuonEvents();
  MuonEvents(const MuonEvents&) = delete;
  MuonEvents& operator=(const MuonEvents&) = delete;

  /// Pass the muons of the next event to `add_track`, one a call.
  ///
  /// \param add_track  called with a `const Track&`
  /// \throws BundleError  a network fails, or makes a number that is not finite or a factor not above zero
  /// \throws InputError   1e15 muons have been read, 1e7 in a row were below the cut, or an earlier call
  /// threw
  template <class AddTrack>
  void NextEvent(AddTrack&& add_track) {
    const bool all_count = counts_ != nullptr;
    for (std::int64_t left = all_count ? DrawCount() : options_.muons_per_event; left > 0;) {
      Track track;
      const bool passes = NextTrack(track);
      if (passes) {
        add_track(static_cast<const Track&>(track));
        ++muons_;
        below_ = 0;
      } else if (!all_count && ++below_ >= kMostBelow) {
        ThrowNoneAbove();
      }
      // Where events have a number of protons, muons that do not pass the cut keep their places.
      if (passes || all_count) --left;
    }
    ++events_;
  }

  /// Return the muons of the next event; for macros. They stay until the next call.
  const std::vector<Track>& NextEvent();

  std::int64_t Seed() const { return series_.GetPlan().Seed(); }
  std::int64_t Events() const { return events_; }  ///< events read
  std::int64_t Muons() const { return muons_; }    ///< muons passed

  /// Each muon's weight, as far as the networks, those of variations included, make none of their own.
  double Weight() const { return weight_; }

  /// Muons per proton on target, of the categories that are read.
  double Rate() const { return series_.GetPlan().Rate(); }

  /// No muon's kinetic energy is meant to be below this, GeV: the cut asked for or the bundle's.
  double EnergyCut() const;

  /// Protons on target that the events read so far stand for.
  double Pot() const;

  /// The keys of FairShip's `FileSummary` for the events read so far, as JSON.
  std::string FileSummary() const;

  /// What it takes to make the events read so far again, and what they stand for, as JSON.
  std::string Provenance() const;

  const Bundle& GetBundle() const { return bundle_; }

 private:
  struct Beam;
  struct Counts;

  /// Read the next muon of the series; return whether it passes the cut.
  bool NextTrack(Track& track) {
    Muon muon;
    if (!series_.Next(muon)) ThrowExhausted();
    ++drawn_;
    track.pdg = muon.pdg;
    track.px = muon.px;
    track.py = muon.py;
    track.pz = muon.pz;
    // In double precision: the offset is a hundred times larger than the target.
    track.z = muon.z - bundle_.TargetStart() + options_.target_z;
    track.weight = weight_ * muon.weight;
    if (!series_.Variation().empty()) track.weight *= series_.Factor();
    if (beam_ != nullptr) Displace(muon);
    track.x = muon.x + options_.offset_x;
    track.y = muon.y + options_.offset_y;
    return track.px * track.px + track.py * track.py + track.pz * track.pz > least_momentum_squared_;
  }

  std::int64_t DrawCount();
  void Displace(Muon& muon);
  [[noreturn]] void ThrowExhausted() const;
  [[noreturn]] void ThrowNoneAbove() const;

  Options options_;
  Bundle bundle_;
  MuonSeries series_;
  double weight_ = 1;
  double least_momentum_squared_ = -1;
  std::unique_ptr<Beam> beam_;      ///< its positions, where it is smeared or painted
  std::unique_ptr<Counts> counts_;  ///< numbers of muons of the events, where these are drawn
  std::vector<Track> tracks_;
  std::int64_t events_ = 0, muons_ = 0, drawn_ = 0;
  std::int64_t below_ = 0;  ///< muons in a row that did not pass
};

}  // namespace shipgen_muons

#endif
