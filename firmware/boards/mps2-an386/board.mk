# Arm MPS2+ with the AN386 image, QEMU's mps2-an386: Cortex-M4 with single precision FPU.
NUMERICS := cortex-m4f
TICKS_PER_SECOND := 25000000
CPU := -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16
SOURCES := boards/mps2/start.c boards/mps2/board.c
LINKER_SCRIPT := boards/mps2/link.ld
QEMU := qemu-system-arm -machine mps2-an386 -icount shift=6 -semihosting-config enable=on,target=native
