# Flash and RAM of an image, section by section: sh size.sh arm-none-eabi-size image.elf
"$1" -A "$2" | awk '
  $1 ~ /^\.(vectors|text|rodata|ARM\.exidx|init_array|data|bss|stack)$/ && $2 {
    flash = $1 !~ /bss|stack/; ram = $1 ~ /data$|bss|stack/ && $1 != ".rodata"
    printf "  %-14s %10d  %s\n", $1, $2, flash && ram ? "flash, copied to RAM" : flash ? "flash" : "RAM"
    in_flash += flash * $2; in_ram += ram * $2
  }
  END {
    printf "  flash          %10d  (STM32F746 article, TFLM and its network, image: 542700)\n", in_flash
    printf "  RAM            %10d  (the same, tensors alone: 151312)\n", in_ram
  }'
