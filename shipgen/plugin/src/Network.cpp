#include "Network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "Session.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

using onnx::Node;
using onnx::Runtime;

constexpr const char* kInput = "latent";
constexpr const char* kOutput = "muons";
constexpr const char* kWeight = "weight";

}  // namespace

Network::Network(std::string path, const std::string& model, std::size_t latent_size, std::size_t features,
                 Drawn drawn)
    : path_(std::move(path)),
      inputs_(drawn == kLevelled ? LevelsOf(latent_size) : latent_size),
      features_(features),
      drawn_(drawn),
      session_(onnx::MakeSession(model, "the network " + path_ + " is no ONNX model that can run: ")) {
  const std::string what = "the network " + path_ + " cannot be read: ";
  const std::vector<Node> inputs = onnx::ReadNodes(session_.get(), true, what);
  const std::vector<Node> outputs = onnx::ReadNodes(session_.get(), false, what);
  const auto latents = static_cast<std::int64_t>(inputs_), width = static_cast<std::int64_t>(features);
  weighted_ = outputs.size() == 2 && outputs[1].Is(kWeight, {-1});
  if (inputs.size() == 1 && (outputs.size() == 1 || weighted_)) {
    const bool row_major = inputs[0].Is(kInput, {-1, latents}) && outputs[0].Is(kOutput, {-1, width});
    // Levels are rows.
    if (row_major && drawn == kNormal) return;
    feature_major_ = inputs[0].Is(kInput, {latents, -1}) && outputs[0].Is(kOutput, {width, -1});
    if (feature_major_) return;
  }
  throw BundleError("the network " + path_ + " has " + onnx::Text(inputs, outputs) +
                    " where 'latent' float32[N, " + std::to_string(inputs_) + "] and 'muons' float32[N, " + std::to_string(features) +
                    "] are expected, or both transposed, and perhaps 'weight' float32[N]");
}

NetworkRun::NetworkRun(const Network& network, std::size_t most)
    : network_(network),
      latents_(most * network.Inputs()),
      features_(most * network.Features()),
      weights_(network.Weighted() ? most : 0),
      largest_(MakeTensors(most)) {}

NetworkRun::Tensors NetworkRun::MakeTensors(std::size_t count) {
  const auto matrix = [&](std::size_t width) {
    std::vector<std::int64_t> shape = {static_cast<std::int64_t>(count), static_cast<std::int64_t>(width)};
    if (network_.FeatureMajor()) std::swap(shape[0], shape[1]);
    return shape;
  };
  Tensors tensors;
  tensors.count = count;
  tensors.latents = onnx::MakeTensor(latents_, matrix(network_.Inputs()));
  tensors.features = onnx::MakeTensor(features_, matrix(network_.Features()));
  if (network_.Weighted()) tensors.weights = onnx::MakeTensor(weights_, {static_cast<std::int64_t>(count)});
  return tensors;
}

void NetworkRun::operator()(std::size_t count) {
  const Runtime& runtime = Runtime::Get();
  // All batches of a chunk have the largest size, but for its last one.
  const Tensors last = count == largest_.count ? Tensors() : MakeTensors(count);
  const Tensors& tensors = count == largest_.count ? largest_ : last;
  const onnx::Value* input = tensors.latents.get();
  const std::array<const char*, 2> names = {kOutput, kWeight};
  std::array<onnx::Value*, 2> outputs = {tensors.features.get(), tensors.weights.get()};
  runtime.Check(runtime.Functions().Run(network_.session_.get(), nullptr, &kInput, &input, 1, names.data(),
                                        network_.Weighted() ? 2 : 1, outputs.data()),
                "the network " + network_.Path() + " cannot run: ");
  CheckNumbers(count);
}

void NetworkRun::CheckNumbers(std::size_t count) const {
  const bool weighted = !weights_.empty();
  if (onnx::AnyNotFinite(features_.data(), count * network_.Features()) ||
      (weighted && onnx::AnyNotFinite(weights_.data(), count))) {
    throw BundleError("the network " + network_.Path() + " made muons with a number that is not finite");
  }
  if (weighted && !(*std::min_element(weights_.data(), weights_.data() + count) > 0)) {
    throw BundleError("the network " + network_.Path() + " made muons with a weight that is not above zero");
  }
}

NetworkRun TryOut(const Network& network) {
  NetworkRun run(network, kTried);
  const std::size_t size = network.Inputs();
  for (std::size_t i = 1; i < kTried && i <= size; ++i) {
    run.Latents()[network.FeatureMajor() ? (i - 1) * kTried + i : i * size + (i - 1)] = 1;
  }
  run(kTried);
  return run;
}

}  // namespace shipgen_muons
