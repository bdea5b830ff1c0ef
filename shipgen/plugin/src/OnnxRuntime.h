/// ONNX Runtime, loaded when it is first needed, and owners of its objects.
#ifndef SHIPGEN_MUONS_ONNXRUNTIME_H_
#define SHIPGEN_MUONS_ONNXRUNTIME_H_

#include <memory>
#include <string>

#include "OnnxAbi.h"

namespace shipgen_muons::onnx {

/// The loaded library; it stays in memory until the process ends, as ONNX Runtime asks for.
class Runtime {
 public:
  /// Return the library, loading it where that has not been done.
  ///
  /// It is `$SHIPGEN_ONNXRUNTIME` if that is set; else the one found when this was built; else the dynamic
  /// loader's `libonnxruntime.so.1` or `libonnxruntime.so`.
  ///
  /// \throws OnnxRuntimeError  there is none, or it cannot be used; the next call tries again
  static const Runtime& Get();

  const Api& Functions() const { return *api_; }
  const Env* Environment() const { return env_; }
  const MemoryInfo* Memory() const { return memory_; }
  Allocator* DefaultAllocator() const { return allocator_; }

  /// Version of the library, as "1.23.0".
  const std::string& Version() const { return version_; }

  /// Throw `BundleError(what + ONNX Runtime's reason)` unless `status` is null.
  void Check(Status* status, const std::string& what) const;

 private:
  Runtime();

  /// Return the first line of what went wrong, or nothing where `status` is null.
  std::string TakeReason(Status* status) const;

  const Api* api_ = nullptr;
  Env* env_ = nullptr;
  MemoryInfo* memory_ = nullptr;
  Allocator* allocator_ = nullptr;
  std::string version_;
};

/// Owner of an object of ONNX Runtime; `release` is the member of `Api` that ends it.
template <class T, void (*Api::*release)(T*)>
struct Releaser {
  void operator()(T* object) const { (Runtime::Get().Functions().*release)(object); }
};
template <class T, void (*Api::*release)(T*)>
using Owner = std::unique_ptr<T, Releaser<T, release>>;

using SessionOwner = Owner<Session, &Api::ReleaseSession>;
using SessionOptionsOwner = Owner<SessionOptions, &Api::ReleaseSessionOptions>;
using TypeInfoOwner = Owner<TypeInfo, &Api::ReleaseTypeInfo>;
using ValueOwner = Owner<Value, &Api::ReleaseValue>;

}  // namespace shipgen_muons::onnx

#endif
