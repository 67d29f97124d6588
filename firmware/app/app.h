/* The application: whatever comes in on either line is handled at once. */
#ifndef APP_H
#define APP_H

#include <stdint.h>

/* After reset. */
void app_start(void);

/* Handle what has been received; to be called for ever. */
void app_poll(void);

/* console.c */
void console_start(void);
void console_receive(uint8_t byte);

/* link.c */
void link_start(void);
void link_receive(uint8_t byte);

#endif
