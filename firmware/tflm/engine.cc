// TFLM as the application's engine: the same console and protocol, over the interpreter and its reference kernels.
//
// The tap is the profiler that TFLM calls around every operator: at EndEvent the operator's output is complete, and still
// in the arena. Nothing is preserved for it.
#include "engine.h"

#include <cstdarg>
#include <cstring>
#include <new>

#include "board.h"
#include "model_data.h"
#include "print.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/schema/schema_generated.h"

// TFLM's messages go where a person looks; static objects live for ever.
extern "C" void DebugLog(const char* format, va_list) { print_text(format); }
extern "C" int DebugVsnprintf(char* buffer, size_t size, const char*, va_list) {
  return size ? (buffer[0] = '\0') : 0;
}
extern "C" uint32_t model_crc32(const void* bytes, uint32_t count) {
  uint32_t crc = UINT32_MAX;
  for (const auto* byte = static_cast<const uint8_t*>(bytes); count--; ++byte) {
    crc ^= *byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}
void operator delete(void*, size_t) noexcept {}
void operator delete(void*) noexcept {}

namespace {

constexpr int kMaxSteps = 128, kMaxEnds = 4, kMaxRank = 6;

alignas(16) uint8_t arena[TFLM_ARENA_BYTES];
step steps[kMaxSteps];
tensor inputs[kMaxEnds], outputs[kMaxEnds];

[[noreturn]] void fail(const char* why) {
  print_text(why);
  print_text("\n");
  board_exit(1);
}

}  // namespace

extern "C" void abort() { fail("TFLM aborts"); }

namespace {

struct Profiler : tflite::MicroProfilerInterface {
  void (*after)(int32_t) = nullptr;
  uint32_t next = 0;
  uint32_t BeginEvent(const char*) override { return next++; }
  void EndEvent(uint32_t place) override {
    if (after) after(static_cast<int32_t>(place));
  }
};

struct Interpreter : tflite::MicroInterpreter {
  using MicroInterpreter::MicroInterpreter;
  uint8_t* Bytes(int index) const {
    return static_cast<uint8_t*>(context().GetEvalTensor(&context(), index)->data.data);
  }
};

using Resolver = tflite::MicroMutableOpResolver<17>;

alignas(Profiler) uint8_t profiler_place[sizeof(Profiler)];
alignas(Resolver) uint8_t resolver_place[sizeof(Resolver)];
alignas(Interpreter) uint8_t interpreter_place[sizeof(Interpreter)];
Profiler* profiler;
Interpreter* interpreter;
struct engine described;

dtype DtypeOf(tflite::TensorType type) {
  switch (type) {
    case tflite::TensorType_FLOAT32: return DTYPE_FLOAT32;
    case tflite::TensorType_INT8: return DTYPE_INT8;
    case tflite::TensorType_INT16: return DTYPE_INT16;
    case tflite::TensorType_INT32: return DTYPE_INT32;
    case tflite::TensorType_INT64: return DTYPE_INT64;
    case tflite::TensorType_UINT8: return DTYPE_UINT8;
    case tflite::TensorType_BOOL: return DTYPE_BOOL;
    default: fail("a tensor has a type that the protocol does not know");
  }
}

uint32_t BytesOf(dtype type) {
  return type == DTYPE_INT64 ? 8 : type == DTYPE_FLOAT32 || type == DTYPE_INT32 ? 4 : type == DTYPE_INT16 ? 2 : 1;
}

tensor Describe(const tflite::SubGraph& graph, int index) {
  const tflite::Tensor& from = *graph.tensors()->Get(static_cast<uint32_t>(index));
  tensor to = {};
  to.name = from.name() ? from.name()->c_str() : "";
  to.index = index;
  to.dtype = DtypeOf(from.type());
  to.bytes = BytesOf(to.dtype);
  const auto* shape = from.shape();
  to.rank = shape ? static_cast<int32_t>(shape->size()) : 0;
  if (to.rank > kMaxRank) fail("a tensor has more than 6 dimensions");
  for (int32_t i = 0; i < to.rank; ++i) {
    to.shape[i] = shape->Get(static_cast<uint32_t>(i));
    to.bytes *= static_cast<uint32_t>(to.shape[i]);
  }
  const auto* quantization = from.quantization();
  if (quantization && quantization->scale() && quantization->scale()->size()) {
    to.scale = quantization->scale()->Get(0);
    to.zero_point = quantization->zero_point() ? static_cast<int32_t>(quantization->zero_point()->Get(0)) : 0;
  }
  return to;
}

void AddOperators(Resolver& r) {
  r.AddAdd();
  r.AddAveragePool2D();
  r.AddConv2D();
  r.AddDepthwiseConv2D();
  r.AddDequantize();
  r.AddFullyConnected();
  r.AddMaxPool2D();
  r.AddMean();
  r.AddPack();
  r.AddPad();
  r.AddQuantize();
  r.AddRelu();
  r.AddRelu6();
  r.AddReshape();
  r.AddShape();
  r.AddSoftmax();
  r.AddStridedSlice();
}

void Start() {
  const tflite::Model* model = tflite::GetModel(MODEL_DATA);
  const tflite::SubGraph& graph = *model->subgraphs()->Get(0);
  const uint32_t count = graph.operators()->size();
  if (model->subgraphs()->size() != 1 || count > kMaxSteps || graph.inputs()->size() > kMaxEnds ||
      graph.outputs()->size() > kMaxEnds) {
    fail("this model has more subgraphs, operators, inputs or outputs than the tap is made for");
  }
  auto* resolver = new (resolver_place) Resolver;
  AddOperators(*resolver);
  profiler = new (profiler_place) Profiler;
  interpreter = new (interpreter_place) Interpreter(model, *resolver, arena, sizeof arena, nullptr, profiler);
  if (interpreter->AllocateTensors() != kTfLiteOk) fail("TFLM does not take this model: a larger ARENA, or more operators?");
  for (uint32_t i = 0; i < count; ++i) {
    const tflite::Operator& op = *graph.operators()->Get(i);
    const tflite::OperatorCode& code = *model->operator_codes()->Get(op.opcode_index());
    const auto builtin = code.builtin_code() > code.deprecated_builtin_code()
                             ? code.builtin_code()
                             : static_cast<tflite::BuiltinOperator>(code.deprecated_builtin_code());
    steps[i] = {static_cast<int32_t>(i), tflite::EnumNameBuiltinOperator(builtin), Describe(graph, op.outputs()->Get(0)), 0};
  }
  for (uint32_t i = 0; i < graph.inputs()->size(); ++i) inputs[i] = Describe(graph, graph.inputs()->Get(i));
  for (uint32_t i = 0; i < graph.outputs()->size(); ++i) outputs[i] = Describe(graph, graph.outputs()->Get(i));
  described = {MODEL_NAME,
               MODEL_SHA256,
               MODEL_NUMERICS,
               static_cast<uint32_t>(interpreter->arena_used_bytes()),
               count,
               graph.inputs()->size(),
               graph.outputs()->size(),
               steps,
               inputs,
               outputs};
}

}  // namespace

extern "C" const struct engine* engine(void) {
  if (!interpreter) Start();
  return &described;
}

extern "C" uint8_t* engine_bytes(const struct tensor* tensor) { return interpreter->Bytes(tensor->index); }

extern "C" void engine_run(void (*after)(int32_t place)) {
  profiler->after = after;
  profiler->next = 0;
  if (interpreter->Invoke() != kTfLiteOk) fail("an operator failed");
  profiler->after = nullptr;
}

// The digit, as the networks of the articles take it: 255 is ink, and the highest code or 1.0.
extern "C" void engine_run_golden(void (*after)(int32_t place)) {
  const struct tensor& input = engine()->inputs[0];
  uint8_t* bytes = engine_bytes(&input);
  for (uint32_t i = 0; i < DIGIT_HEIGHT * DIGIT_WIDTH; ++i) {
    const float ink = static_cast<float>(digit[0][i]) / 255.0f;
    if (input.dtype == DTYPE_FLOAT32 && 4 * i < input.bytes) {
      std::memcpy(bytes + 4 * i, &ink, 4);
    } else if (input.dtype == DTYPE_INT8 && i < input.bytes) {
      bytes[i] = static_cast<uint8_t>(digit[0][i] - 128);
    }
  }
  engine_run(after);
}
