# Arm MPS3 with the AN547 image, QEMU's mps3-an547: Cortex-M55 with Helium and double precision FPU.
# newlib built for it computes expf, tanhf … as that for a Cortex-M7 with double precision does (tools/libm_exhaustive.py).
NUMERICS := cortex-m7
TICKS_PER_SECOND := 32000000
CPU := -mcpu=cortex-m55 -mthumb -mfloat-abi=hard
SOURCES := boards/mps2/start.c boards/mps3/board.c
LINKER_SCRIPT := boards/mps3/link.ld
QEMU := qemu-system-arm -machine mps3-an547 -icount shift=6 -semihosting-config enable=on,target=native
