/* Microchip LAN9118, after its data sheet (DS00002266B). */

#include "lan9118.h"
#include "board.h"

#include <string.h>

#define BASE 0x40200000u
#define REGISTER(offset) (*(volatile uint32_t *)(BASE + (offset)))

/* Chapters 5.2 and 5.3: the FIFOs, and what the processor reaches directly. */
#define RX_DATA_FIFO REGISTER(0x00)
#define TX_DATA_FIFO REGISTER(0x20)
#define RX_STATUS_FIFO REGISTER(0x40)
#define TX_STATUS_FIFO REGISTER(0x48)
#define IRQ_CFG REGISTER(0x54)
#define INT_STS REGISTER(0x58)
#define INT_EN REGISTER(0x5c)
#define BYTE_TEST REGISTER(0x64)
#define FIFO_INT REGISTER(0x68)
#define RX_CFG REGISTER(0x6c)
#define TX_CFG REGISTER(0x70)
#define HW_CFG REGISTER(0x74)
#define RX_FIFO_INF REGISTER(0x7c)
#define TX_FIFO_INF REGISTER(0x80)
#define PMT_CTRL REGISTER(0x84)
#define MAC_CSR_CMD REGISTER(0xa4)
#define MAC_CSR_DATA REGISTER(0xa8)

#define BYTE_TEST_VALUE 0x87654321u
#define IRQ_CFG_ACTIVE_HIGH 0x111u /* enabled, polarity high, push-pull */
#define INT_RX_STATUS_LEVEL 0x8u
#define TX_CFG_ON 0x2u
#define HW_CFG_SOFT_RESET 0x1u
#define HW_CFG_FIFOS 0x00150000u /* "must be one", and 5 KB for sending */
#define PMT_CTRL_READY 0x1u
#define PMT_CTRL_ASLEEP 0x3000u
#define CSR_BUSY 0x80000000u
#define CSR_FETCH 0x40000000u

/* Chapter 5.4: registers of the MAC. */
enum { MAC_CONTROL = 1, MAC_ADDRESS_HIGH = 2, MAC_ADDRESS_LOW = 3, MAC_MII = 6, MAC_MII_DATA = 7 };
#define MAC_CONTROL_ON 0x0000000cu /* transmitter and receiver */
#define MAC_CONTROL_FULL_DUPLEX 0x00100000u
#define MII_BUSY 0x1u
#define MII_PUT 0x2u
#define MII_ADDRESS (1u << 11) /* the PHY inside */

/* Chapter 5.5: registers of the PHY, those that every PHY has (IEEE 802.3, clause 22). */
enum { PHY_CONTROL = 0, PHY_STATUS = 1, PHY_OFFERED = 4, PHY_OFFERED_TO_US = 5 };
#define PHY_CONTROL_NEGOTIATE 0x1200u /* enable and restart */
#define PHY_STATUS_LINK 0x4u
#define PHY_100_FULL_DUPLEX 0x100u
#define PHY_100_HALF_DUPLEX 0x80u
#define PHY_10_FULL_DUPLEX 0x40u

/* Chapters 3.12 and 3.13: words before a frame that is sent, words about frames. */
#define TX_WHOLE_FRAME 0x3000u /* first and last segment in one */
#define RX_STATUS_ERROR 0x8000u
#define RX_STATUS_LEN(status) ((status) >> 16 & 0x3fffu)
#define FIFO_STATUS_WORDS(information) ((information) >> 16 & 0xffu)
#define FIFO_FREE_BYTES(information) ((information)&0xffffu)

enum { START_MS = 100, ROOM_MS = 10, SETTLE_READS = 4, CHECK_SUM_BYTES = 4, COMMAND_BYTES = 8 };

/* A register shows what an access just before it has changed only after a while, which the tables
   6.1 and 6.2 give in reads of BYTE_TEST. This many are enough for all. */
static uint32_t settled(volatile uint32_t *word)
{
    for (int i = 0; i < SETTLE_READS; i++)
        (void)BYTE_TEST;
    return *word;
}

/* A register access that the controller carries out by itself takes microseconds. */
static bool wait_until_clear(volatile uint32_t *word, uint32_t bits)
{
    int64_t deadline_ns = board_monotonic_ns() + START_MS * 1000000ll;
    while (settled(word) & bits)
        if (board_monotonic_ns() > deadline_ns)
            return false;
    return true;
}

static uint32_t mac_get(unsigned index)
{
    MAC_CSR_CMD = CSR_BUSY | CSR_FETCH | index;
    return wait_until_clear(&MAC_CSR_CMD, CSR_BUSY) ? MAC_CSR_DATA : 0;
}

static void mac_set(unsigned index, uint32_t value)
{
    MAC_CSR_DATA = value;
    MAC_CSR_CMD = CSR_BUSY | index;
    (void)wait_until_clear(&MAC_CSR_CMD, CSR_BUSY);
}

static void phy_wait(void)
{
    int64_t deadline_ns = board_monotonic_ns() + START_MS * 1000000ll;
    while (mac_get(MAC_MII) & MII_BUSY)
        if (board_monotonic_ns() > deadline_ns)
            return;
}

static uint32_t phy_get(unsigned index)
{
    mac_set(MAC_MII, MII_ADDRESS | index << 6 | MII_BUSY);
    phy_wait();
    return mac_get(MAC_MII_DATA) & 0xffffu;
}

static void phy_set(unsigned index, uint32_t value)
{
    mac_set(MAC_MII_DATA, value);
    mac_set(MAC_MII, MII_ADDRESS | index << 6 | MII_PUT | MII_BUSY);
    phy_wait();
}

static bool wait_until_ready(void)
{
    int64_t deadline_ns = board_monotonic_ns() + START_MS * 1000000ll;
    while (!(PMT_CTRL & PMT_CTRL_READY))
        if (board_monotonic_ns() > deadline_ns)
            return false;
    return true;
}

const char *lan9118_start(uint8_t mac[6])
{
    if (PMT_CTRL & PMT_CTRL_ASLEEP)
        BYTE_TEST = 0; /* wakes it */
    if (!wait_until_ready())
        return "the network controller is not ready";
    if (BYTE_TEST != BYTE_TEST_VALUE)
        return "there is no network controller at 0x40200000";
    HW_CFG = HW_CFG_SOFT_RESET;
    if (!wait_until_clear(&HW_CFG, HW_CFG_SOFT_RESET) || !wait_until_ready())
        return "the network controller does not end its reset";
    HW_CFG = HW_CFG_FIFOS;

    uint32_t low = mac_get(MAC_ADDRESS_LOW);
    uint32_t high = mac_get(MAC_ADDRESS_HIGH);
    for (unsigned i = 0; i < 4; i++)
        mac[i] = (uint8_t)(low >> 8 * i);
    mac[4] = (uint8_t)high;
    mac[5] = (uint8_t)(high >> 8);
    if (mac[0] & 1u)
        return "the network controller's EEPROM holds no MAC address";

    phy_set(PHY_CONTROL, PHY_CONTROL_NEGOTIATE);
    RX_CFG = 0;
    TX_CFG = TX_CFG_ON;
    mac_set(MAC_CONTROL, MAC_CONTROL_ON);

    FIFO_INT = 0; /* one frame is enough to tell of */
    INT_STS = 0xffffffffu;
    INT_EN = INT_RX_STATUS_LEVEL;
    IRQ_CFG = IRQ_CFG_ACTIVE_HIGH;
    return NULL;
}

bool lan9118_link_is_up(void)
{
    /* The bit remembers that the link was lost until it is asked for. */
    (void)phy_get(PHY_STATUS);
    if (!(phy_get(PHY_STATUS) & PHY_STATUS_LINK))
        return false;
    /* The best that both offer. */
    uint32_t common = phy_get(PHY_OFFERED) & phy_get(PHY_OFFERED_TO_US);
    bool is_full = (common & PHY_100_FULL_DUPLEX) ||
                   (common & (PHY_100_HALF_DUPLEX | PHY_10_FULL_DUPLEX)) == PHY_10_FULL_DUPLEX;
    mac_set(MAC_CONTROL, MAC_CONTROL_ON | (is_full ? MAC_CONTROL_FULL_DUPLEX : 0));
    return true;
}

bool lan9118_transmit(const void *frame, size_t len)
{
    int64_t deadline_ns = board_monotonic_ns() + ROOM_MS * 1000000ll;
    while (FIFO_STATUS_WORDS(settled(&TX_FIFO_INF)))
        (void)TX_STATUS_FIFO;
    while (FIFO_FREE_BYTES(settled(&TX_FIFO_INF)) < len + COMMAND_BYTES + sizeof(uint32_t))
        if (board_monotonic_ns() > deadline_ns)
            return false;
    TX_DATA_FIFO = TX_WHOLE_FRAME | (uint32_t)len;
    TX_DATA_FIFO = (uint32_t)len;
    for (size_t done = 0; done < len; done += sizeof(uint32_t)) {
        uint32_t word = 0;
        memcpy(&word, (const char *)frame + done,
               len - done < sizeof word ? len - done : sizeof word);
        TX_DATA_FIFO = word;
    }
    return true;
}

bool lan9118_is_idle(void)
{
    return FIFO_STATUS_WORDS(settled(&RX_FIFO_INF)) == 0;
}

size_t lan9118_receive(void *frame)
{
    while (!lan9118_is_idle()) {
        uint32_t status = RX_STATUS_FIFO;
        size_t len = RX_STATUS_LEN(status);
        bool is_good = !(status & RX_STATUS_ERROR) && len > CHECK_SUM_BYTES &&
                       len <= LAN9118_FRAME_BYTES + CHECK_SUM_BYTES;
        uint32_t *word = (uint32_t *)frame;
        /* The FIFO holds whole words, the check sum included. */
        for (size_t done = 0; done < len; done += sizeof *word) {
            uint32_t value = RX_DATA_FIFO;
            if (is_good)
                *word++ = value;
        }
        INT_STS = INT_RX_STATUS_LEVEL;
        if (is_good)
            return len - CHECK_SUM_BYTES;
    }
    return 0;
}
