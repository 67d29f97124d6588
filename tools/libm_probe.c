/* The C library's float functions over arrays: what tools/libm_exhaustive.py compares refengine with.
 *
 * A program that reads float32 values from the file "x" and writes, for each block of them, what every function makes
 * of it to the file "y". On a Cortex-M or RISC-V under QEMU it is bare metal, and the files are the host's by semihosting.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 16384 };

/* The exponent that goes with x: 2^24 values in [-8, 8), as good as random. */
static float exponent_for(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return ((int32_t)(bits * 0x9E3779B1u) >> 8) * 0x1p-20f;
}

static float power(float x) { return powf(x, exponent_for(x)); }
static float truncated(float x) {
  int32_t whole = (int32_t)x;
  memcpy(&x, &whole, sizeof x);
  return x;
}

static float (*const functions[])(float) = {FUNCTIONS};  /* defined on the compiler's command line */

static int read_block(float *x);
static void write_block(const float *y, int n);

__attribute__((noinline)) static void run(void) {  /* its registers are saved when the FPU is on */
  static float x[BLOCK], y[BLOCK];
  int n;
  while ((n = read_block(x)) > 0) {
    for (unsigned f = 0; f < sizeof functions / sizeof *functions; f++) {
      for (int i = 0; i < n; i++) y[i] = functions[f](x[i]);
      write_block(y, n);
    }
  }
}

#if defined(__arm__) || defined(__riscv)

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18, READ_BINARY = 1, WRITE_BINARY = 5 };
static int in, out;

#ifdef __riscv

static int semihost(int operation, const void *arguments) {
  register int a0 __asm__("a0") = operation;
  register const void *a1 __asm__("a1") = arguments;
  __asm__ volatile(".option push\n .option norvc\n .balign 16\n slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n .option pop"
                   : "+r"(a0) : "r"(a1) : "memory");
  return a0;
}

#else

static int semihost(int operation, const void *arguments) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

#endif

static int open_file(const char *name, int mode) { return semihost(SYS_OPEN, (const void *[]){name, (void *)mode, (void *)1}); }

static int read_block(float *x) {
  int left = semihost(SYS_READ, (const void *[]){(void *)in, x, (void *)(BLOCK * sizeof *x)});  /* bytes NOT read */
  return BLOCK - left / (int)sizeof *x;
}

static void write_block(const float *y, int n) {
  semihost(SYS_WRITE, (const void *[]){(void *)out, y, (void *)(n * sizeof *y)});
}

#ifdef __riscv
__attribute__((used))
#endif
static void reset(void) {
#ifdef __riscv_flen
  __asm__ volatile(".option arch, +zicsr\n csrs mstatus, %0\n fscsr zero" : : "r"(1 << 13));  /* FS: initial */
#endif
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;  /* CPACR: full access to the FPU */
  __asm__ volatile("dsb\n isb");
#endif
  in = open_file("x", READ_BINARY);
  out = open_file("y", WRITE_BINARY);
  run();
  semihost(SYS_EXIT, (void *)0x20026);  /* ADP_Stopped_ApplicationExit */
}

#ifdef __riscv

__attribute__((naked, section(".isr_vector"), used)) static void begin(void) {
  __asm__ volatile("li sp, 0x80800000\n j reset");
}

#else

#ifndef STACK
#define STACK 0x00400000
#endif

__attribute__((section(".isr_vector"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))STACK, reset};

#endif

#else

#include <stdio.h>
static FILE *in, *out;

static int read_block(float *x) { return (int)fread(x, sizeof *x, BLOCK, in); }
static void write_block(const float *y, int n) { fwrite(y, sizeof *y, n, out); }

int main(void) {
  in = fopen("x", "rb");
  out = fopen("y", "wb");
  if (in == NULL || out == NULL) return 1;
  run();
  return fclose(out) != 0;
}

#endif
