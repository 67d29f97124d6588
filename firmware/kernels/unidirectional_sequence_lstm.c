/* UNIDIRECTIONAL_SEQUENCE_LSTM: a long short-term memory runs over a sequence; its hidden states are the output.
 *
 * TFLM: kernels/unidirectional_sequence_lstm.cc, lstm_eval.h. refengine: kernels/unidirectional_sequence_lstm.py. All
 * gates of a step see the hidden state before it, so that the new one is put into the output first. Weights and biases
 * are those of the input, forget, cell and output gate, one behind the other.
 */
#include <float.h>
#include <string.h>

#include "wide.h"

enum { INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE };

/* Where the row of a step lies in the sequence, in rows. */
static int32_t row_of(const struct lstm_size *s, int32_t step, int32_t batch) {
  return s->time_major ? step * s->batches + batch : batch * s->steps + step;
}

static int32_t to_int16(int32_t x) { return clamp(x, INT16_MIN, INT16_MAX); }

static int32_t product(int32_t a, int32_t b, struct multiplier m) { return multiply_by_quantized_multiplier(a * b, m); }

static int16_t value_of(void (*function)(const struct sigmoid_int16_params *, const int16_t *, int16_t *),
                         const struct sigmoid_int16_params *p, int32_t x) {
  const int16_t code = (int16_t)x;
  int16_t result;
  function(p, &code, &result);
  return result;
}

/* The new cell state of a unit, for the sums of its gates. */
static int16_t cell_of(const struct lstm_params *p, const int32_t sums[4], int32_t cell) {
  const int32_t input = value_of(logistic_int16, &p->gate_activation, sums[INPUT_GATE]);
  const int32_t forget = value_of(logistic_int16, &p->gate_activation, sums[FORGET_GATE]);
  const int32_t gate =
      p->linear_cell_gate ? sums[CELL_GATE] : value_of(tanh_int16, &p->gate_activation, sums[CELL_GATE]);
  const int32_t kept = to_int16(product(forget, cell, p->forget_cell_mul));
  const int32_t sum = to_int16(kept + to_int16(product(input, gate, p->input_mul)));
  return (int16_t)(p->cell_clip < 0 ? sum : clamp(sum, -p->cell_clip, p->cell_clip));
}

/* The new hidden state of a unit, before the clamp to its type. */
static int32_t hidden_of(const struct lstm_params *p, int32_t output_sum, int32_t cell) {
  const int32_t output = value_of(logistic_int16, &p->gate_activation, output_sum);
  return add_wrap(product(value_of(tanh_int16, &p->cell_tanh, cell), output, p->output_mul), p->hidden_zero_point);
}

/* One of a gate's two sums, Σ (x + offset) · (w + weights offset) + bias in steps of 2^-12, cut to int16. */
static int32_t gate_sum_int8(const struct lstm_layer *l, int32_t gate, const int8_t *x, const int8_t *w, int32_t bias) {
  int32_t acc = bias;
  for (int32_t k = 0; k < l->depth; ++k) {
    acc = add_wrap(acc, (x[k] + l->input_offset) * (w[k] + l->weights_offset[gate]));
  }
  return to_int16(multiply_by_quantized_multiplier(acc, l->multipliers[gate]));
}

static int32_t gate_sum_int16(const struct lstm_layer *l, int32_t gate, const int16_t *x, const int8_t *w,
                              int64_t bias) {
  uint64_t acc = (uint64_t)bias;
  for (int32_t k = 0; k < l->depth; ++k) {
    acc += (uint64_t)((int64_t)(x[k] + l->input_offset) * (w[k] + l->weights_offset[gate]));
  }
  return to_int16(multiply_by_quantized_multiplier_64((int64_t)acc, l->multipliers[gate]));
}

#define LSTM(name, type, bias_type, sum, lowest, highest)                                                             \
  void name(const struct lstm_params *p, const type *input, const int8_t *weights_input, const int8_t *weights_hidden, \
            const bias_type *bias, type *hidden, int16_t *cell, type *output) {                                       \
    const int32_t units = p->size.units;                                                                              \
    for (int32_t b = 0; b < p->size.batches; ++b, hidden += units, cell += units) {                                   \
      for (int32_t step = 0; step < p->size.steps; ++step) {                                                          \
        const type *x = input + row_of(&p->size, step, b) * p->input_layer.depth;                                     \
        type *out = output + row_of(&p->size, step, b) * units;                                                       \
        for (int32_t unit = 0; unit < units; ++unit) {                                                                \
          int32_t sums[4];                                                                                            \
          for (int32_t gate = 0; gate < 4; ++gate) {                                                                  \
            const int32_t row = gate * units + unit;                                                                  \
            sums[gate] =                                                                                              \
                to_int16(sum(&p->input_layer, gate, x, weights_input + row * p->input_layer.depth, bias[row]) +       \
                         sum(&p->hidden_layer, gate, hidden, weights_hidden + row * units, 0));                       \
          }                                                                                                           \
          cell[unit] = cell_of(p, sums, cell[unit]);                                                                  \
          out[unit] = (type)clamp(hidden_of(p, sums[OUTPUT_GATE], cell[unit]), lowest, highest);                      \
        }                                                                                                             \
        memcpy(hidden, out, (size_t)units * sizeof *out);                                                             \
      }                                                                                                               \
    }                                                                                                                 \
  }

LSTM(lstm_int8, int8_t, int32_t, gate_sum_int8, INT8_MIN, INT8_MAX)
LSTM(lstm_int16, int16_t, int64_t, gate_sum_int16, INT16_MIN, INT16_MAX)

/* Within the finite numbers, as TFLM's layers without an activation are. */
static float bounded(float x) { return clamp_float(x, -FLT_MAX, FLT_MAX); }

static float gate_sum_float32(const float *x, const float *w, int32_t depth) {
  float total = 0.0f;
  for (int32_t k = 0; k < depth; ++k) {
    total = multiply_add(x[k], w[k], total);
  }
  return total;
}

static float sigmoid(float x) {
  float result;
  logistic_float32(&(struct size_params){1}, &x, &result);
  return result;
}

static float cell_of_floats(const struct lstm_float32_params *p, const float sums[4], float cell) {
  const float gate = p->linear_cell_gate ? sums[CELL_GATE] : tanhf(sums[CELL_GATE]);
  const float kept = bounded(sigmoid(sums[FORGET_GATE]) * cell), new = bounded(sigmoid(sums[INPUT_GATE]) * gate);
  const float sum = kept + new;
  if (p->cell_clip <= 0.0f) {
    return sum;
  }
  return sum != sum && p->nan_clips ? p->cell_clip : clamp_float(sum, -p->cell_clip, p->cell_clip);
}

void lstm_float32(const struct lstm_float32_params *p, const float *input, const float *weights_input,
                  const float *weights_hidden, const float *bias, float *hidden, float *cell, float *output) {
  const int32_t units = p->size.units, depth = p->depth;
  for (int32_t b = 0; b < p->size.batches; ++b, hidden += units, cell += units) {
    for (int32_t step = 0; step < p->size.steps; ++step) {
      const float *x = input + row_of(&p->size, step, b) * depth;
      float *out = output + row_of(&p->size, step, b) * units;
      for (int32_t unit = 0; unit < units; ++unit) {
        float sums[4];
        for (int32_t gate = 0; gate < 4; ++gate) {
          const int32_t row = gate * units + unit;
          const float over_input = bounded(gate_sum_float32(x, weights_input + row * depth, depth) + bias[row]);
          sums[gate] = over_input + bounded(gate_sum_float32(hidden, weights_hidden + row * units, units));
        }
        cell[unit] = cell_of_floats(p, sums, cell[unit]);
        out[unit] = bounded(tanhf(cell[unit]) * sigmoid(sums[OUTPUT_GATE]));
      }
      memcpy(hidden, out, (size_t)units * sizeof *out);
    }
  }
}
