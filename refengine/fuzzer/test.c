/* A case that a kernel got wrong, found by `refengine fuzz`, as a test that stands alone:
 *
 *     cc -I. THIS.c ./libmykernels.so -o test && ./test
 *
 * Exit status: 0 the output is right, 1 it is not, 77 the kernel does not claim to compute this case. */
#include "refengine_fuzz.h"

#if defined(__GNUC__)
#define ALIGNED __attribute__((aligned(16)))
#else
#define ALIGNED
#endif

enum { GUARD = 64, GARBAGE = 0xA5 };

/* The data: operator, inputs, n_inputs, output, expected_bytes, EXPECTED_SIZE, numbers, n_numbers. */
#include "case.h"

ALIGNED static unsigned char memory[GUARD + EXPECTED_SIZE + GUARD];

static void print_element(const char *dtype, const void *data) {
    if (strcmp(dtype, "float32") == 0) printf("%.9g", *(const float *)data);
    else if (strcmp(dtype, "int64") == 0) printf("%lld", (long long)*(const int64_t *)data);
    else if (strcmp(dtype, "int32") == 0) printf("%ld", (long)*(const int32_t *)data);
    else if (strcmp(dtype, "int16") == 0) printf("%d", *(const int16_t *)data);
    else if (strcmp(dtype, "int8") == 0) printf("%d", *(const int8_t *)data);
    else printf("%d", *(const unsigned char *)data);
}

/* Whether two elements are the same: by their bits, but any NaN is any other. */
static int same(const char *dtype, const void *a, const void *b, size_t size) {
    if (memcmp(a, b, size) == 0) return 1;
    if (strcmp(dtype, "float32") != 0) return 0;
    return *(const float *)a != *(const float *)a && *(const float *)b != *(const float *)b;
}

int main(void) {
    const unsigned char *right = (const unsigned char *)expected;
    unsigned char *got = memory + GUARD;
    struct refengine_tensor filled = output;
    struct refengine_case c = {operator_name, n_inputs, 1, inputs, NULL, n_numbers, numbers};
    size_t i, size, different = 0, first = 0;
    int status;
    memset(memory, GARBAGE, sizeof memory);
    filled.data = got;
    c.outputs = &filled;
    status = refengine_kernel(&c);
    if (status == REFENGINE_UNSUPPORTED) {
        printf("%s: not supported\n", c.op);
        return 77;
    }
    if (status != REFENGINE_COMPUTED) {
        printf("%s: the kernel returned %d\n", c.op, status);
        return 1;
    }
    for (i = 0; i < GUARD; i++)
        if (memory[i] != GARBAGE || got[EXPECTED_SIZE + i] != GARBAGE) {
            printf("%s: the kernel wrote outside its output\n", c.op);
            return 1;
        }
    size = EXPECTED_SIZE / (size_t)refengine_elements(&filled);
    for (i = 0; i < EXPECTED_SIZE; i += size)
        if (!same(filled.dtype, got + i, right + i, size) && different++ == 0) first = i;
    if (different == 0) {
        printf("%s: right\n", c.op);
        return 0;
    }
    printf("%s: %lu of %lu elements differ, the first is element %lu: got ", c.op, (unsigned long)different,
           (unsigned long)(EXPECTED_SIZE / size), (unsigned long)(first / size));
    print_element(filled.dtype, got + first);
    printf(", expected ");
    print_element(filled.dtype, right + first);
    printf("\n");
    return 1;
}
