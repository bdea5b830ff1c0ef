#include "shipgen_muons/Bundle.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "Factors.h"
#include "Files.h"
#include "Network.h"
#include "Sha256.h"
#include "shipgen_muons/Error.h"
#include "shipgen_muons/Plan.h"

namespace shipgen_muons {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kFormat = "shipgen-bundle";
constexpr int kFormatVersion = 1;
constexpr const char* kIndex = "bundle.json";
constexpr const char* kDefault = "default";

/// Columns of variations, at most.
constexpr std::size_t kMostColumns = 1000;

/// What a sealed bundle.json begins with, behind which are the digits of a SHA-256, and what ends the line.
constexpr const char* kSeal = "{\n  \"seal\": \"";
constexpr const char* kSealEnd = "\",\n";
constexpr std::size_t kDigits = 64;

/// What every number of a bundle is in.
constexpr std::array<std::array<const char*, 2>, 9> kUnits = {{{"x", "cm"},
                                                               {"y", "cm"},
                                                               {"z", "cm"},
                                                               {"px", "GeV"},
                                                               {"py", "GeV"},
                                                               {"pz", "GeV"},
                                                               {"rate", "muons per POT"},
                                                               {"energy_cut", "GeV"},
                                                               {"target_start", "cm"}}};

/// What is wrong inside of bundle.json; `Bundle::Open` adds which one.
class Unusable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

Json FeatureNames(const Category& category) {
  return category.on_axis ? Json{"z", "px", "py", "pz"} : Json{"x", "y", "z", "px", "py", "pz"};
}

/// The folder of the default bundle: beside the installed library, or in the sources that it was built from.
fs::path DefaultFolder() {
  if (const char* chosen = std::getenv("SHIPGEN_BUNDLE"); chosen != nullptr && *chosen != '\0') return chosen;
  Dl_info info{};
  std::error_code ignored;
  if (dladdr(reinterpret_cast<const void*>(&kUnits), &info) != 0 && info.dli_fname != nullptr) {
    const fs::path library = fs::canonical(info.dli_fname, ignored);
    const fs::path installed = library.parent_path() / SHIPGEN_MUONS_INSTALLED_BUNDLE;
    if (fs::exists(installed / kIndex, ignored)) return installed.lexically_normal();
  }
  return SHIPGEN_MUONS_SOURCE_BUNDLE;
}

/// Return the folder that the user means.
fs::path Folder(const std::string& given) {
  std::error_code ignored;
  fs::path folder = given;
  if (given.empty() || (given == kDefault && !fs::exists(folder, ignored))) folder = DefaultFolder();
  if (folder.filename() == kIndex) folder = folder.parent_path();
  return folder;
}

const Json& Member(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) throw Unusable("'" + std::string(key) + "' is missing");
  return *found;
}

/// A text of others in one line, for messages.
std::string Shown(const std::string& text) {
  std::string shown = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  shown.front() = shown.back() = '\'';
  return shown;
}

std::string String(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  if (!value.is_string()) throw Unusable("'" + std::string(key) + "' is no text");
  return value.get<std::string>();
}

double Number(const Json& object, const char* key) {
  const Json& value = Member(object, key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw Unusable("'" + std::string(key) + "' is no finite number");
  }
  return value.get<double>();
}

void CheckUnits(const Json& units) {
  for (const auto& [name, unit] : kUnits) {
    if (const std::string found = String(units, name); found != unit) {
      throw Unusable(std::string(name) + " is in '" + found + "', not in '" + unit + "'");
    }
  }
}

/// Whether a text names a file in the bundle's own folder.
bool IsFileName(const std::string& file) {
  return !file.empty() && file != "." && file != ".." && fs::path(file).filename() == file;
}

/// Take what the entry of a category says of its network of variations; null where that has none.
std::shared_ptr<const FactorModel> ReadFactors(const std::string& name, const Json& entry,
                                               const fs::path& folder) {
  const Json stated = entry.value("variations", Json());
  if (stated.is_null()) return nullptr;
  const std::string of = "the variations of " + name;
  const std::string file = String(stated, "file");
  if (!IsFileName(file)) throw Unusable(of + " lie outside the folder: " + file);
  FactorModel model{(folder / file).string(), String(stated, "sha256"), "", {}};
  if (!Member(stated, "columns").is_array()) throw Unusable(of + " have no list of columns");
  for (const Json& item : Member(stated, "columns")) {
    const std::string column = String(item, "name");
    const bool twice = PlaceOf(column, model.columns) < model.columns.size();
    if (!IsVariation(column) || twice || model.columns.size() == kMostColumns) {
      throw Unusable(of + " have a column " + Shown(column.substr(0, 80)));
    }
    model.columns.push_back(column);
  }
  return std::make_shared<const FactorModel>(std::move(model));
}

/// Return the network of variations with what is in its file, which has to be no other network's.
std::shared_ptr<const FactorModel> ReadFactorFile(FactorModel model, std::set<std::string>& files) {
  const std::string file = fs::path(model.path).filename().string();
  if (!files.insert(file).second) throw Unusable("the file " + file + " is used twice");
  try {
    model.bytes = ReadModel(model.path, model.sha256, model.path);
  } catch (const BundleError&) {
    throw BundleError("the variations " + model.path +
                      " are missing, damaged or not the bundle's own: get the bundle again");
  }
  return std::make_shared<const FactorModel>(std::move(model));
}

/// Take the entry of a category from the list, and load its network.
Entry ReadEntry(const Category& category, const Json& list, const fs::path& folder,
                std::set<std::string>& files) {
  const std::string name = category.name;
  const Json* item = nullptr;
  int count = 0;
  for (const Json& one : list) {
    if (one.is_object() && one.value("name", Json()) == name) {
      item = &one;
      ++count;
    }
  }
  if (count != 1)
    throw Unusable("it has " + std::to_string(count) + " entries for category " + name + ", not 1");
  if (Member(*item, "number") != category.number || Member(*item, "pdg") != category.pdg ||
      Member(*item, "features") != FeatureNames(category)) {
    throw Unusable("number, PDG code or features of " + name + " are not those of the category");
  }
  const std::string file = String(*item, "file"), digest = String(*item, "sha256");
  if (!IsFileName(file)) {
    throw Unusable("the network of " + name + " lies outside the folder: " + file);
  }
  if (!files.insert(file).second) throw Unusable("the network " + file + " is used twice");
  const double rate = Number(*item, "rate"), latent_size = Number(*item, "latent_size");
  if (rate < 0 || !Member(*item, "latent_size").is_number_integer() || latent_size < 1 || latent_size > 1e6) {
    throw Unusable("rate or latent size of " + name + " is out of range");
  }
  auto factors = ReadFactors(name, *item, folder);
  const fs::path path = folder / file;
  const std::string what = "the network " + path.string();
  const std::string model = ReadModel(path, digest, what);
  const auto size = static_cast<std::size_t>(latent_size);
  const Json drawn = item->value("stream", Json(static_cast<int>(kNormal)));
  if (drawn != static_cast<int>(kNormal) && drawn != static_cast<int>(kLevelled)) {
    throw Unusable("the stream of " + name + " is " + drawn.dump() + ", not 1 or 2");
  }
  auto network = std::make_shared<const Network>(path.string(), model, size, category.Features(),
                                                 drawn == static_cast<int>(kLevelled) ? kLevelled : kNormal);
  const Json weighted = item->value("weighted", Json(false));
  if (!weighted.is_boolean()) throw Unusable("'weighted' of " + name + " is neither true nor false");
  if (network->Weighted() != weighted.get<bool>()) {
    throw BundleError(what + (network->Weighted() ? " makes weights" : " makes no weights") +
                      ", against bundle.json: export it again");
  }
  return {category, rate, network->Weighted(), std::move(network), std::move(factors)};
}

/// As `shipgen.bundle.bundle.Bundle.survival`: what the sample says that the first of a line of bundles was made of.
std::string FindSurvival(const Json& provenance) {
  const Json* made = &provenance;
  for (;;) {
    const auto base = made->find("base");
    if (base == made->end() || !base->is_object()) break;
    const auto inner = base->find("provenance");
    if (inner == base->end() || !inner->is_object()) break;
    made = &*inner;
  }
  const auto sample = made->find("sample");
  if (sample == made->end() || !sample->is_object()) return "in";
  return sample->value("survival", Json()) == "out" ? "out" : "in";
}

/// Throw BundleError unless the file is a bundle's of the version that is read here.
void CheckFormat(const Json& index, const std::string& path) {
  if (!index.is_object()) throw BundleError(path + " holds no JSON object");
  const Json format = index.value("format", Json()), version = index.value("format_version", Json());
  if (format != kFormat || version != kFormatVersion) {
    throw BundleError(path + " is " + format.dump() + " version " + version.dump() +
                      "; this shipgen reads \"" + kFormat + "\" version " + std::to_string(kFormatVersion) +
                      ": export the networks again");
  }
}

/// As `shipgen.bundle.index`: return the hash of bundle.json without its seal; throw where that does not fit.
std::string IndexHash(const std::string& text, const Json& index, const std::string& path) {
  const std::size_t start = std::strlen(kSeal), end = start + kDigits, length = std::strlen(kSealEnd);
  const bool sealed = text.size() > end + length && text.compare(0, start, kSeal) == 0 &&
                      text.compare(end, length, kSealEnd) == 0;
  const std::string hash = Sha256(sealed ? "{\n" + text.substr(end + length) : text);
  const auto stated = index.find("seal");
  if (stated != index.end() && *stated != hash) {
    throw BundleError(path +
                      " is not as it was written, its seal does not fit: get the bundle again; or, if it was "
                      "changed on purpose, remove the line \"seal\" from it");
  }
  return hash;
}

}  // namespace

Bundle Bundle::Open(const std::string& given) {
  const fs::path folder = Folder(given);
  const std::string path = (folder / kIndex).string();
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    throw BundleError(folder.string() +
                      " is no bundle (no bundle.json in it): give a folder that `shipgen export` wrote");
  }
  const std::string text = ReadFile(path, path);
  try {
    const Json index = Json::parse(text);
    CheckFormat(index, path);
    const std::string hash = IndexHash(text, index, path);
    CheckUnits(Member(index, "units"));
    if (!Member(index, "provenance").is_object()) throw Unusable("'provenance' is no object");
    Bundle bundle;
    bundle.survival_ = FindSurvival(Member(index, "provenance"));
    bundle.path_ = folder.string();
    bundle.name_ = String(index, "name");
    bundle.label_ = String(index, "label");
    bundle.sha256_ = hash;
    bundle.target_start_ = Number(index, "target_start");
    bundle.energy_cut_ = Number(index, "energy_cut");
    if (bundle.energy_cut_ < 0) throw Unusable("the energy cut is negative");
    std::set<std::string> files;
    // Categories that the training sample had no muons of, or that were not trained.
    std::set<std::string> missing;
    for (const Json& one : index.value("missing", Json::array())) missing.insert(String(one, "name"));
    for (const Category& category : kCategories) {
      if (missing.count(category.name)) continue;
      bundle.entries_.push_back(ReadEntry(category, Member(index, "categories"), folder, files));
    }
    if (!(bundle.Rate() > 0)) throw Unusable("its rates sum to zero");
    for (const Entry& entry : bundle.entries_) TryOut(*entry.network);
    for (Entry& entry : bundle.entries_) {
      if (entry.factors != nullptr) entry.factors = ReadFactorFile(*entry.factors, files);
    }
    return bundle;
  } catch (const Json::exception& error) {
    throw BundleError(path + " cannot be used: " + error.what());
  } catch (const Unusable& error) {
    throw BundleError(path + " cannot be used: " + error.what());
  }
}

std::string Bundle::OnnxRuntimeVersion() { return onnx::Runtime::Get().Version(); }

double Bundle::Rate() const { return ExactSum(Rates()); }

std::vector<std::string> Bundle::Variations() const {
  std::vector<std::string> common;
  if (const FactorModel* first = entries_.front().factors.get(); first != nullptr) common = first->columns;
  for (const Entry& entry : entries_) {
    const auto is_missing = [&entry](const std::string& column) {
      if (entry.factors == nullptr) return true;
      return PlaceOf(column, entry.factors->columns) == entry.factors->columns.size();
    };
    common.erase(std::remove_if(common.begin(), common.end(), is_missing), common.end());
  }
  return common;
}

std::string Bundle::FindVariation(const std::string& name) const {
  const std::vector<std::string> there = Variations();
  if (there.empty()) {
    throw InputError("bundle " + name_ +
                     " has no variations: add those of its sample by `shipgen train variations PREPARED "
                     "--bundle BUNDLE -o OUT`, or choose another");
  }
  const std::string column = ColumnOf(name);
  if (PlaceOf(column, there) < there.size()) return column;
  std::string names;
  for (const std::string& one : there) names += (names.empty() ? "" : ", ") + NameOf(one);
  throw InputError("bundle " + name_ + " has no variation " + Shown(NameOf(column)) + ": choose from " + names);
}

std::vector<double> Bundle::Rates() const {
  std::vector<double> rates;
  for (const Entry& entry : entries_) rates.push_back(entry.rate);
  return rates;
}

}  // namespace shipgen_muons
