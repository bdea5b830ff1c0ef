#include "ExternalData.h"

#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace shipgen_muons {
namespace {

/// Messages of ONNX in which a tensor can be; numbers of their fields are those of onnx.proto.
enum class Kind { kModel, kTraining, kFunction, kGraph, kNode, kAttribute, kSparse, kTensor, kOther };

constexpr std::uint64_t kDataLocation = 14;  // of a tensor: 0 is in the message itself
constexpr int kDeepest = 100;                // as protobuf has it

class Malformed : public std::runtime_error {
 public:
  Malformed() : std::runtime_error("it is no message of ONNX") {}
};

Kind KindOf(Kind outer, std::uint64_t field) {
  switch (outer) {
    case Kind::kModel:
      return field == 7    ? Kind::kGraph
             : field == 20 ? Kind::kTraining
             : field == 25 ? Kind::kFunction
                           : Kind::kOther;
    case Kind::kTraining:
      return field == 1 || field == 2 ? Kind::kGraph : Kind::kOther;
    case Kind::kFunction:
      return field == 7 ? Kind::kNode : Kind::kOther;
    case Kind::kGraph:
      return field == 1    ? Kind::kNode
             : field == 5  ? Kind::kTensor
             : field == 15 ? Kind::kSparse
                           : Kind::kOther;
    case Kind::kNode:
      return field == 5 ? Kind::kAttribute : Kind::kOther;
    case Kind::kAttribute:
      return field == 5 || field == 10    ? Kind::kTensor
             : field == 6 || field == 11  ? Kind::kGraph
             : field == 22 || field == 23 ? Kind::kSparse
                                          : Kind::kOther;
    case Kind::kSparse:
      return field == 1 || field == 2 ? Kind::kTensor : Kind::kOther;
    default:
      return Kind::kOther;
  }
}

std::string_view Take(std::string_view& bytes, std::uint64_t count) {
  if (count > bytes.size()) throw Malformed();
  const std::string_view taken = bytes.substr(0, static_cast<std::size_t>(count));
  bytes.remove_prefix(taken.size());
  return taken;
}

std::uint64_t TakeNumber(std::string_view& bytes) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(Take(bytes, 1)[0]);
    number |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if (byte < 0x80U) return number;
  }
  throw Malformed();
}

/// Return whether any tensor in a message lies elsewhere.
bool AnyExternal(std::string_view bytes, Kind kind, int depth) {
  if (depth > kDeepest) throw Malformed();
  while (!bytes.empty()) {
    const std::uint64_t tag = TakeNumber(bytes), field = tag >> 3U;
    switch (tag & 7U) {
      case 0:
        if (TakeNumber(bytes) != 0 && kind == Kind::kTensor && field == kDataLocation) return true;
        break;
      case 1:
        Take(bytes, 8);
        break;
      case 2: {
        const std::string_view inner = Take(bytes, TakeNumber(bytes));
        const Kind within = KindOf(kind, field);
        if (within != Kind::kOther && AnyExternal(inner, within, depth + 1)) return true;
        break;
      }
      case 5:
        Take(bytes, 4);
        break;
      default:
        throw Malformed();
    }
  }
  return false;
}

}  // namespace

std::string FaultOfModel(const std::string& model) {
  try {
    return AnyExternal(model, Kind::kModel, 0) ? "it has numbers in another file, whose hash nobody states" : "";
  } catch (const Malformed& error) {
    return error.what();
  }
}

}  // namespace shipgen_muons
