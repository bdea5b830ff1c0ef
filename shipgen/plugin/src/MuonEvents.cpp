#include "shipgen_muons/MuonEvents.h"

#include <algorithm>
#include <cstdio>
#include <locale>
#include <map>
#include <random>
#include <sstream>
#include <utility>

#include "Streams.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

/// The muon's mass, GeV (PDG 2024).
constexpr double kMuonMass = 0.1056583755;

/// An event of more muons than this would not fit into memory.
constexpr double kMostInEvent = 1e7;

/// Nothing is further away, cm: double precision has to resolve the target there.
constexpr double kFarthest = 1e7;

/// No beam is wider, cm.
constexpr double kWidestBeam = 1e4;

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

/// Throw InputError unless the options of the selection can be, as `shipgen.generate.selection` says.
void CheckSelection(const Options& options) {
  for (const std::string& name : options.categories) {
    std::string names;
    bool known = false;
    for (const Category& category : kCategories) {
      known = known || name == category.name;
      names += (names.empty() ? "" : ", ") + std::string(category.name);
    }
    if (!known) throw InputError("no category '" + name + "': choose from " + names);
  }
  const double fraction = options.charge_fraction;
  if (fraction != kNotGiven && !(fraction > 0 && fraction < 1)) {
    throw InputError("charge_fraction = " + Text(fraction) +
                     " is not between 0 and 1: for one charge choose its categories");
  }
  for (const auto& [name, value] :
       {std::pair{"smear_beam", options.smear_beam}, std::pair{"paint_beam", options.paint_beam}}) {
    if (!(value >= 0 && value <= kWidestBeam)) {
      throw InputError(std::string(name) + " = " + Text(value) + " is not a number of centimetres from 0 to " +
                       Text(kWidestBeam));
    }
  }
}

const Options& Checked(const Options& options) {
  constexpr double kAboveZero = 1e-300;
  CheckOption("seed", static_cast<double>(options.seed), 0, true);
  CheckOption("muons_per_event", static_cast<double>(options.muons_per_event), 1, true);
  if (static_cast<double>(options.muons_per_event) > kMostInEvent) {
    throw InputError("muons_per_event = " + std::to_string(options.muons_per_event) + " is out of range");
  }
  CheckOption("pot_per_event", options.pot_per_event, kAboveZero, true);
  CheckOption("energy_cut", options.energy_cut, 0, true);
  CheckSelection(options);
  for (const auto& [name, value] :
       {std::pair{"target_z", options.target_z}, std::pair{"offset_x", options.offset_x},
        std::pair{"offset_y", options.offset_y}}) {
    CheckOption(name, value, -kFarthest, false);
    CheckOption(name, -value, -kFarthest, false);
  }
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

bool IsChosen(const Options& options, const char* name) {
  const auto& names = options.categories;
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

/// What muons are drawn with; a bundle's own rates are `drawn` times `factors`.
struct Rates {
  std::vector<double> drawn, factors;
};

/// As `shipgen.generate.selection.Selection.rates`.
Rates ChooseRates(const Bundle& bundle, const Options& options) {
  Rates rates;
  std::map<int, std::vector<double>> by_charge;
  for (const Entry& entry : bundle.Entries()) {
    rates.drawn.push_back(IsChosen(options, entry.category.name) ? entry.rate : 0);
    by_charge[entry.category.pdg].push_back(rates.drawn.back());
  }
  const double total = ExactSum(rates.drawn);
  if (!(total > 0)) {
    throw InputError("bundle " + bundle.Name() + " makes no muons of the categories that are chosen");
  }
  if (options.charge_fraction == kNotGiven) return rates;
  for (std::size_t i = 0; i < rates.drawn.size(); ++i) {
    const int pdg = bundle.Entries()[i].category.pdg;
    const double wanted = pdg == -13 ? options.charge_fraction : 1 - options.charge_fraction;
    const double there = ExactSum(by_charge[pdg]);
    if (!(there > 0)) {
      throw InputError("a charge fraction needs categories of both charges: choose some of each");
    }
    const double share = wanted * total / there;
    rates.drawn[i] *= share;
    rates.factors.push_back(1 / share);
  }
  return rates;
}

MuonSeries MakeSeries(const Bundle& bundle, const Options& options) {
  const std::int64_t seed = options.seed == kNotGiven ? DrawSeed() : options.seed;
  const Rates rates = ChooseRates(bundle, options);
  const Plan plan = Plan::ForMuons(rates.drawn, kMostMuons, seed, true, rates.factors);
  return MuonSeries(bundle, plan, options.variation);
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
    : options_(Checked(options)),
      bundle_(Bundle::Open(options.bundle)),
      series_(MakeSeries(bundle_, options)) {
  if (options_.energy_cut != kNotGiven) {
    if (options_.energy_cut < bundle_.EnergyCut()) {
      throw InputError("energy_cut = " + Text(options_.energy_cut) + " GeV is below that of bundle " +
                       bundle_.Name() + ", " + Text(bundle_.EnergyCut()) +
                       " GeV, under which muons are missing: choose a higher one or none");
    }
    least_momentum_squared_ = (options_.energy_cut + kMuonMass) * (options_.energy_cut + kMuonMass) - kMuonMass * kMuonMass;
  }
  if (options_.pot_per_event == kNotGiven) {
    if (options_.muons_per_event == kNotGiven) options_.muons_per_event = 1;
  } else if (options_.muons_per_event != kNotGiven) {
    weight_ = options_.pot_per_event * Rate() / static_cast<double>(options_.muons_per_event);
  } else {
    const double mean = Rate() * options_.pot_per_event;
    if (mean > kMostInEvent) {
      throw InputError("pot_per_event = " + Text(options_.pot_per_event) + " gives " + Text(mean) +
                       " muons an event: choose less than " + Text(kMostInEvent / Rate()));
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

double MuonEvents::EnergyCut() const { return options_.energy_cut == kNotGiven ? bundle_.EnergyCut() : options_.energy_cut; }

double MuonEvents::Pot() const {
  if (options_.pot_per_event != kNotGiven) return static_cast<double>(events_) * options_.pot_per_event;
  return static_cast<double>(drawn_) / Rate();
}

std::string MuonEvents::FileSummary() const {
  return "{\"PoT\": " + Exact(Pot()) + ", \"EnergyCut\": " + Exact(EnergyCut()) +
         ", \"prodSite\": \"shipgen\"}";
}

std::string MuonEvents::Provenance() const {
  const auto given = [](double value) { return value == kNotGiven ? "null" : Exact(value); };
  std::string categories;
  for (const Category& category : kCategories) {
    if (options_.categories.empty() || !IsChosen(options_, category.name)) continue;
    categories += (categories.empty() ? "" : ", ") + Quoted(category.name);
  }
  const std::string& column = series_.Variation();
  const std::string variation = column.empty() ? "" : ", \"variation\": " + Quoted(column);
  return "{\"kind\": \"muon source\", \"bundle\": {\"name\": " + Quoted(bundle_.Name()) +
         ", \"label\": " + Quoted(bundle_.Label()) + ", \"sha256\": " + Quoted(bundle_.Sha256()) +
         "}, \"seed\": " + std::to_string(Seed()) +
         ", \"muons_per_event\": " + given(static_cast<double>(options_.muons_per_event)) +
         ", \"pot_per_event\": " + given(options_.pot_per_event) + ", \"energy_cut\": " + Exact(EnergyCut()) +
         ", \"survival\": " + Quoted(bundle_.Survival()) +
         ", \"categories\": [" + categories + "], \"charge_fraction\": " + given(options_.charge_fraction) +
         ", \"smear_beam\": " + Exact(options_.smear_beam) + ", \"paint_beam\": " + Exact(options_.paint_beam) +
         ", \"target_z\": " + Exact(options_.target_z) +
         ", \"offset_x\": " + Exact(options_.offset_x) + ", \"offset_y\": " + Exact(options_.offset_y) + variation +
         ", \"events\": " + std::to_string(events_) +
         ", \"muons\": " + std::to_string(muons_) + ", \"pot\": " + Exact(Pot()) +
         ", \"weight\": " + Exact(weight_) +
         ", \"units\": {\"smear_beam\": \"cm\", \"paint_beam\": \"cm\", \"target_z\": \"cm\", "
         "\"offset_x\": \"cm\", \"offset_y\": \"cm\", "
         "\"energy_cut\": \"GeV\"}, \"versions\": {\"shipgen\": \"" SHIPGEN_MUONS_VERSION
         " compiled\", \"onnxruntime\": " +
         Quoted(Bundle::OnnxRuntimeVersion()) + "}}";
}

std::int64_t MuonEvents::DrawCount() { return counts_->stream.Poisson(counts_->mean); }

void MuonEvents::Displace(Muon& muon) {
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
  // Each step in single precision, as `shipgen.muons.beam` has it.
  if (beam.smear > 0) {
    muon.x += static_cast<float>(beam.dx[place]);
    muon.y += static_cast<float>(beam.dy[place]);
  }
  if (beam.paint > 0) {
    muon.x += static_cast<float>(beam.paint * std::cos(beam.phi[place]));
    muon.y += static_cast<float>(beam.paint * std::sin(beam.phi[place]));
  }
}

void MuonEvents::ThrowExhausted() const {
  throw InputError("1e+15 muons have been read with seed " + std::to_string(Seed()) +
                   ": choose another seed");
}

void MuonEvents::ThrowNoneAbove() const {
  throw InputError("none of " + Text(static_cast<double>(kMostBelow)) +
                   " muons in a row is above energy_cut = " + Text(options_.energy_cut) + " GeV: choose a lower one");
}

}  // namespace shipgen_muons
