# QEMU's RISC-V machine virt with a core like those of an ESP32-P4: 32 bits, with single precision floats.
NUMERICS := rv32imafc
TICKS_PER_SECOND := 10000000
CROSS := riscv64-unknown-elf-
CPU := -march=rv32imafc -mabi=ilp32f -mcmodel=medany --specs=picolibc.specs
SOURCES := boards/riscv-virt/start.c boards/riscv-virt/board.c
LINKER_SCRIPT := boards/riscv-virt/link.ld
QEMU := qemu-system-riscv32 -machine virt -bios none -cpu rv32,d=off -icount shift=6
UART1 := -device pci-serial,addr=1,chardev=link
