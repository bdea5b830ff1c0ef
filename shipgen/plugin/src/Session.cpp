#include "Session.h"

#include <cstring>
#include <sstream>

#include "ExternalData.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons::onnx {
namespace {

std::string Text(const Node& node) {
  std::ostringstream text;
  text << node.name << (node.is_float ? " float32[" : " [");
  for (std::size_t i = 0; i < node.shape.size(); ++i) {
    text << (i > 0 ? ", " : "") << (node.shape[i] < 0 ? "N" : std::to_string(node.shape[i]));
  }
  text << "]";
  return text.str();
}

/// Return input or output number `index`.
Node ReadNode(const Session* session, std::size_t index, bool is_input, const std::string& what) {
  const Runtime& runtime = Runtime::Get();
  const Api& api = runtime.Functions();
  Node node;
  char* name = nullptr;
  runtime.Check((is_input ? api.SessionGetInputName : api.SessionGetOutputName)(
                    session, index, runtime.DefaultAllocator(), &name),
                what);
  node.name = name;
  runtime.Check(api.AllocatorFree(runtime.DefaultAllocator(), name), what);

  TypeInfo* type = nullptr;
  runtime.Check(
      (is_input ? api.SessionGetInputTypeInfo : api.SessionGetOutputTypeInfo)(session, index, &type), what);
  const TypeInfoOwner owner(type);
  const TensorInfo* tensor = nullptr;
  runtime.Check(api.CastTypeInfoToTensorInfo(type, &tensor), what);
  if (tensor == nullptr) return node;
  int element = 0;
  std::size_t count = 0;
  runtime.Check(api.GetTensorElementType(tensor, &element), what);
  runtime.Check(api.GetDimensionsCount(tensor, &count), what);
  node.is_float = element == kFloat;
  node.shape.resize(count);
  runtime.Check(api.GetDimensions(tensor, node.shape.data(), count), what);
  return node;
}

}  // namespace

std::vector<Node> ReadNodes(const Session* session, bool is_input, const std::string& what) {
  const Runtime& runtime = Runtime::Get();
  const Api& api = runtime.Functions();
  std::size_t count = 0;
  runtime.Check((is_input ? api.SessionGetInputCount : api.SessionGetOutputCount)(session, &count), what);
  std::vector<Node> nodes;
  for (std::size_t i = 0; i < count; ++i) nodes.push_back(ReadNode(session, i, is_input, what));
  return nodes;
}

std::string Text(const std::vector<Node>& inputs, const std::vector<Node>& outputs) {
  std::string found;
  for (const auto* nodes : {&inputs, &outputs}) {
    for (const Node& node : *nodes) found += (found.empty() ? "" : "; ") + Text(node);
  }
  return found;
}

SessionOwner MakeSession(const std::string& model, const std::string& what) {
  if (const std::string fault = FaultOfModel(model); !fault.empty()) throw BundleError(what + fault);
  const Runtime& runtime = Runtime::Get();
  const Api& api = runtime.Functions();
  SessionOptions* made = nullptr;
  runtime.Check(api.CreateSessionOptions(&made), what);
  const SessionOptionsOwner options(made);
  // One thread, which is the simulation's own: networks are too small for more.
  runtime.Check(api.SetIntraOpNumThreads(made, 1), what);
  runtime.Check(api.SetInterOpNumThreads(made, 1), what);
  runtime.Check(api.SetSessionLogSeverityLevel(made, kOnlyFatal), what);
  Session* session = nullptr;
  runtime.Check(api.CreateSessionFromArray(runtime.Environment(), model.data(), model.size(), made, &session),
                what);
  return SessionOwner(session);
}

ValueOwner MakeTensor(std::vector<float>& memory, const std::vector<std::int64_t>& shape) {
  const Runtime& runtime = Runtime::Get();
  std::size_t size = sizeof(float);
  for (const std::int64_t dimension : shape) size *= static_cast<std::size_t>(dimension);
  Value* value = nullptr;
  runtime.Check(runtime.Functions().CreateTensorWithDataAsOrtValue(
                    runtime.Memory(), memory.data(), size, shape.data(), shape.size(), kFloat, &value),
                "ONNX Runtime cannot take the memory for a batch: ");
  return ValueOwner(value);
}

bool AnyNotFinite(const float* values, std::size_t count) {
  // Their exponents have all bits set.
  constexpr std::uint32_t kExponent = 0x7f800000U;
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof bits);
    found |= static_cast<std::uint32_t>((bits & kExponent) == kExponent);
  }
  return found != 0;
}

}  // namespace shipgen_muons::onnx
