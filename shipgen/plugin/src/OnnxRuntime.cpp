#include "OnnxRuntime.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "shipgen_muons/Error.h"

namespace shipgen_muons::onnx {
namespace {

constexpr const char* kVariable = "SHIPGEN_ONNXRUNTIME";

/// Names to try, the first of which is taken.
std::vector<std::string> Candidates() {
  if (const char* chosen = std::getenv(kVariable); chosen != nullptr && *chosen != '\0') return {chosen};
  std::vector<std::string> names;
#ifdef SHIPGEN_MUONS_ONNXRUNTIME
  names.emplace_back(SHIPGEN_MUONS_ONNXRUNTIME);
#endif
  names.emplace_back("libonnxruntime.so.1");
  names.emplace_back("libonnxruntime.so");
  return names;
}

void* Load() {
  std::string tried;
  for (const std::string& name : Candidates()) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); library != nullptr) return library;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw OnnxRuntimeError("running networks needs ONNX Runtime, which is not there (tried " + tried +
                         "): install onnxruntime, and give its libonnxruntime.so in " + kVariable);
}

std::string FirstLine(const char* text) {
  const std::string whole = text == nullptr ? "" : text;
  return whole.substr(0, whole.find('\n'));
}

}  // namespace

const Runtime& Runtime::Get() {
  // Never ended: objects of ONNX Runtime may be released while the process ends.
  static const Runtime& runtime = *std::unique_ptr<Runtime>(new Runtime).release();
  return runtime;
}

Runtime::Runtime() {
  void* library = Load();
  using GetApiBase = const ApiBase* (*)();
  const auto get_base = reinterpret_cast<GetApiBase>(dlsym(library, "OrtGetApiBase"));
  const ApiBase* base = get_base == nullptr ? nullptr : get_base();
  api_ = base == nullptr ? nullptr : base->GetApi(kVersion);
  if (api_ == nullptr)
    throw OnnxRuntimeError("the library found is not ONNX Runtime: give another one in " +
                           std::string(kVariable));
  version_ = base->GetVersionString();
  // Recent releases report how they are used, which no job on a batch system should. The variable keeps them from
  // writing to the user's cache folder as well; what another library began before this, the call ends.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  std::string reason = TakeReason(api_->CreateEnv(kOnlyFatal, "shipgen", &env_));
  if (reason.empty()) reason = TakeReason(api_->DisableTelemetryEvents(env_));
  if (reason.empty()) {
    reason = TakeReason(api_->CreateCpuMemoryInfo(kArenaAllocator, kDefaultMemory, &memory_));
  }
  if (reason.empty()) reason = TakeReason(api_->GetAllocatorWithDefaultOptions(&allocator_));
  if (!reason.empty()) throw OnnxRuntimeError("ONNX Runtime " + version_ + " cannot be used: " + reason);
}

std::string Runtime::TakeReason(Status* status) const {
  if (status == nullptr) return "";
  const std::string reason = FirstLine(api_->GetErrorMessage(status));
  api_->ReleaseStatus(status);
  return reason.empty() ? "unknown error" : reason;
}

void Runtime::Check(Status* status, const std::string& what) const {
  if (status != nullptr) throw BundleError(what + TakeReason(status));
}

}  // namespace shipgen_muons::onnx
