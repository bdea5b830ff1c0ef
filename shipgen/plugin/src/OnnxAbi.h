/// The part of ONNX Runtime's C API that is used here, as it lies in memory.
///
/// ONNX Runtime offers its C functions in one table, which only grows at its end: the places of version 1,
/// used here, are the same in every release since 1.0 (its sources assert that). So no headers are needed to
/// build, which Python's package does not ship, and the library is found when it runs, not linked. Where
/// `onnxruntime_c_api.h` is found, OnnxAbiCheck.cpp compares every place with it when it is compiled.
#ifndef SHIPGEN_MUONS_ONNXABI_H_
#define SHIPGEN_MUONS_ONNXABI_H_

#include <cstddef>
#include <cstdint>

namespace shipgen_muons::onnx {

// Objects of ONNX Runtime, known by their addresses.
struct Allocator;
struct Env;
struct MemoryInfo;
struct RunOptions;
struct Session;
struct SessionOptions;
struct Status;
struct TensorInfo;
struct TypeInfo;
struct Value;

// Enumerators of ONNX Runtime.
constexpr int kOnlyFatal = 4;       // OrtLoggingLevel: it logs what it returns as well, which is enough
constexpr int kTensor = 1;          // ONNXType
constexpr int kFloat = 1;           // ONNXTensorElementDataType
constexpr int kArenaAllocator = 1;  // OrtAllocatorType
constexpr int kDefaultMemory = 0;   // OrtMemType

/// Version of the table.
constexpr std::uint32_t kVersion = 1;

/// Version 1 of `OrtApi`; the numbers are places in the table. Functions return null where they succeed.
struct Api {
  void* unused_0[2];
  const char* (*GetErrorMessage)(const Status*);                // 2
  Status* (*CreateEnv)(int severity, const char* name, Env**);  // 3
  void* unused_4[2];
  Status* (*DisableTelemetryEvents)(const Env*);  // 6
  void* unused_7;
  Status* (*CreateSessionFromArray)(const Env*, const void* model, std::size_t bytes, const SessionOptions*,
                                    Session**);  // 8
  Status* (*Run)(Session*, const RunOptions*, const char* const* input_names, const Value* const* inputs,
                 std::size_t input_count, const char* const* output_names, std::size_t output_count,
                 Value** outputs);                    // 9
  Status* (*CreateSessionOptions)(SessionOptions**);  // 10
  void* unused_11[11];
  Status* (*SetSessionLogSeverityLevel)(SessionOptions*, int severity);  // 22
  void* unused_23;
  Status* (*SetIntraOpNumThreads)(SessionOptions*, int threads);  // 24
  Status* (*SetInterOpNumThreads)(SessionOptions*, int threads);  // 25
  void* unused_26[4];
  Status* (*SessionGetInputCount)(const Session*, std::size_t*);   // 30
  Status* (*SessionGetOutputCount)(const Session*, std::size_t*);  // 31
  void* unused_32;
  Status* (*SessionGetInputTypeInfo)(const Session*, std::size_t index, TypeInfo**);   // 33
  Status* (*SessionGetOutputTypeInfo)(const Session*, std::size_t index, TypeInfo**);  // 34
  void* unused_35;
  Status* (*SessionGetInputName)(const Session*, std::size_t index, Allocator*, char**);   // 36
  Status* (*SessionGetOutputName)(const Session*, std::size_t index, Allocator*, char**);  // 37
  void* unused_38[11];
  Status* (*CreateTensorWithDataAsOrtValue)(const MemoryInfo*, void* data, std::size_t bytes,
                                            const std::int64_t* shape, std::size_t dimensions, int type,
                                            Value**);  // 49
  void* unused_50[5];
  Status* (*CastTypeInfoToTensorInfo)(const TypeInfo*, const TensorInfo**);  // 55, null where it is no tensor
  void* unused_56[4];
  Status* (*GetTensorElementType)(const TensorInfo*, int*);                       // 60
  Status* (*GetDimensionsCount)(const TensorInfo*, std::size_t*);                 // 61
  Status* (*GetDimensions)(const TensorInfo*, std::int64_t*, std::size_t count);  // 62, -1 where one is free
  void* unused_63[6];
  Status* (*CreateCpuMemoryInfo)(int allocator, int memory, MemoryInfo**);  // 69
  void* unused_70[6];
  Status* (*AllocatorFree)(Allocator*, void*);  // 76
  void* unused_77;
  Status* (*GetAllocatorWithDefaultOptions)(Allocator**);  // 78
  void* unused_79[14];
  void (*ReleaseStatus)(Status*);  // 93
  void* unused_94;
  void (*ReleaseSession)(Session*);  // 95
  void (*ReleaseValue)(Value*);      // 96
  void* unused_97;
  void (*ReleaseTypeInfo)(TypeInfo*);  // 98
  void* unused_99;
  void (*ReleaseSessionOptions)(SessionOptions*);  // 100
  void* unused_101;
};

static_assert(sizeof(Api) == 102 * sizeof(void*), "version 1 of OrtApi has 102 functions");

/// `OrtApiBase`, which the library's one symbol `OrtGetApiBase` returns.
struct ApiBase {
  const Api* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

}  // namespace shipgen_muons::onnx

#endif
