/* An adapter to start from: it takes the cases of one operator to a kernel that is here the plainest one possible.
 *
 *     refengine fuzz --header > refengine_fuzz.h
 *     refengine fuzz --example > example.c
 *     cc -shared -fPIC -O2 example.c -o libexample.so
 *     refengine fuzz --library ./libexample.so --operator FULLY_CONNECTED --type int8
 */
#include "refengine_fuzz.h"

/* ---- the kernel: yours, in a file of its own, and with whatever arguments it takes -------------------------------- */

/* acc * multiplier * 2^(shift - 31) as TFLM rounds it: the high multiply first, ties upwards; then the shift to the
 * right, ties away from zero. */
static int32_t scaled(int32_t acc, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    const int32_t shifted = (int32_t)((uint32_t)acc << left);
    const int32_t high = (int32_t)(((int64_t)shifted * multiplier + (1 << 30)) >> 31);
    const int64_t half = right > 0 ? (int64_t)1 << (right - 1) : 0;
    return (int32_t)((high + half - (high < 0 && right > 0)) >> right);
}

static void my_fully_connected(const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output,
                               int32_t batches, int32_t depth, int32_t channels, int32_t input_offset,
                               int32_t weights_offset, int32_t output_offset, const int32_t *multiplier,
                               const int32_t *shift, int32_t lo, int32_t hi) {
    int32_t b, channel, k;
    for (b = 0; b < batches; b++)
        for (channel = 0; channel < channels; channel++) {
            int32_t acc = bias != NULL ? bias[channel] : 0;
            for (k = 0; k < depth; k++)
                acc += (input[b * depth + k] + input_offset) * (weights[channel * depth + k] + weights_offset);
            acc = scaled(acc, multiplier[channel], shift[channel]) + output_offset;
            output[b * channels + channel] = (int8_t)(acc < lo ? lo : acc > hi ? hi : acc);
        }
}

/* ---- the adapter -------------------------------------------------------------------------------------------------- */

int refengine_kernel(const struct refengine_case *c) {
    if (!refengine_is(c, "FULLY_CONNECTED", "int8")) return REFENGINE_UNSUPPORTED;
    const struct refengine_tensor *input = &c->inputs[0], *weights = &c->inputs[1], *output = &c->outputs[0];
    const int32_t *bias = c->n_inputs > 2 ? (const int32_t *)c->inputs[2].data : NULL;
    const int32_t channels = weights->dims[0], depth = weights->dims[1];
    my_fully_connected((const int8_t *)input->data, (const int8_t *)weights->data, bias, (int8_t *)output->data,
                       refengine_elements(output) / channels, depth, channels, refengine_int(c, "input_offset"),
                       refengine_int(c, "weights_offset"), refengine_int(c, "output_offset"),
                       refengine_ints(c, "output_multiplier", NULL), refengine_ints(c, "output_shift", NULL),
                       refengine_int(c, "quantized_activation_min"), refengine_int(c, "quantized_activation_max"));
    return REFENGINE_COMPUTED;
}
