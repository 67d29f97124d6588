# A process on this computer: UART 1 is stdin and stdout, or UART 0 with CONSOLE=0 in the environment.
NUMERICS := tflm
TICKS_PER_SECOND := 1000000000
CPU :=
SOURCES := boards/host/board.c
LINKER_SCRIPT :=
RUN = CONSOLE=0 $(1)
