// Lets your TFLM tell what each operator computes, for `refengine diff MODEL log.txt` to judge. In your firmware:
//   static refengine::Tap<8> tap(resolver);  // at most 8 kinds of operators; give `tap` to the interpreter, not yours
//   tap.Begin(true);  // before each Invoke(); true: bytes too, false: CRC-32 only, which is often enough
// TFLM has no hook after an operator, and its profiler sees no tensors. So this resolver hands out registrations whose
// invoke runs yours and reads the outputs, before the arena is used for others, and SVDF's and the LSTM's states before
// and after. #define REFENGINE_PRINT(line) to print elsewhere. For models with one subgraph; one Tap in a program.
#pragma once
#include <cstdint>
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/memory_helpers.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_op_resolver.h"
#ifndef REFENGINE_PRINT
#include <cstdio>
#define REFENGINE_PRINT(line) std::printf("%s\n", line)
#endif
namespace refengine {
inline char* Put(char* at, uint32_t number, int digits, uint32_t base) {
  for (int i = digits; i-- > 0; number /= base) at[i] = "0123456789abcdef"[number % base];
  return at + digits;
}
inline void Report(const char* does, int op, int index, const TfLiteEvalTensor* tensor, bool bytes) {
  size_t size = 0;
  if (tflite::TfLiteEvalTensorByteLength(tensor, &size) != kTfLiteOk) return;
  const auto* data = static_cast<const uint8_t*>(tensor->data.data);
  uint32_t crc = UINT32_MAX;
  for (size_t bit = 0; bit < 8 * size; ++bit)
    crc = (crc >> 1) ^ ((crc ^ (data[bit / 8] >> (bit % 8))) & 1 ? 0xEDB88320u : 0);
  char line[80] = "refengine op 00000 writes tensor 00000 crc 00000000", *end;
  for (int i = 0; i < 6; ++i) line[19 + i] = does[i];
  Put(line + 13, static_cast<uint32_t>(op), 5, 10), Put(line + 33, static_cast<uint32_t>(index), 5, 10);
  Put(line + 43, ~crc, 8, 16), REFENGINE_PRINT(line);
  for (size_t from = 0; bytes && from < size; from += 16) {
    end = Put(line, static_cast<uint32_t>(from), 8, 16);
    for (size_t i = from; i < from + 16 && i < size; ++i) *end++ = ' ', end = Put(end, data[i], 2, 16);
    *end = '\0', REFENGINE_PRINT(line);
  }
}
template <int kinds>
class Tap : public tflite::MicroOpResolver {
 public:
  explicit Tap(const tflite::MicroOpResolver& yours) : yours_(yours) {}
  void Begin(bool bytes) { op_ = 0, bytes_ = bytes; }
  const TFLMRegistration* FindOp(tflite::BuiltinOperator op) const override { return Tapped(yours_.FindOp(op), op); }
  const TFLMRegistration* FindOp(const char* op) const override { return Tapped(yours_.FindOp(op)); }
  tflite::TfLiteBridgeBuiltinParseFunction GetOpDataParser(tflite::BuiltinOperator op) const override {
    return yours_.GetOpDataParser(op);
  }
 private:
  static const TFLMRegistration* Tapped(const TFLMRegistration* found, int op = -1) {
    int i = 0;
    while (i < kinds && originals_[i] != nullptr && originals_[i] != found) ++i;
    if (i == kinds) REFENGINE_PRINT("refengine: there are more kinds of operators than Tap<> says");
    if (found == nullptr || i == kinds) return found;
    originals_[i] = found, tapped_[i] = *found, tapped_[i].invoke = Invoke;
    if (op == tflite::BuiltinOperator_SVDF) states_[i] = 4;
    if (op == tflite::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM) states_[i] = 18;
    return &tapped_[i];
  }
  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
    const auto kind = reinterpret_cast<const tflite::NodeAndRegistration*>(node)->registration - tapped_;
    const auto inputs = [&](const char* does, int i, int end) {
      for (; i < end && i < node->inputs->size; ++i)
        Report(does, op_, node->inputs->data[i], tflite::micro::GetEvalInput(context, node, i), bytes_);
    };
    if (op_ == 0) inputs("reads ", 0, 1);
    if (states_[kind] > 0) inputs("reads ", states_[kind], states_[kind] + 2);
    const TfLiteStatus status = originals_[kind]->invoke(context, node);
    for (int i = 0; status == kTfLiteOk && i < node->outputs->size; ++i)
      Report("writes", op_, node->outputs->data[i], tflite::micro::GetEvalOutput(context, node, i), bytes_);
    if (status == kTfLiteOk && states_[kind] > 0) inputs("writes", states_[kind], states_[kind] + 2);
    return ++op_, status;
  }
  const tflite::MicroOpResolver& yours_;
  static inline const TFLMRegistration* originals_[kinds];
  static inline TFLMRegistration tapped_[kinds];
  static inline int op_ = 0, bytes_ = 0, states_[kinds] = {};  // the first of an operator's variable tensors, or 0
};
}  // namespace refengine
