// Draws what Python draws, for comparison; everything goes to stdout.
//   draw_muons latents SEED CHUNK PURPOSE COUNT
//     float32 normals of a stream
//   draw_muons levels SEED CHUNK PURPOSE COUNT
//     float32 levels of a stream
//   draw_muons plan SEED N|-POT EXACT RATE...
//     total, weight, float64; then the category of each muon, uint8
//   draw_muons muons BUNDLE SEED N|-POT EXACT
//     of each muon int32 pdg, float32 x y z px py pz weight
//   draw_muons events BUNDLE SEED COUNT [OPTION=VALUE]...
//     a line with the POT; then of each event its number of tracks and 8 numbers of each, all float64
//   draw_muons errors BUNDLE SEED COUNT [OPTION=VALUE]...
//     what the events throw, a line each
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Streams.h"
#include "shipgen_muons/Error.h"
#include "shipgen_muons/MuonEvents.h"
#include "shipgen_muons/MuonSeries.h"

using namespace shipgen_muons;

namespace {

std::uint64_t Whole(const std::string& word) { return std::stoull(word); }

template <class Number>
void Put(const std::vector<Number>& numbers) {
  std::fwrite(numbers.data(), sizeof(Number), numbers.size(), stdout);
}

Plan MakePlan(const std::vector<double>& rates, const std::string& seed, double amount,
              const std::string& exact) {
  const auto number = static_cast<std::int64_t>(Whole(seed));
  return amount > 0 ? Plan::ForMuons(rates, amount, number, exact == "1")
                    : Plan::ForProtons(rates, -amount, number, exact == "1");
}

void PutLatents(const std::vector<std::string>& words) {
  std::vector<float> latents(Whole(words.at(4)));
  Stream(Whole(words.at(1)), Whole(words.at(2)), Whole(words.at(3)))
      .FillNormal(latents.data(), latents.size());
  Put(latents);
}

void PutLevels(const std::vector<std::string>& words) {
  std::vector<float> levels(Whole(words.at(4)));
  Stream(Whole(words.at(1)), Whole(words.at(2)), Whole(words.at(3))).FillLevels(levels.data(), levels.size());
  Put(levels);
}

void PutPlan(const std::vector<std::string>& words) {
  std::vector<double> rates;
  for (std::size_t i = 4; i < words.size(); ++i) rates.push_back(std::stod(words[i]));
  const Plan plan = MakePlan(rates, words.at(1), std::stod(words.at(2)), words.at(3));
  Put<double>({static_cast<double>(plan.Total()), plan.Weight()});
  std::vector<std::uint8_t> labels;
  for (std::int64_t chunk = 0; chunk < plan.Chunks(); ++chunk) {
    plan.DrawCategories(chunk, labels);
    labels.resize(static_cast<std::size_t>(plan.Size(chunk)));
    Put(labels);
  }
}

void PutMuons(const std::vector<std::string>& words) {
  const Bundle bundle = Bundle::Open(words.at(1));
  MuonSeries series(bundle, MakePlan(bundle.Rates(), words.at(2), std::stod(words.at(3)), words.at(4)));
  Muon muon;
  static_assert(sizeof muon == 32);
  while (series.Next(muon)) std::fwrite(&muon, sizeof muon, 1, stdout);
}

void SetOption(Options& options, const std::string& word) {
  const std::size_t sign = word.find('=');
  const std::string name = word.substr(0, sign);
  if (name == "categories") {
    std::istringstream names(word.substr(sign + 1));
    for (std::string one; std::getline(names, one, ',');) options.categories.push_back(one);
    return;
  }
  if (name == "variation") {
    options.variation = word.substr(sign + 1);
    return;
  }
  const double value = std::stod(word.substr(sign + 1));
  if (name == "muons_per_event")
    options.muons_per_event = static_cast<std::int64_t>(value);
  else if (name == "pot_per_event")
    options.pot_per_event = value;
  else if (name == "energy_cut")
    options.energy_cut = value;
  else if (name == "charge_fraction")
    options.charge_fraction = value;
  else if (name == "smear_beam")
    options.smear_beam = value;
  else if (name == "paint_beam")
    options.paint_beam = value;
  else if (name == "offset_x")
    options.offset_x = value;
  else if (name == "offset_y")
    options.offset_y = value;
  else if (name == "target_z")
    options.target_z = value;
  else
    throw std::invalid_argument(word);
}

Options ReadOptions(const std::vector<std::string>& words) {
  Options options;
  options.bundle = words.at(1);
  options.seed = static_cast<std::int64_t>(Whole(words.at(2)));
  for (std::size_t i = 4; i < words.size(); ++i) SetOption(options, words[i]);
  return options;
}

void PutEvents(const std::vector<std::string>& words) {
  MuonEvents events(ReadOptions(words));
  std::vector<double> numbers;
  for (std::uint64_t event = 0; event < Whole(words.at(3)); ++event) {
    const std::vector<Track>& tracks = events.NextEvent();
    numbers.push_back(static_cast<double>(tracks.size()));
    for (const Track& t : tracks) {
      numbers.insert(numbers.end(), {static_cast<double>(t.pdg), t.px, t.py, t.pz, t.x, t.y, t.z, t.weight});
    }
  }
  std::printf("%.17g\n", events.Pot());
  Put(numbers);
}

void PutErrors(const std::vector<std::string>& words) {
  MuonEvents events(ReadOptions(words));
  for (std::uint64_t event = 0; event < Whole(words.at(3)); ++event) {
    try {
      events.NextEvent();
    } catch (const Error& error) {
      std::printf("%s\n", error.what());
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    const std::string what = words.at(0);
    if (what == "latents")
      PutLatents(words);
    else if (what == "levels")
      PutLevels(words);
    else if (what == "plan")
      PutPlan(words);
    else if (what == "muons")
      PutMuons(words);
    else if (what == "events")
      PutEvents(words);
    else if (what == "errors")
      PutErrors(words);
    else
      throw std::invalid_argument(what);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
