# QEMU's RISC-V machine virt with a core like that of an ESP32-C3: 32 bits, integers only.
NUMERICS := rv32imc
TICKS_PER_SECOND := 10000000
CROSS := riscv64-unknown-elf-
CPU := -march=rv32imc -mabi=ilp32 -mcmodel=medany --specs=picolibc.specs
SOURCES := boards/riscv-virt/start.c boards/riscv-virt/board.c
LINKER_SCRIPT := boards/riscv-virt/link.ld
QEMU := qemu-system-riscv32 -machine virt -bios none -cpu rv32,f=off,d=off,a=off -icount shift=6
UART1 := -device pci-serial,addr=1,chardev=link
