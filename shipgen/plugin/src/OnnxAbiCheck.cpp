// Compares OnnxAbi.h with ONNX Runtime's own header; compiled where that is found.
#include <onnxruntime_c_api.h>

#include <cstddef>

#include "OnnxAbi.h"

namespace onnx = shipgen_muons::onnx;

#define SAME_PLACE(function) \
  static_assert(offsetof(onnx::Api, function) == offsetof(OrtApi, function), #function " has another place")

SAME_PLACE(GetErrorMessage);
SAME_PLACE(CreateEnv);
SAME_PLACE(DisableTelemetryEvents);
SAME_PLACE(CreateSessionFromArray);
SAME_PLACE(Run);
SAME_PLACE(CreateSessionOptions);
SAME_PLACE(SetSessionLogSeverityLevel);
SAME_PLACE(SetIntraOpNumThreads);
SAME_PLACE(SetInterOpNumThreads);
SAME_PLACE(SessionGetInputCount);
SAME_PLACE(SessionGetOutputCount);
SAME_PLACE(SessionGetInputTypeInfo);
SAME_PLACE(SessionGetOutputTypeInfo);
SAME_PLACE(SessionGetInputName);
SAME_PLACE(SessionGetOutputName);
SAME_PLACE(CreateTensorWithDataAsOrtValue);
SAME_PLACE(CastTypeInfoToTensorInfo);
SAME_PLACE(GetTensorElementType);
SAME_PLACE(GetDimensionsCount);
SAME_PLACE(GetDimensions);
SAME_PLACE(CreateCpuMemoryInfo);
SAME_PLACE(AllocatorFree);
SAME_PLACE(GetAllocatorWithDefaultOptions);
SAME_PLACE(ReleaseStatus);
SAME_PLACE(ReleaseSession);
SAME_PLACE(ReleaseValue);
SAME_PLACE(ReleaseTypeInfo);
SAME_PLACE(ReleaseSessionOptions);

static_assert(offsetof(onnx::ApiBase, GetApi) == offsetof(OrtApiBase, GetApi));
static_assert(offsetof(onnx::ApiBase, GetVersionString) == offsetof(OrtApiBase, GetVersionString));
static_assert(onnx::kOnlyFatal == ORT_LOGGING_LEVEL_FATAL && onnx::kTensor == ONNX_TYPE_TENSOR);
static_assert(onnx::kFloat == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
static_assert(onnx::kArenaAllocator == OrtArenaAllocator && onnx::kDefaultMemory == OrtMemTypeDefault);
static_assert(sizeof(int) == sizeof(ONNXTensorElementDataType) && sizeof(int) == sizeof(OrtLoggingLevel));
