// Streams, hashes and plans: values that Python's tests state too (tests/generate/test_streams.py,
// tests/generate/test_plan.py).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "Sha256.h"
#include "Streams.h"
#include "check.h"
#include "shipgen_muons/Error.h"
#include "shipgen_muons/Plan.h"

using namespace shipgen_muons;

namespace {

void TestStreams() {
  Stream stream(1, 0, kLatent + 1);
  CHECK(stream.Next() == 8802580397549580863U);
  CHECK(stream.Next() == 18412407377372492323U);
  Stream normals(1, 0, kLatent + 1);
  std::array<float, 4> values{};
  normals.FillNormal(values.data(), values.size());
  CHECK(values == std::array<float, 4>{0.845218300819397F, 0.5050072073936462F, 0.7609928846359253F,
                                       2.817622661590576F});
  Stream words(1, 0, kMixing);
  CHECK(words.NextHalf() == 4293421677U);
  CHECK(words.NextHalf() == 1337378907U);
  CHECK(words.NextHalf() == 3784798111U);
  CHECK(Stream(1, 0, kCounts).Poisson(1e6) == 998362);
}

void TestNormalsInPieces() {
  Stream whole(5, 7, kLatent + 2), pieces(5, 7, kLatent + 2);
  std::vector<float> a(10001), b(10001);
  whole.FillNormal(a.data(), a.size());
  pieces.FillNormal(b.data(), 4097);
  pieces.FillNormal(b.data() + 4097, b.size() - 4097);
  CHECK(a == b);
}

void TestSha256() {
  CHECK(Sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(Sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(Sha256(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

void TestExactSum() {
  CHECK(ExactSum({}) == 0);
  CHECK(ExactSum({0.1, 0.2, 0.3, 0.4}) == 1.0);
  CHECK(ExactSum({1e16, 1, 1e-16}) == 10000000000000002.0);
  CHECK(ExactSum({1e300, 1, -1e300}) == 1.0);
}

void TestPlan() {
  const std::vector<double> rates = {1.5e-4, 1.6e-4, 6.5e-4, 5.4e-4};
  const Plan plan = Plan::ForMuons(rates, 1e6, 1);
  CHECK(plan.Total() == 998362);
  CHECK(plan.Chunks() == 4);
  CHECK(plan.Size(3) == 998362 - 3 * kChunkSize);
  CHECK(plan.Weight() == 1);
  CHECK(Plan::ForMuons(rates, 1e6, 1, true).Total() == 1000000);
  // The rounded total is made up for.
  const Plan rounded = Plan::ForProtons(rates, 1001, 1, true);
  CHECK(rounded.Total() == 2 && std::abs(rounded.Weight() - 1001 * 1.5e-3 / 2) < 1e-12);

  std::vector<std::uint8_t> labels;
  plan.DrawCategories(2, labels);
  CHECK(labels.size() == kChunkSize);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const double expected = kChunkSize * rates[i] / 1.5e-3;
    const auto found = static_cast<double>(std::count(labels.begin(), labels.end(), i));
    CHECK(std::abs(found - expected) < 5 * std::sqrt(expected));
  }
  // Categories without muons, wherever they are.
  Plan::ForMuons({0, 1, 0, 0}, 1000, 1).DrawCategories(0, labels);
  CHECK(std::all_of(labels.begin(), labels.begin() + 900, [](std::uint8_t label) { return label == 1; }));
}

void TestRefusedPlans() {
  CHECK_THROWS(InputError, "n = 1.5 is not a whole number", Plan::ForMuons({1}, 1.5, 1));
  CHECK_THROWS(InputError, "n = nan is not a whole number", Plan::ForMuons({1}, std::nan(""), 1));
  CHECK_THROWS(InputError, "the seed -7 is not", Plan::ForMuons({1}, 10, -7));
  CHECK_THROWS(InputError, "pot = 0 is not", Plan::ForProtons({1}, 0, 1));
  CHECK_THROWS(InputError, "2e+15 muons are more than", Plan::ForMuons({1}, 2e15, 1));
  CHECK_THROWS(InputError, "ask for more", Plan::ForProtons({1e-3}, 1, 1));
  CHECK_THROWS(InputError, "rates have to be", Plan::ForMuons({0, 0}, 10, 1));
  CHECK_THROWS(InputError, "rates have to be", Plan::ForMuons({1, -0.5}, 10, 1));
  CHECK_THROWS(InputError, "there is no chunk 1: the plan has 1", Plan::ForMuons({1}, 10, 1, true).Size(1));
}

}  // namespace

int main() {
  TestStreams();
  TestNormalsInPieces();
  TestSha256();
  TestExactSum();
  TestPlan();
  TestRefusedPlans();
  return check::Result();
}
