# Arm MPS2+ with the AN500 image, QEMU's mps2-an500: Cortex-M7 with double precision FPU.
NUMERICS := cortex-m7
TICKS_PER_SECOND := 25000000
CPU := -mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-d16
SOURCES := boards/mps2/start.c boards/mps2/board.c
LINKER_SCRIPT := boards/mps2/link.ld
QEMU := qemu-system-arm -machine mps2-an500 -icount shift=6 -semihosting-config enable=on,target=native
