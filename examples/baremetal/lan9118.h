#pragma once
/* Microchip LAN9118 (and 9115 to 9218, 9220): Ethernet by two FIFOs in memory. Nothing blocks for
   longer than said; no interrupt is used but to end a sleep. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest Ethernet frame without its check sum. */
enum { LAN9118_FRAME_BYTES = 1514 };

/* Reset the controller and begin to negotiate with the other end of the cable. NULL, and `mac` has
   the address that the controller found in its EEPROM; or the words of what went wrong. Waits for
   up to 100 ms. */
const char *lan9118_start(uint8_t mac[6]);
/* Ask the PHY; follows what it has negotiated. */
bool lan9118_link_is_up(void);
/* Send a frame of up to LAN9118_FRAME_BYTES. Waits for room, for up to 10 ms; false when there came
   none. */
bool lan9118_transmit(const void *frame, size_t len);
/* The length of the next frame that came in, put into `frame`; 0 when there is none. Damaged ones
   are dropped. `frame` is aligned to 4 bytes and has room for LAN9118_FRAME_BYTES and 6 more. */
size_t lan9118_receive(void *frame);
/* No frame waits. Any time, also with interrupts held back. */
bool lan9118_is_idle(void);
