/* lwIP on the board's Ethernet. */

#include "network.h"
#include "board.h"
#include "lan9118.h"

#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/priv/tcpip_priv.h"
#include "lwip/tcpip.h"
#include "lwip/timeouts.h"
#include "netif/ethernet.h"

#include <string.h>

enum { LINK_S = 5, ADDRESS_S = 10 };

/* A frame on its way in or out; the controller wants words. */
typedef union frame_buffer {
    uint32_t align;
    char bytes[LAN9118_FRAME_BYTES + 6];
} frame_buffer;

static struct netif ethernet;
static bool is_started;
static const char *start_words; /* of what lan9118_start could not do */

static err_t send_frame(struct netif *netif, struct pbuf *packet)
{
    static frame_buffer frame;
    (void)netif;
    if (packet->tot_len > LAN9118_FRAME_BYTES)
        return ERR_BUF;
    (void)pbuf_copy_partial(packet, frame.bytes, packet->tot_len, 0);
    return lan9118_transmit(frame.bytes, packet->tot_len) ? ERR_OK : ERR_IF;
}

static err_t start_ethernet(struct netif *netif)
{
    netif->name[0] = 'e';
    netif->name[1] = 'n';
    netif->mtu = LAN9118_FRAME_BYTES - SIZEOF_ETH_HDR;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    netif->output = etharp_output;
    netif->linkoutput = send_frame;
    start_words = lan9118_start(netif->hwaddr);
    return start_words ? ERR_IF : ERR_OK;
}

/* A frame for which there is no memory is lost, as on any network; TCP sends it again. */
static void take_frames(void)
{
    static frame_buffer frame;
    for (size_t len; (len = lan9118_receive(frame.bytes)) > 0;) {
        struct pbuf *packet = pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_POOL);
        if (!packet)
            continue;
        (void)pbuf_take(packet, frame.bytes, (u16_t)len);
        if (ethernet.input(packet, &ethernet) != ERR_OK)
            (void)pbuf_free(packet);
    }
}

void network_poll(void)
{
    static bool is_running;
    if (!is_started || is_running || lock_tcpip_core.depth)
        return;
    is_running = true;
    while (tcpip_thread_poll_one())
        continue;
    LOCK_TCPIP_CORE();
    take_frames();
    sys_check_timeouts();
    UNLOCK_TCPIP_CORE();
    is_running = false;
}

void network_sleep(void)
{
    board_sleep(lan9118_is_idle);
}

static bool link_is_up(void)
{
    return lan9118_link_is_up();
}

static bool has_address(void)
{
    return dhcp_supplied_address(&ethernet) != 0;
}

static bool wait_for(bool (*is_done)(void), int seconds)
{
    int64_t deadline_ns = board_monotonic_ns() + seconds * 1000000000ll;
    while (!is_done()) {
        if (board_monotonic_ns() > deadline_ns)
            return false;
        network_poll();
        network_sleep();
    }
    return true;
}

const char *network_start(void)
{
    tcpip_init(NULL, NULL);
    LOCK_TCPIP_CORE();
    struct netif *added =
        netif_add(&ethernet, NULL, NULL, NULL, NULL, start_ethernet, ethernet_input);
    UNLOCK_TCPIP_CORE();
    if (!added)
        return start_words;
    is_started = true;
    board_wake_on_network();
    if (!wait_for(link_is_up, LINK_S))
        return "there is no link: is the network cable plugged in?";
    LOCK_TCPIP_CORE();
    netif_set_default(&ethernet);
    netif_set_link_up(&ethernet);
    netif_set_up(&ethernet);
    err_t error = dhcp_start(&ethernet);
    UNLOCK_TCPIP_CORE();
    if (error != ERR_OK)
        return "lwIP has no memory for DHCP: see MEM_SIZE in lwipopts.h";
    return wait_for(has_address, ADDRESS_S) ? NULL : "no DHCP server gave an address";
}

const char *network_address(void)
{
    return ip4addr_ntoa(netif_ip4_addr(&ethernet));
}
