#pragma once
/* The network: lwIP on the board's Ethernet, with an address by DHCP. */

#include <stdbool.h>

/* Start everything and wait for an address. NULL, or the words of what went wrong: no cable, no
   DHCP server. Waits for up to 15 s. */
const char *network_start(void);
/* The address, as text. */
const char *network_address(void);
/* Do what the network has to do now: take in frames, answer, run lwIP's timers. Everything that
   waits calls it, sc_poll with a timeout and blocking calls included; a program that computes for
   long, or that calls sc_poll(client, 0) only, calls it itself, a few times a second at least. Does
   nothing when it is called from within. Never blocks. */
void network_poll(void);
/* Sleep until a frame comes, for at most 1 ms. */
void network_sleep(void);
