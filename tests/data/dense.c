/* A kernel and its adapter, for the README: FULLY_CONNECTED whose author rounds once where TFLM rounds twice. */
#include "refengine_fuzz.h"

static int32_t scaled(int32_t acc, int32_t multiplier, int32_t shift) {
    return (int32_t)(((int64_t)acc * multiplier + ((int64_t)1 << (30 - shift))) >> (31 - shift));
}

int refengine_kernel(const struct refengine_case *c) {
    if (!refengine_is(c, "FULLY_CONNECTED", "int8")) return REFENGINE_UNSUPPORTED;
    const int8_t *input = c->inputs[0].data, *weights = c->inputs[1].data;
    const int32_t *bias = c->n_inputs > 2 ? c->inputs[2].data : NULL;
    const int32_t channels = c->inputs[1].dims[0], depth = c->inputs[1].dims[1];
    const int32_t *multiplier = refengine_ints(c, "output_multiplier", NULL);
    const int32_t *shift = refengine_ints(c, "output_shift", NULL);
    const int32_t lo = refengine_int(c, "quantized_activation_min"), hi = refengine_int(c, "quantized_activation_max");
    int8_t *output = c->outputs[0].data;
    for (int32_t i = 0; i < refengine_elements(&c->outputs[0]); i++) {
        const int32_t row = i / channels, channel = i % channels;
        int32_t acc = bias ? bias[channel] : 0;
        for (int32_t k = 0; k < depth; k++)
            acc += (input[row * depth + k] + refengine_int(c, "input_offset")) *
                   (weights[channel * depth + k] + refengine_int(c, "weights_offset"));
        acc = scaled(acc, multiplier[channel], shift[channel]) + refengine_int(c, "output_offset");
        output[i] = acc < lo ? lo : acc > hi ? hi : acc;
    }
    return REFENGINE_COMPUTED;
}
