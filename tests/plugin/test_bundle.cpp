// Reading bundles: the default one, and copies of it with one fault each. With the argument `without`, ONNX
// Runtime is missing.
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "check.h"
#include "shipgen_muons/Bundle.h"
#include "shipgen_muons/Error.h"
#include "shipgen_muons/MuonEvents.h"

using namespace shipgen_muons;
namespace fs = std::filesystem;

namespace {

/// A folder that goes when the test ends.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("shipgen_muons_" + std::to_string(getpid()))) {
    fs::create_directory(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& Path() const { return path_; }

 private:
  fs::path path_;
};

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Write(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Return a copy of the default bundle in which the first `from` of bundle.json is `to`; without its seal, if asked.
std::string Changed(const Folder& folder, const std::string& from, const std::string& to, bool seal = false) {
  const fs::path copy = folder.Path() / "bundle";
  fs::remove_all(copy);
  fs::copy(Bundle::Open().Path(), copy);
  std::string text = Read(copy / "bundle.json");
  const std::size_t line = text.find("  \"seal\": ");
  CHECK(line == 2);
  if (!seal) text.erase(line, text.find('\n', line) + 1 - line);
  const std::size_t found = text.find(from);
  CHECK(found != std::string::npos);
  Write(copy / "bundle.json", text.replace(found, from.size(), to));
  return copy.string();
}

void TestDefault() {
  const Bundle bundle = Bundle::Open();
  CHECK(bundle.Name() == "default");
  CHECK(bundle.Entries().size() == 4);
  CHECK(std::isfinite(bundle.TargetStart()) && bundle.EnergyCut() >= 0);
  CHECK(bundle.Rate() > 1e-4 && bundle.Rate() < 1e-2);
  CHECK(bundle.Sha256().size() == 64);
  CHECK(Bundle::Open("default").Sha256() == bundle.Sha256());
  CHECK(Bundle::Open(bundle.Path() + "/bundle.json").Sha256() == bundle.Sha256());
}

void TestFaults() {
  const Folder folder;
  const auto refused = [&folder](const std::string& from, const std::string& to, const std::string& message) {
    CHECK_THROWS(BundleError, message, Bundle::Open(Changed(folder, from, to)));
  };
  CHECK_THROWS(BundleError, "/nowhere is no bundle (no bundle.json in it)", Bundle::Open("/nowhere"));
  refused("\"format_version\": 1", "\"format_version\": 7",
          "is \"shipgen-bundle\" version 7; this shipgen reads");
  refused("shipgen-bundle", "other", "is \"other\" version 1");
  refused("\"px\": \"GeV\"", "\"px\": \"MeV\"", "px is in 'MeV', not in 'GeV'");
  refused("\"target_start\": 0", "\"target_start\": \"there\", \"was\": 0",
          "'target_start' is no finite number");
  refused("\"energy_cut\": 9", "\"energy_cut\": -9", "the energy cut is negative");
  refused("\"name\": \"muplus_onaxis\"", "\"name\": \"muplus\"", "0 entries for category muplus_onaxis");
  refused("\"pdg\": -13", "\"pdg\": 13", "PDG code or features of muplus_onaxis");
  refused("\"rate\": 0.", "\"rate\": -0.", "rate or latent size of muplus_onaxis");
  refused("\"file\": \"muplus_onaxis.onnx\"", "\"file\": \"../muplus_onaxis.onnx\"",
          "lies outside the folder");
  refused("\"file\": \"muplus_onaxis.onnx\"", "\"file\": \"missing.onnx\"",
          "missing.onnx cannot be read: No such file");
  refused("\"file\": \"muminus_onaxis.onnx\"", "\"file\": \"muplus_onaxis.onnx\"",
          "muplus_onaxis.onnx is used twice");
  refused("\"sha256\": \"", "\"sha256\": \"0", "is damaged or not the bundle's own");
  refused("\"latent_size\": ", "\"latent_size\": 1", "are expected, or both transposed");
  refused("\"categories\"", "\"kinds\"", "'categories' is missing");
  refused("\"provenance\"", "\"origin\"", "'provenance' is missing");
  refused("\"weighted\": false", "\"weighted\": true",
          "muplus_onaxis.onnx makes no weights, against bundle.json");
  refused("\"weighted\": false", "\"weighted\": 1", "'weighted' of muplus_onaxis is neither true nor false");
  refused("{", "[", "bundle.json cannot be used: ");
  refused("\"rate\": ", "\"rate\": NaN, \"was\": ", "bundle.json cannot be used: ");
  refused("\"rate\": ", "\"rate\": 1e999, \"was\": ", "bundle.json cannot be used: ");

  const fs::path index = fs::path(Changed(folder, "{", "{")) / "bundle.json";
  for (const std::uintmax_t size : {fs::file_size(index) - 10, fs::file_size(index) / 2, std::uintmax_t{0}}) {
    fs::resize_file(index, size);
    CHECK_THROWS(BundleError, "bundle.json cannot be used: ", Bundle::Open(index.parent_path().string()));
  }

  const std::string no_file = Changed(folder, "\"file\": \"muplus_onaxis.onnx\"", "\"file\": \"folder\"");
  fs::create_directory(fs::path(no_file) / "folder");
  CHECK_THROWS(BundleError, "folder cannot be read: Is a directory", Bundle::Open(no_file));

  const fs::path network = fs::path(Changed(folder, "{", "{")) / "muminus_offaxis.onnx";
  std::string bytes = Read(network);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  Write(network, bytes);
  CHECK_THROWS(BundleError, "muminus_offaxis.onnx is damaged", Bundle::Open(network.parent_path().string()));
}

void TestSeal() {
  const Folder folder;
  const std::string hash = Bundle::Open().Sha256();
  CHECK(Bundle::Open(Changed(folder, "{", "{")).Sha256() == hash);
  CHECK(Bundle::Open(Changed(folder, "{", "{", true)).Sha256() == hash);
  for (const std::string digit : {"\"rate\": 0.0001", "\"seal\": \""}) {
    CHECK_THROWS(BundleError, "is not as it was written, its seal does not fit: get the bundle again",
                 Bundle::Open(Changed(folder, digit, digit + "1", true)));
  }
  // What was changed, and the seal taken out, is another bundle.
  CHECK(Bundle::Open(Changed(folder, "\"rate\": 0.0001", "\"rate\": 0.0002")).Sha256() != hash);
}

/// Return the first muon's weight with a variation.
double VariedWeight(const std::string& bundle, const std::string& variation) {
  Options options;
  options.bundle = bundle;
  options.seed = 1;
  options.variation = variation;
  return MuonEvents(options).NextEvent().at(0).weight;
}

/// Return a copy of the default bundle whose file of that name holds `abc`, with the right hash.
std::string WithNoModel(const Folder& folder, const std::string& file) {
  const std::size_t digits = 64;
  const std::string none = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const std::string text = Read(fs::path(Bundle::Open().Path()) / "bundle.json");
  const std::size_t place = text.find("\"sha256\": \"", text.find("\"file\": \"" + file)) + 11;
  const std::string copy = Changed(folder, text.substr(place, digits), none);
  Write(fs::path(copy) / file, "abc");
  return copy;
}

void TestNoModel() {
  const Folder folder;
  const std::string copy = WithNoModel(folder, "muplus_onaxis.onnx");
  CHECK_THROWS(BundleError, "muplus_onaxis.onnx is no ONNX model that can run", Bundle::Open(copy));
  // A network of variations that is not asked for is not loaded.
  const std::string varied = WithNoModel(folder, "muplus_onaxis.variations.onnx");
  CHECK(VariedWeight(varied, "") == 1);
  CHECK_THROWS(BundleError, "muplus_onaxis.variations.onnx is no ONNX model that can run",
               VariedWeight(varied, "kaons"));
}

void TestVariations() {
  const Bundle bundle = Bundle::Open();
  CHECK(bundle.Variations().size() > 1 && bundle.Variations().at(0) == "vary_pions");
  CHECK(bundle.FindVariation("kaons") == "vary_kaons" && bundle.FindVariation("vary_kaons") == "vary_kaons");
  for (const char* name : {"", "vary_", "all", "vary_vary_kaons", "kaons,pions", "two\nlines"}) {
    CHECK_THROWS(InputError, "bundle default has no variation '", bundle.FindVariation(name));
  }
  CHECK_THROWS(InputError, "no variation 'bad': choose from pions, kaons, ", VariedWeight("", "bad"));

  const Folder folder;
  const auto refused = [&folder](const std::string& from, const std::string& to, const std::string& message) {
    CHECK_THROWS(BundleError, message, Bundle::Open(Changed(folder, from, to)));
  };
  const std::string file = "\"file\": \"muplus_onaxis.variations.onnx\"", gone = "get the bundle again";
  refused(file, "\"file\": \"../muplus_onaxis.variations.onnx\"", "variations of muplus_onaxis lie outside");
  refused(file, "\"file\": \"missing.onnx\"",
          "missing.onnx are missing, damaged or not the bundle's own: " + gone);
  refused(file, "\"file\": \"muminus_onaxis.onnx\"", "the file muminus_onaxis.onnx is used twice");
  refused("muminus_onaxis.variations.onnx", "muplus_onaxis.variations.onnx",
          "the file muplus_onaxis.variations.onnx is used twice");
  refused("\"vary_kaons\"", "\"kaons\"", "the variations of muplus_onaxis have a column 'kaons'");
  refused("\"vary_kaons\"", "\"vary_pions\"", "the variations of muplus_onaxis have a column 'vary_pions'");
  refused("\"vary_kaons\"", "\"vary_\"", "have a column 'vary_'");
  refused("\"vary_kaons\"", "7", "'name' is no text");
  refused("\"columns\"", "\"rows\"", "'columns' is missing");

  const std::string name = Changed(folder, "{", "{") + "/muplus_onaxis.variations.onnx";
  std::string bytes = Read(name);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] + 1);
  Write(name, bytes);
  CHECK_THROWS(BundleError,
               "muplus_onaxis.variations.onnx are missing, damaged or not the bundle's own: " + gone,
               Bundle::Open(fs::path(name).parent_path().string()));

  // A category that has one less, and one that has none.
  const std::string less = Changed(folder, "\"vary_kaons\"", "\"vary_mine\"");
  CHECK(Bundle::Open(less).Variations().size() == bundle.Variations().size() - 1);
  CHECK_THROWS(InputError, "no variation 'kaons'", VariedWeight(less, "kaons"));
  CHECK(VariedWeight(less, "pions") == VariedWeight("", "pions"));
  const std::string none = Changed(folder, "\"variations\": {", "\"others\": {");
  CHECK(VariedWeight(none, "") == 1 && Bundle::Open(none).Variations().empty());
  CHECK_THROWS(InputError,
               "bundle default has no variations: add those of its sample by `shipgen train variations "
               "PREPARED --bundle BUNDLE -o OUT`, or choose another",
               VariedWeight(none, "kaons"));
}

}  // namespace

int main(int count, char** words) {
  if (count > 1 && std::string(words[1]) == "without") {
    CHECK_THROWS(OnnxRuntimeError,
                 "running networks needs ONNX Runtime, which is not there (tried /nowhere/lib.so)",
                 MuonEvents());
    // It is looked for again, and not remembered as there.
    CHECK_THROWS(OnnxRuntimeError, "install onnxruntime", Bundle::Open());
    return check::Result();
  }
  TestDefault();
  TestFaults();
  TestSeal();
  TestNoModel();
  TestVariations();
  return check::Result();
}
