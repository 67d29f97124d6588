#include "app.h"

#include "board.h"

void app_start(void) {
  link_start();
  console_start();
}

void app_poll(void) {
  const int from_person = board_get(CONSOLE);
  if (from_person >= 0) {
    console_receive((uint8_t)from_person);
  }
  const int from_host = board_get(LINK);
  if (from_host >= 0) {
    link_receive((uint8_t)from_host);
  }
}
