#include "Factors.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "Session.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

using onnx::Node;
using onnx::Runtime;

constexpr const char* kInput = "muons";
constexpr const char* kOutput = "factors";

/// What names of variations' columns begin with, and how long the rest may be.
const std::string kPrefix = "vary_";
constexpr std::size_t kLongest = 80;

/// How much factors may depend on how many muons are given at a time, relative.
constexpr float kRounding = 1e-4F;

bool HasPrefix(const std::string& name) { return name.compare(0, kPrefix.size(), kPrefix) == 0; }

}  // namespace

bool IsVariation(const std::string& name) {
  if (!HasPrefix(name)) return false;
  const auto is_good = [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_';
  };
  const std::size_t length = name.size() - kPrefix.size();
  return length >= 1 && length <= kLongest && std::all_of(name.begin(), name.end(), is_good);
}

std::string ColumnOf(const std::string& name) { return HasPrefix(name) ? name : kPrefix + name; }

std::string NameOf(const std::string& column) {
  return HasPrefix(column) ? column.substr(kPrefix.size()) : column;
}

std::size_t PlaceOf(const std::string& column, const std::vector<std::string>& columns) {
  return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), column) - columns.begin());
}

FactorRun::FactorRun(const FactorModel& model, const Network& generator, std::size_t most)
    : path_(model.path),
      features_(generator.Features()),
      columns_(model.columns.size()),
      feature_major_(generator.FeatureMajor()),
      muons_(features_ * std::max(most, kTried)),
      factors_(columns_ * std::max(most, kTried)),
      session_(onnx::MakeSession(model.bytes, "the network " + path_ + " is no ONNX model that can run: ")) {
  CheckInterface();
  TryOutFactors(generator);
  largest_ = MakeTensors(most);
}

void FactorRun::CheckInterface() const {
  const std::string what = "the variations " + path_ + " cannot be read: ";
  const std::vector<Node> inputs = onnx::ReadNodes(session_.get(), true, what);
  const std::vector<Node> outputs = onnx::ReadNodes(session_.get(), false, what);
  if (inputs.size() == 1 && outputs.size() == 1 &&
      inputs[0].Is(kInput, {static_cast<std::int64_t>(features_), -1}) &&
      outputs[0].Is(kOutput, {static_cast<std::int64_t>(columns_), -1})) {
    return;
  }
  throw BundleError("the variations " + path_ + " are " + onnx::Text(inputs, outputs) +
                    " where 'muons' float32[" + std::to_string(features_) + ", N] and 'factors' float32[" +
                    std::to_string(columns_) + ", N] are expected: train them again");
}

FactorRun::Tensors FactorRun::MakeTensors(std::size_t count) {
  const auto rows = [count](std::size_t height) {
    return std::vector<std::int64_t>{static_cast<std::int64_t>(height), static_cast<std::int64_t>(count)};
  };
  return {count, onnx::MakeTensor(muons_, rows(features_)), onnx::MakeTensor(factors_, rows(columns_))};
}

void FactorRun::TryOutFactors(const Network& generator) {
  const NetworkRun made = TryOut(generator);
  (*this)(made.Features(), kTried, 0);
  const std::vector<float> whole(factors_.data(), factors_.data() + columns_ * kTried);
  if (!AreFactors(whole.data(), whole.size())) {
    throw BundleError("the variations " + path_ + " are not all finite and above zero: train them again");
  }
  // The first muon alone; of rows it comes first.
  std::vector<float> first(features_);
  for (std::size_t i = 0; i < features_; ++i) first[i] = made.Features()[feature_major_ ? i * kTried : i];
  (*this)(first.data(), 1, 0);
  for (std::size_t k = 0; k < columns_; ++k) {
    // Not a number is no small difference.
    if (!(std::abs(factors_[k] - whole[k * kTried]) <= kRounding * whole[k * kTried])) {
      throw BundleError("the variations " + path_ +
                        " are others of the same muons in smaller batches: train them again");
    }
  }
}

const float* FactorRun::operator()(const float* muons, std::size_t count, std::size_t column) {
  if (feature_major_) {
    std::copy_n(muons, features_ * count, muons_.begin());
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < features_; ++k) muons_[k * count + i] = muons[i * features_ + k];
    }
  }
  // All batches of a chunk have the largest size, but for its last one.
  const Tensors other = count == largest_.count ? Tensors() : MakeTensors(count);
  const Tensors& tensors = count == largest_.count ? largest_ : other;
  const onnx::Value* input = tensors.muons.get();
  onnx::Value* output = tensors.factors.get();
  const Runtime& runtime = Runtime::Get();
  runtime.Check(runtime.Functions().Run(session_.get(), nullptr, &kInput, &input, 1, &kOutput, 1, &output),
                "the variations " + path_ + " cannot be computed: ");
  return factors_.data() + column * count;
}

bool AreFactors(const float* values, std::size_t count) {
  return !onnx::AnyNotFinite(values, count) &&
         std::all_of(values, values + count, [](float value) { return value > 0; });
}

}  // namespace shipgen_muons
