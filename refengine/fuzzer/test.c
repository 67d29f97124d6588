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

/* What the kernel is to write: an output, or a variable that it updates. `undefined` marks elements that may be anything,
 * `memory` has guards around its `bytes`. */
struct result {
    struct refengine_tensor *tensor;
    unsigned char *memory;
    const void *expected;
    const unsigned char *undefined;
    size_t bytes, elements;
};

/* The data: operator_name, operator_type, inputs, n_inputs, outputs, n_outputs, numbers, n_numbers, results, begins. */
#include "case.h"

enum { n_results = sizeof results / sizeof results[0] };

ALIGNED static unsigned char scratch[1 << 16];

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

/* Hand the kernel garbage to write over, and variables as they were before. */
static void prepare(const struct result *r) {
    memset(r->memory, GARBAGE, GUARD + r->bytes + GUARD);
    if (r->tensor->data != NULL) memcpy(r->memory + GUARD, r->tensor->data, r->bytes);
    r->tensor->data = r->memory + GUARD;
    r->tensor->bytes = r->bytes;
}

/* Whether the kernel has written what it should, and nothing beside it; says so if not. */
static int is_right(const struct result *r) {
    const unsigned char *got = r->memory + GUARD, *right = (const unsigned char *)r->expected;
    const size_t size = r->elements > 0 ? r->bytes / r->elements : 0;
    size_t i, different = 0, first = 0;
    for (i = 0; i < GUARD; i++)
        if (r->memory[i] != GARBAGE || got[r->bytes + i] != GARBAGE) {
            printf("%s: the kernel wrote outside its output\n", operator_name);
            return 0;
        }
    for (i = 0; i < r->elements; i++)
        if (!(r->undefined != NULL && r->undefined[i]) && !same(r->tensor->dtype, got + i * size, right + i * size, size))
            if (different++ == 0) first = i;
    if (different == 0) return 1;
    printf("%s: ", operator_name);
    if (n_results > 1) printf("%s %d: ", r < results + n_outputs ? "output" : "variable", (int)(r - results));
    printf("%lu of %lu elements differ, the first is element %lu: got ", (unsigned long)different,
           (unsigned long)r->elements, (unsigned long)first);
    print_element(r->tensor->dtype, got + first * size);
    printf(", expected ");
    print_element(r->tensor->dtype, right + first * size);
    printf("\n");
    return 0;
}

int main(void) {
    struct refengine_scratch handed_out = {scratch, sizeof scratch, 0, {0}, {0}};
    const struct refengine_case c = {operator_name, operator_type, n_inputs, n_outputs, inputs, outputs, n_numbers, numbers,
                                     begins, NULL, 0, &handed_out};
    size_t i;
    int status;
    memset(scratch, GARBAGE, sizeof scratch);
    for (i = 0; i < n_results; i++) prepare(&results[i]);
    status = refengine_kernel(&c);
    if (status == REFENGINE_UNSUPPORTED) {
        printf("%s: not supported\n", c.op);
        return 77;
    }
    if (status != REFENGINE_COMPUTED) {
        printf("%s: the kernel returned %d\n", c.op, status);
        return 1;
    }
    for (i = 0; i < n_results; i++)
        if (!is_right(&results[i])) return 1;
    printf("%s: right\n", c.op);
    return 0;
}
