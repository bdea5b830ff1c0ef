// Series and events of the default bundle. That they are Python's is tested by tests/fairship/test_plugin.py.
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "shipgen_muons/Error.h"
#include "shipgen_muons/MuonEvents.h"
#include "shipgen_muons/MuonSeries.h"

using namespace shipgen_muons;

namespace {

bool Same(const Track& a, const Track& b) {
  return a.pdg == b.pdg && a.px == b.px && a.py == b.py && a.pz == b.pz && a.x == b.x && a.y == b.y &&
         a.z == b.z;
}

std::vector<Track> Tracks(const Options& options, std::size_t count) {
  MuonEvents events(options);
  std::vector<Track> tracks;
  while (tracks.size() < count) events.NextEvent([&tracks](const Track& track) { tracks.push_back(track); });
  return tracks;
}

Options Seeded(std::int64_t seed) {
  Options options;
  options.seed = seed;
  return options;
}

void TestSeriesEnds() {
  const Bundle bundle = Bundle::Open();
  MuonSeries series(bundle, Plan::ForMuons(bundle.Rates(), kChunkSize + 1000, 3, true));
  Muon muon;
  std::int64_t count = 0;
  while (series.Next(muon)) ++count;
  CHECK(count == kChunkSize + 1000);
  CHECK(series.Chunk() == 1 && series.Place() == 1000 && series.ChunkSize() == 1000);
  const float last = muon.pz;
  CHECK(!series.Next(muon) && muon.pz == last);
}

void TestFullChunksAreThoseOfALongerPlan() {
  const Bundle bundle = Bundle::Open();
  MuonSeries one(bundle, Plan::ForMuons(bundle.Rates(), kChunkSize, 3, true));
  MuonSeries two(bundle, Plan::ForMuons(bundle.Rates(), 1e9, 3));
  Muon a, b;
  bool same = true;
  while (one.Next(a)) same = two.Next(b) && same && a.pdg == b.pdg && a.px == b.px && a.z == b.z;
  CHECK(same);
}

void TestEventsShareOneSeries() {
  const std::vector<Track> single = Tracks(Seeded(7), 30000);
  Options options = Seeded(7);
  options.muons_per_event = 3000;
  const std::vector<Track> many = Tracks(options, 30000);
  options = Seeded(7);
  options.pot_per_event = 1e4;
  const std::vector<Track> drawn = Tracks(options, 30000);
  bool same = true;
  for (std::size_t i = 0; i < single.size(); ++i)
    same = same && Same(single[i], many[i]) && Same(single[i], drawn[i]);
  CHECK(same);
  CHECK(!Same(single[0], Tracks(Seeded(8), 1)[0]));
}

void TestUnits() {
  for (const Track& track : Tracks(Seeded(1), 20000)) {
    CHECK((track.pdg == 13 || track.pdg == -13) && track.weight == 1);
    CHECK(track.z > -20 && track.z < 400 && std::hypot(track.x, track.y) < 500);
    CHECK(track.pz > 0 && track.pz < 400);
  }
}

void TestNormalisation() {
  Options options = Seeded(1);
  MuonEvents plain(options);
  for (int i = 0; i < 100; ++i) CHECK(plain.NextEvent().size() == 1);
  CHECK(plain.Events() == 100 && plain.Muons() == 100);
  CHECK(plain.Pot() == 100 / plain.GetBundle().Rate());

  options.muons_per_event = 5;
  options.pot_per_event = 2;
  MuonEvents weighted(options);
  double sum = 0;
  for (int i = 0; i < 100; ++i) weighted.NextEvent([&sum](const Track& track) { sum += track.weight; });
  CHECK(weighted.Pot() == 200 && std::abs(sum / (200 * weighted.GetBundle().Rate()) - 1) < 1e-12);

  options = Seeded(1);
  options.energy_cut = 30;
  MuonEvents cut(options);
  for (int i = 0; i < 1000; ++i) {
    const Track& track = cut.NextEvent().at(0);
    CHECK(std::sqrt(track.px * track.px + track.py * track.py + track.pz * track.pz) > 30);
  }
  CHECK(cut.EnergyCut() == 30 && cut.Pot() > 2000 / cut.GetBundle().Rate());
  CHECK(cut.FileSummary().find("\"EnergyCut\": 30, \"prodSite\": \"shipgen\"}") != std::string::npos);
}

void TestBeam() {
  Options options = Seeded(1);
  const std::vector<Track> plain = Tracks(options, 5000);
  options.paint_beam = 5;
  options.target_z = -250;
  const std::vector<Track> painted = Tracks(options, 5000);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(std::abs(std::hypot(painted[i].x - plain[i].x, painted[i].y - plain[i].y) - 5) < 1e-4);
    CHECK(std::abs(painted[i].z + 250 - plain[i].z) < 1e-9 && painted[i].pz == plain[i].pz);
  }
}

void TestVariations() {
  Options options = Seeded(1);
  options.smear_beam = 1;
  const std::vector<Track> plain = Tracks(options, 20000);
  options.variation = "kaons";
  const std::vector<Track> varied = Tracks(options, 20000);
  std::size_t other = 0;
  bool same = true, likely = true;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    same = same && Same(plain[i], varied[i]);
    likely = likely && varied[i].weight > 0.5 && varied[i].weight < 2;
    other += varied[i].weight != 1;
  }
  CHECK(same && likely && other > plain.size() / 2);
  const std::string stated = ", \"variation\": \"vary_kaons\", \"events\": 0";
  CHECK(MuonEvents(options).Provenance().find(stated) != std::string::npos);
  options.variation = "vary_kaons";
  CHECK(MuonEvents(options).Provenance().find(stated) != std::string::npos);
  CHECK(MuonEvents().Provenance().find("variation") == std::string::npos);
}

void TestRefusedOptions() {
  const auto refused = [](auto set, const char* message) {
    Options options = Seeded(1);
    set(options);
    CHECK_THROWS(InputError, message, MuonEvents{options});
  };
  const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
  refused([](Options& o) { o.seed = -2; }, "seed = -2 is out of range");
  refused([](Options& o) { o.muons_per_event = 0; }, "muons_per_event = 0");
  refused([](Options& o) { o.muons_per_event = 100000000; }, "muons_per_event = 100000000");
  refused([](Options& o) { o.pot_per_event = 0; }, "pot_per_event = 0");
  refused([](Options& o) { o.pot_per_event = 1e12; }, "muons an event: choose less than");
  refused([](Options& o) { o.energy_cut = 5; }, "energy_cut = 5 GeV is below that of bundle default");
  refused([](Options& o) { o.energy_cut = -2; }, "energy_cut = -2");
  refused([](Options& o) { o.categories = {"muons"}; },
          "no category 'muons': choose from muplus_onaxis, muminus_onaxis, muplus_offaxis, muminus_offaxis");
  refused([](Options& o) { o.charge_fraction = 1; }, "charge_fraction = 1 is not between 0 and 1");
  refused([](Options& o) { o.charge_fraction = 0.5, o.categories = {"muplus_onaxis"}; }, "both charges");
  refused([](Options& o) { o.smear_beam = 1e300; }, "smear_beam = 1e+300");
  refused([](Options& o) { o.paint_beam = -5; }, "paint_beam = -5");
  refused([=](Options& o) { o.smear_beam = infinite; }, "smear_beam = inf");
  refused([=](Options& o) { o.target_z = nan; }, "target_z = nan");
  refused([](Options& o) { o.energy_cut = 20, o.muons_per_event = 1, o.pot_per_event = 1; },
          "give one of the two");
  CHECK(MuonEvents().Seed() != MuonEvents().Seed());
}

}  // namespace

int main() {
  TestSeriesEnds();
  TestFullChunksAreThoseOfALongerPlan();
  TestEventsShareOneSeries();
  TestUnits();
  TestNormalisation();
  TestBeam();
  TestVariations();
  TestRefusedOptions();
  return check::Result();
}
