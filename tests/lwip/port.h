#pragma once
/* The port as a program has it, and as a smaller lwIP would have it. */

#include "smartcache_lwip.h"

/* On lwip_select, without loopback to be woken by, without LWIP_SO_RCVTIMEO and DNS. */
void port_small_transport(sc_transport *table);
void port_small_poller(sc_poller *table);
void port_small_resolver(sc_resolver *table);
