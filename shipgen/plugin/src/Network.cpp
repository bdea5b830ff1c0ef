#include "Network.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <utility>

#include "ExternalData.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

using onnx::Runtime;

constexpr const char* kInput = "latent";
constexpr const char* kOutput = "muons";
constexpr const char* kWeight = "weight";

/// An input or output of a graph; -1 in its shape is a free dimension.
struct Node {
  std::string name;
  bool is_float = false;
  std::vector<std::int64_t> shape;

  std::string Text() const {
    std::ostringstream text;
    text << name << (is_float ? " float32[" : " [");
    for (std::size_t i = 0; i < shape.size(); ++i) {
      text << (i > 0 ? ", " : "") << (shape[i] < 0 ? "N" : std::to_string(shape[i]));
    }
    text << "]";
    return text.str();
  }

  bool Is(const char* wanted, const std::vector<std::int64_t>& dimensions) const {
    return name == wanted && is_float && shape == dimensions;
  }
};

/// Return input or output number `index`.
Node ReadNode(const onnx::Session* session, std::size_t index, bool is_input, const std::string& what) {
  const Runtime& runtime = Runtime::Get();
  const onnx::Api& api = runtime.Functions();
  Node node;
  char* name = nullptr;
  runtime.Check((is_input ? api.SessionGetInputName : api.SessionGetOutputName)(
                    session, index, runtime.DefaultAllocator(), &name),
                what);
  node.name = name;
  runtime.Check(api.AllocatorFree(runtime.DefaultAllocator(), name), what);

  onnx::TypeInfo* type = nullptr;
  runtime.Check(
      (is_input ? api.SessionGetInputTypeInfo : api.SessionGetOutputTypeInfo)(session, index, &type), what);
  const onnx::TypeInfoOwner owner(type);
  const onnx::TensorInfo* tensor = nullptr;
  runtime.Check(api.CastTypeInfoToTensorInfo(type, &tensor), what);
  if (tensor == nullptr) return node;
  int element = 0;
  std::size_t count = 0;
  runtime.Check(api.GetTensorElementType(tensor, &element), what);
  runtime.Check(api.GetDimensionsCount(tensor, &count), what);
  node.is_float = element == onnx::kFloat;
  node.shape.resize(count);
  runtime.Check(api.GetDimensions(tensor, node.shape.data(), count), what);
  return node;
}

std::vector<Node> ReadNodes(const onnx::Session* session, bool is_input, const std::string& what) {
  const Runtime& runtime = Runtime::Get();
  const onnx::Api& api = runtime.Functions();
  std::size_t count = 0;
  runtime.Check((is_input ? api.SessionGetInputCount : api.SessionGetOutputCount)(session, &count), what);
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < count; ++i) nodes.push_back(ReadNode(session, i, is_input, what));
  return nodes;
}

onnx::SessionOwner MakeSession(const std::string& model, const std::string& what) {
  if (const std::string fault = FaultOfModel(model); !fault.empty()) throw BundleError(what + fault);
  const Runtime& runtime = Runtime::Get();
  const onnx::Api& api = runtime.Functions();
  onnx::SessionOptions* made = nullptr;
  runtime.Check(api.CreateSessionOptions(&made), what);
  const onnx::SessionOptionsOwner options(made);
  // One thread, which is the simulation's own: networks are too small for more.
  runtime.Check(api.SetIntraOpNumThreads(made, 1), what);
  runtime.Check(api.SetInterOpNumThreads(made, 1), what);
  runtime.Check(api.SetSessionLogSeverityLevel(made, onnx::kOnlyFatal), what);
  onnx::Session* session = nullptr;
  runtime.Check(api.CreateSessionFromArray(runtime.Environment(), model.data(), model.size(), made, &session),
                what);
  return onnx::SessionOwner(session);
}

/// Whether any of the numbers is infinite or not a number: their exponents have all bits set.
bool AnyNotFinite(const float* values, std::size_t count) {
  constexpr std::uint32_t kExponent = 0x7f800000U;
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= static_cast<std::uint32_t>((bits & kExponent) == kExponent);
  }
  return found != 0;
}

}  // namespace

Network::Network(std::string path, const std::string& model, std::size_t latent_size, std::size_t features,
                 Drawn drawn)
    : path_(std::move(path)),
      inputs_(drawn == kLevelled ? LevelsOf(latent_size) : latent_size),
      features_(features),
      drawn_(drawn),
      session_(MakeSession(model, "the network " + path_ + " is no ONNX model that can run: ")) {
  const std::string what = "the network " + path_ + " cannot be read: ";
  const std::vector<Node> inputs = ReadNodes(session_.get(), true, what);
  const std::vector<Node> outputs = ReadNodes(session_.get(), false, what);
  const auto latents = static_cast<std::int64_t>(inputs_), width = static_cast<std::int64_t>(features);
  weighted_ = outputs.size() == 2 && outputs[1].Is(kWeight, {-1});
  if (inputs.size() == 1 && (outputs.size() == 1 || weighted_)) {
    const bool row_major = inputs[0].Is(kInput, {-1, latents}) && outputs[0].Is(kOutput, {-1, width});
    // Levels are rows.
    if (row_major && drawn == kNormal) return;
    feature_major_ = inputs[0].Is(kInput, {latents, -1}) && outputs[0].Is(kOutput, {width, -1});
    if (feature_major_) return;
  }
  std::string found;
  for (const auto* nodes : {&inputs, &outputs}) {
    for (const Node& node : *nodes) found += (found.empty() ? "" : "; ") + node.Text();
  }
  throw BundleError("the network " + path_ + " has " + found + " where 'latent' float32[N, " +
                    std::to_string(inputs_) + "] and 'muons' float32[N, " + std::to_string(features) +
                    "] are expected, or both transposed, and perhaps 'weight' float32[N]");
}

NetworkRun::NetworkRun(const Network& network, std::size_t most)
    : network_(network),
      latents_(most * network.Inputs()),
      features_(most * network.Features()),
      weights_(network.Weighted() ? most : 0),
      largest_(MakeTensors(most)) {}

NetworkRun::Tensors NetworkRun::MakeTensors(std::size_t count) {
  const Runtime& runtime = Runtime::Get();
  const auto make = [&](std::vector<float>& memory, const std::vector<std::int64_t>& shape) {
    std::size_t size = sizeof(float);
    for (const std::int64_t dimension : shape) size *= static_cast<std::size_t>(dimension);
    onnx::Value* value = nullptr;
    runtime.Check(
        runtime.Functions().CreateTensorWithDataAsOrtValue(runtime.Memory(), memory.data(), size,
                                                           shape.data(), shape.size(), onnx::kFloat, &value),
        "ONNX Runtime cannot take the memory for a batch: ");
    return onnx::ValueOwner(value);
  };
  const auto matrix = [&](std::size_t width) {
    std::vector<std::int64_t> shape = {static_cast<std::int64_t>(count), static_cast<std::int64_t>(width)};
    if (network_.FeatureMajor()) std::swap(shape[0], shape[1]);
    return shape;
  };
  Tensors tensors;
  tensors.count = count;
  tensors.latents = make(latents_, matrix(network_.Inputs()));
  tensors.features = make(features_, matrix(network_.Features()));
  if (network_.Weighted()) tensors.weights = make(weights_, {static_cast<std::int64_t>(count)});
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
  if (AnyNotFinite(features_.data(), count * network_.Features()) ||
      (weighted && AnyNotFinite(weights_.data(), count))) {
    throw BundleError("the network " + network_.Path() + " made muons with a number that is not finite");
  }
  if (weighted && !(*std::min_element(weights_.data(), weights_.data() + count) > 0)) {
    throw BundleError("the network " + network_.Path() + " made muons with a weight that is not above zero");
  }
}

void TryOut(const Network& network) {
  constexpr std::size_t kMuons = 4;
  NetworkRun run(network, kMuons);
  const std::size_t size = network.Inputs();
  for (std::size_t i = 1; i < kMuons && i <= size; ++i) {
    run.Latents()[network.FeatureMajor() ? (i - 1) * kMuons + i : i * size + (i - 1)] = 1;
  }
  run(kMuons);
}

}  // namespace shipgen_muons
