#include "shipgen_muons/MuonEvents.h"

#include <cstdio>
#include <locale>
#include <random>
#include <sstream>

#include "Streams.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

/// The muon's mass, GeV (PDG 2024).
constexpr double kMuonMass = 0.1056583755;

/// An event of more muons than this would not fit into memory.
constexpr double kMostInEvent = 1e7;

constexpr double kTwoPi = 6.283185307179586;

/// A number with so many digits, and a point whatever the locale.
std::string Text(double value, int digits = 6) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text.precision(digits);
  text << value;
  return text.str();
}

/// A number in full precision.
std::string Exact(double value) { return Text(value, 17); }

/// A text as JSON has it.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    char code[8] = {letter, '\0'};
    if (static_cast<unsigned char>(letter) < 0x20) std::snprintf(code, sizeof code, "\\u%04x", letter);
    if (letter == '"' || letter == '\\') quoted += '\\';
    quoted += code;
  }
  return quoted + "\"";
}

/// Throw InputError unless the option is finite and, where it is given, at least `least`.
void CheckOption(const char* name, double value, double least, bool may_be_missing) {
  const bool missing = may_be_missing && value == kNotGiven;
  if (!std::isfinite(value) || (!missing && value < least)) {
    throw InputError(std::string(name) + " = " + Text(value) + " is out of range");
  }
}

const Options& Checked(const Options& options) {
  constexpr double kAny = -1e300, kAboveZero = 1e-300;
  CheckOption("seed", static_cast<double>(options.seed), 0, true);
  CheckOption("muons_per_event", static_cast<double>(options.muons_per_event), 1, true);
  if (static_cast<double>(options.muons_per_event) > kMostInEvent) {
    throw InputError("muons_per_event = " + std::to_string(options.muons_per_event) + " is out of range");
  }
  CheckOption("pot_per_event", options.pot_per_event, kAboveZero, true);
  CheckOption("energy_cut", options.energy_cut, 0, true);
  CheckOption("smear_beam", options.smear_beam, 0, false);
  CheckOption("paint_beam", options.paint_beam, 0, false);
  CheckOption("target_z", options.target_z, kAny, false);
  if (options.energy_cut != kNotGiven && options.muons_per_event != kNotGiven &&
      options.pot_per_event != kNotGiven) {
    throw InputError(
        "with an energy cut, the weight that makes muons_per_event muons stand for pot_per_event protons is "
        "not known "
        "beforehand: give one of the two");
  }
  return options;
}

std::int64_t DrawSeed() {
  std::random_device device;
  const std::uint64_t high = device() & 0x7fffffffU;
  return static_cast<std::int64_t>((high << 32) | device());
}

MuonSeries MakeSeries(const Bundle& bundle, std::int64_t seed) {
  return MuonSeries(bundle,
                    Plan::ForMuons(bundle.Rates(), kMostMuons, seed == kNotGiven ? DrawSeed() : seed, true));
}

}  // namespace

struct MuonEvents::Counts {
  Stream stream;
  double mean;
};

struct MuonEvents::Beam {
  double smear, paint;
  std::int64_t chunk;               ///< that the positions are for
  std::vector<double> dx, dy, phi;  ///< displacements, cm, and places on the circle
};

MuonEvents::MuonEvents(const Options& options)
    : bundle_(Bundle::Open(Checked(options).bundle)),
      series_(MakeSeries(bundle_, options.seed)),
      muons_per_event_(options.muons_per_event),
      pot_per_event_(options.pot_per_event),
      energy_cut_(options.energy_cut),
      smear_beam_(options.smear_beam),
      paint_beam_(options.paint_beam),
      target_z_(options.target_z) {
  if (energy_cut_ != kNotGiven) {
    if (energy_cut_ < bundle_.EnergyCut()) {
      throw InputError("energy_cut = " + Text(energy_cut_) + " GeV is below that of bundle " +
                       bundle_.Name() + ", " + Text(bundle_.EnergyCut()) +
                       " GeV, under which muons are missing: choose a higher one or none");
    }
    least_momentum_squared_ = (energy_cut_ + kMuonMass) * (energy_cut_ + kMuonMass) - kMuonMass * kMuonMass;
  }
  if (pot_per_event_ == kNotGiven) {
    if (muons_per_event_ == kNotGiven) muons_per_event_ = 1;
  } else if (muons_per_event_ != kNotGiven) {
    weight_ = pot_per_event_ * bundle_.Rate() / static_cast<double>(muons_per_event_);
  } else {
    const double mean = bundle_.Rate() * pot_per_event_;
    if (mean > kMostInEvent) {
      throw InputError("pot_per_event = " + Text(pot_per_event_) + " gives " + Text(mean) +
                       " muons an event: choose less than " + Text(kMostInEvent / bundle_.Rate()));
    }
    counts_ = std::make_unique<Counts>(Counts{Stream(static_cast<std::uint64_t>(Seed()), 0, kEvents), mean});
  }
  if (options.smear_beam > 0 || options.paint_beam > 0) {
    beam_ = std::make_unique<Beam>(Beam{options.smear_beam, options.paint_beam, -1, {}, {}, {}});
  }
}

MuonEvents::~MuonEvents() = default;

const std::vector<Track>& MuonEvents::NextEvent() {
  tracks_.clear();
  NextEvent([this](const Track& track) { tracks_.push_back(track); });
  return tracks_;
}

double MuonEvents::EnergyCut() const { return energy_cut_ == kNotGiven ? bundle_.EnergyCut() : energy_cut_; }

double MuonEvents::Pot() const {
  if (pot_per_event_ != kNotGiven) return static_cast<double>(events_) * pot_per_event_;
  return static_cast<double>(drawn_) / bundle_.Rate();
}

std::string MuonEvents::FileSummary() const {
  return "{\"PoT\": " + Exact(Pot()) + ", \"EnergyCut\": " + Exact(EnergyCut()) +
         ", \"prodSite\": \"shipgen\"}";
}

std::string MuonEvents::Provenance() const {
  const auto given = [](double value) { return value == kNotGiven ? "null" : Exact(value); };
  return "{\"kind\": \"muon source\", \"bundle\": {\"name\": " + Quoted(bundle_.Name()) +
         ", \"label\": " + Quoted(bundle_.Label()) + ", \"sha256\": " + Quoted(bundle_.Sha256()) +
         "}, \"seed\": " + std::to_string(Seed()) +
         ", \"muons_per_event\": " + given(static_cast<double>(muons_per_event_)) +
         ", \"pot_per_event\": " + given(pot_per_event_) + ", \"energy_cut\": " + Exact(EnergyCut()) +
         ", \"smear_beam\": " + Exact(smear_beam_) + ", \"paint_beam\": " + Exact(paint_beam_) +
         ", \"target_z\": " + Exact(target_z_) + ", \"events\": " + std::to_string(events_) +
         ", \"muons\": " + std::to_string(muons_) + ", \"pot\": " + Exact(Pot()) +
         ", \"weight\": " + Exact(weight_) +
         ", \"units\": {\"smear_beam\": \"cm\", \"paint_beam\": \"cm\", \"target_z\": \"cm\", "
         "\"energy_cut\": \"GeV\"}, \"versions\": {\"shipgen\": \"" SHIPGEN_MUONS_VERSION
         " compiled\", \"onnxruntime\": " +
         Quoted(Bundle::OnnxRuntimeVersion()) + "}}";
}

std::int64_t MuonEvents::DrawCount() { return counts_->stream.Poisson(counts_->mean); }

void MuonEvents::Displace(Track& track) {
  Beam& beam = *beam_;
  if (beam.chunk != series_.Chunk()) {
    // All of a chunk at once, since the positions in y come after all of those in x.
    beam.chunk = series_.Chunk();
    const std::size_t size = series_.ChunkSize();
    Stream stream(static_cast<std::uint64_t>(Seed()), static_cast<std::uint64_t>(beam.chunk), kBeam);
    for (std::vector<double>* moves : {&beam.dx, &beam.dy}) {
      if (beam.smear <= 0) break;
      moves->resize(size);
      for (double& move : *moves) move = beam.smear * stream.Normal();
    }
    if (beam.paint > 0) {
      beam.phi.resize(size);
      for (double& phi : beam.phi) phi = kTwoPi * stream.NextDouble();
    }
  }
  const std::size_t place = series_.Place() - 1;
  if (beam.smear > 0) {
    track.x += beam.dx[place];
    track.y += beam.dy[place];
  }
  if (beam.paint > 0) {
    track.x += beam.paint * std::cos(beam.phi[place]);
    track.y += beam.paint * std::sin(beam.phi[place]);
  }
}

void MuonEvents::ThrowExhausted() const {
  throw InputError("1e+15 muons have been read with seed " + std::to_string(Seed()) +
                   ": choose another seed");
}

void MuonEvents::ThrowNoneAbove() const {
  throw InputError("none of " + Text(static_cast<double>(kMostBelow)) +
                   " muons in a row is above energy_cut = " + Text(energy_cut_) + " GeV: choose a lower one");
}

}  // namespace shipgen_muons
