/* The C library's expf and tanhf over arrays: what tools/libm_exhaustive.py compares refengine with.
 *
 * For the host, a shared library. For a Cortex-M under QEMU, a bare-metal program that reads float32 values from the
 * file "x" and writes expf, tanhf and (int32_t) of them to the file "y", both through semihosting.
 */
#include <math.h>
#include <stdint.h>

void apply_exp(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = expf(x[i]); }
void apply_tanh(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = tanhf(x[i]); }
void apply_int32(const float *x, int32_t *y, int n) { for (int i = 0; i < n; i++) y[i] = (int32_t)x[i]; }

#ifdef __arm__

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18, READ_BINARY = 1, WRITE_BINARY = 5 };

static int semihost(int operation, const void *arguments) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int open_file(const char *name, int mode) { return semihost(SYS_OPEN, (const void *[]){name, (void *)mode, (void *)1}); }

static void run(void) {
  static float x[16384], y[16384];
  int in = open_file("x", READ_BINARY), out = open_file("y", WRITE_BINARY), left;
  do {
    left = semihost(SYS_READ, (const void *[]){(void *)in, x, (void *)sizeof x});  /* bytes NOT read */
    int n = (sizeof x - left) / sizeof *x;
    apply_exp(x, y, n);
    semihost(SYS_WRITE, (const void *[]){(void *)out, y, (void *)(n * sizeof *y)});
    apply_tanh(x, y, n);
    semihost(SYS_WRITE, (const void *[]){(void *)out, y, (void *)(n * sizeof *y)});
    apply_int32(x, (int32_t *)y, n);
    semihost(SYS_WRITE, (const void *[]){(void *)out, y, (void *)(n * sizeof *y)});
  } while (left == 0);
  semihost(SYS_EXIT, (void *)0x20026);  /* ADP_Stopped_ApplicationExit */
}

static void reset(void) {
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;  /* CPACR: full access to the FPU */
  __asm__ volatile("dsb\n isb");
#endif
  run();
}

__attribute__((section(".isr_vector"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))0x00400000, reset};

#endif
