# Arm MPS2+ with the AN385 image, QEMU's mps2-an385: Cortex-M3 without FPU.
NUMERICS := cortex-m3
TICKS_PER_SECOND := 25000000
CPU := -mcpu=cortex-m3 -mthumb -mfloat-abi=soft
SOURCES := boards/mps2/start.c boards/mps2/board.c
LINKER_SCRIPT := boards/mps2/link.ld
QEMU := qemu-system-arm -machine mps2-an385 -icount shift=6 -semihosting-config enable=on,target=native
