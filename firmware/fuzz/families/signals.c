/* The audio front end behind the door, TFLM's signal library. */
#include <math.h>

#include "family.h"

/* ---- what remembers: zeros at first and after a reset ------------------------------------------------------------ */

/* What the case keeps, in so many bytes. */
static void *kept(const test_case *c, size_t bytes) {
  if (c->begins != REFENGINE_GOES_ON) {
    memset(c->memory, 0, bytes);
  }
  return c->memory;
}

static void delay_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const struct delay_params p = {rows_of(in), last_dimension(in), refengine_int(c, "delay_length")};
  int16_t *waiting = kept(c, (size_t)(p.rows * p.delay_length) * sizeof *waiting);
  delay(&p, in->data, waiting, c->outputs[0].data);
}

/* A queue, and how much of it counts. */
struct queue {
  int64_t available;
  uint8_t begun;
  int16_t values[];
};

static void framer_case(const test_case *c) {
  const int32_t size = refengine_int(c, "frame_size"), step = refengine_int(c, "frame_step");
  const struct framer_params p = {
      .rows = rows_of(&c->inputs[0]),
      .n_frames = refengine_int(c, "n_frames"),
      .frame_size = size,
      .frame_step = step,
      .capacity = (size + step - 1) / step * step,
  };
  struct queue *queue = kept(c, sizeof *queue + (size_t)(p.rows * p.capacity) * sizeof *queue->values);
  if (c->begins != REFENGINE_GOES_ON && refengine_int(c, "prefill")) {
    queue->available = size - step;
  }
  framer(&p, c->inputs[0].data, queue->values, &queue->available, c->outputs[1].data, c->outputs[0].data);
}

static void stacker_case(const test_case *c) {
  const struct stacker_params p = {
      .num_channels = refengine_int(c, "num_channels"),
      .stacker_left_context = refengine_int(c, "stacker_left_context"),
      .stacker_step = refengine_int(c, "stacker_step"),
      .buffer_size = refengine_int(c, "buffer_size"),
  };
  struct queue *queue = kept(c, sizeof *queue + (size_t)p.buffer_size * sizeof *queue->values);
  stacker(&p, c->inputs[0].data, queue->values, &queue->available, &queue->begun, c->outputs[1].data,
          c->outputs[0].data);
}

static void overlap_add_case(const test_case *c) {
  const tensor *in = &c->inputs[0];
  const struct overlap_add_params p = {
      .rows = in->bytes ? rows_of(in) / refengine_int(c, "n_frames") : 0,
      .n_frames = refengine_int(c, "n_frames"),
      .frame_size = refengine_int(c, "frame_size"),
      .frame_step = refengine_int(c, "frame_step"),
  };
  void *sums = kept(c, (size_t)(p.rows * p.frame_size * element_size(in)));
  if (strcmp(in->dtype, "int16") == 0) {
    overlap_add_int16(&p, in->data, sums, c->outputs[0].data);
  } else {
    overlap_add_float32(&p, in->data, sums, c->outputs[0].data);
  }
}

static void filter_bank_spectral_subtraction_case(const test_case *c) {
  const struct spectral_subtraction_params p = {
      .num_channels = refengine_int(c, "num_channels"),
      .smoothing = refengine_int(c, "smoothing"),
      .one_minus_smoothing = refengine_int(c, "one_minus_smoothing"),
      .alternate_smoothing = refengine_int(c, "alternate_smoothing"),
      .alternate_one_minus_smoothing = refengine_int(c, "alternate_one_minus_smoothing"),
      .smoothing_bits = refengine_int(c, "smoothing_bits"),
      .spectral_subtraction_bits = refengine_int(c, "spectral_subtraction_bits"),
      .min_signal_remaining = refengine_int(c, "min_signal_remaining"),
      .clamping = refengine_int(c, "clamping"),
  };
  uint32_t *noise_estimate = kept(c, (size_t)p.num_channels * sizeof *noise_estimate);
  filter_bank_spectral_subtraction(&p, c->inputs[0].data, noise_estimate, c->outputs[1].data, c->outputs[0].data);
}

/* ---- transforms -------------------------------------------------------------------------------------------------- */

/* The complex numbers called `name`, as the kernel of this type reads them. */
static const void *complex_of(const test_case *c, const char *name) {
  if (strcmp(c->dtype, "float32") == 0) {
    return floats_called(c, name);
  }
  int32_t count;
  const int32_t *numbers = refengine_ints(c, name, &count);
  if (strcmp(c->dtype, "int32") == 0) {
    return numbers;
  }
  int16_t *narrow = refengine_scratch(c, (size_t)count * sizeof *narrow);
  for (int32_t i = 0; i < count; ++i) {
    narrow[i] = (int16_t)numbers[i];
  }
  return narrow;
}

static struct fft_params fft_of(const test_case *c) {
  int32_t count;
  const int32_t *factors = refengine_ints(c, "factors", &count);
  const struct fft_params p = {
      .rows = rows_of(&c->inputs[0]),
      .input_size = last_dimension(&c->inputs[0]),
      .fft_length = refengine_int(c, "fft_length"),
      .inverse = strcmp(c->op, "SignalIrfft") == 0,
      .stages = count / 2,
      .factors = factors,
      .twiddles = complex_of(c, "twiddles"),
      .super_twiddles = complex_of(c, "super_twiddles"),
  };
  return p;
}

SINGLE(rfft_int16, fft_params, fft_of)
SINGLE(rfft_int32, fft_params, fft_of)
SINGLE(rfft_float32, fft_params, fft_of)
SINGLE(irfft_int16, fft_params, fft_of)
SINGLE(irfft_int32, fft_params, fft_of)
SINGLE(irfft_float32, fft_params, fft_of)

static void fft_auto_scale_case(const test_case *c) {
  const struct size_params p = {refengine_elements(&c->inputs[0])};
  fft_auto_scale(&p, c->inputs[0].data, c->outputs[1].data, c->outputs[0].data);
}

/* ---- element by element, and channel by channel ------------------------------------------------------------------ */

static struct signal_window_params window_function(const test_case *c) {
  const struct signal_window_params p = {refengine_elements(&c->outputs[0]), c->inputs[1].dims[0],
                                         refengine_int(c, "shift")};
  return p;
}

static struct energy_params range_of(const test_case *c) {
  const struct energy_params p = {refengine_int(c, "start_index"), refengine_int(c, "end_index")};
  return p;
}

/* TFLM's table, how far the logarithm to base 2 of 1 + k / 128 is above the straight line, in 16 fractional bits. */
static const int32_t *log_segments(void) {
  static int32_t segments[130];
  for (int32_t k = 0; k <= 128; ++k) {
    segments[k] = (int32_t)floor(65536.0 * (log2(1.0 + k / 128.0) - k / 128.0) + 0.5);
  }
  return segments;
}

static struct filter_bank_log_params logarithm(const test_case *c) {
  const struct filter_bank_log_params p = {refengine_elements(&c->outputs[0]), refengine_int(c, "input_correction_bits"),
                                           refengine_int(c, "output_scale"), log_segments()};
  return p;
}

PAIR(signal_window, signal_window_params, window_function)
PAIR(filter_bank_square_root, size_params, size_of)
SINGLE(energy, energy_params, range_of)
SINGLE(filter_bank_log, filter_bank_log_params, logarithm)

static void filter_bank_case(const test_case *c) {
  const struct filter_bank_params p = {refengine_int(c, "num_channels")};
  const tensor *in = c->inputs;
  filter_bank(&p, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data, in[5].data, c->outputs[0].data);
}

static void pcan_case(const test_case *c) {
  const struct pcan_params p = {refengine_elements(&c->outputs[0]), refengine_int(c, "snr_shift")};
  pcan(&p, c->inputs[0].data, c->inputs[1].data, c->inputs[2].data, c->outputs[0].data);
}

const struct entry SIGNALS[] = {
    {"SignalDelay", "int16", delay_case},
    {"SignalFramer", "int16", framer_case},
    {"SignalStacker", "int16", stacker_case},
    {"SignalOverlapAdd", "int16", overlap_add_case},
    {"SignalOverlapAdd", "float32", overlap_add_case},
    {"SignalFilterBankSpectralSubtraction", "uint32", filter_bank_spectral_subtraction_case},
    {"SignalRfft", "int16", rfft_int16_case},
    {"SignalRfft", "int32", rfft_int32_case},
    {"SignalRfft", "float32", rfft_float32_case},
    {"SignalIrfft", "int16", irfft_int16_case},
    {"SignalIrfft", "int32", irfft_int32_case},
    {"SignalIrfft", "float32", irfft_float32_case},
    {"SignalFftAutoScale", "int16", fft_auto_scale_case},
    {"SignalWindow", "int16", signal_window_case},
    {"SignalEnergy", "int16", energy_case},
    {"SignalFilterBank", "uint32", filter_bank_case},
    {"SignalFilterBankSquareRoot", "uint64", filter_bank_square_root_case},
    {"SignalFilterBankLog", "uint32", filter_bank_log_case},
    {"SignalPCAN", "uint32", pcan_case},
    {0},
};
