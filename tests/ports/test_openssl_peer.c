/* The TLS transport by itself, against OpenSSL as a server that a test can steer: the contract of
   transports, and what servers do that redis-server does not. */
#define SMARTCACHE_OPENSSL_IMPLEMENTATION
#include "smartcache_openssl.h"

#include "openssl_peer.h"
#include "wait.h"

#include <signal.h>

#define assert_text_has(part)                                                                      \
    do {                                                                                           \
        if (!strstr(sc_error_text(), part))                                                        \
            fail_msg("\"%s\" does not say \"%s\"", sc_error_text(), part);                         \
    } while (0)

static certificates all;
static sc_memory plain_memory;
static sc_openssl *tls;
static sc_transport transport; /* of `tls` */

static void *plain_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    (void)user;
    (void)old_size;
    if (new_size > 0)
        return realloc(block, new_size);
    free(block);
    return NULL;
}

/* --- a connection between the transport and a peer */

typedef struct ends {
    port_transport_subject subject;
    tls_peers peers;
    SSL_CTX *context; /* of the server */
    void *listener;
    sc_address address; /* its */
    tls_peer *peer;
    void *stream;
    sc_status status; /* of progress */
} ends;

static void ends_init(ends *self)
{
    memset(self, 0, sizeof *self);
    self->context = tls_peers_context(&all.server);
    tls_peers_init(&self->peers, self->context, &self->subject);
}

/* Until both are connected, or the transport has failed. */
static void ends_connect(ends *self)
{
    unsigned interest = 0;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    if (!self->listener)
        self->listener = tls_peer_listen(&self->peers, false, &self->address);
    assert_non_null(self->listener);
    self->status =
        transport.dial(transport.user, &plain_memory, &self->address, "localhost", &self->stream);
    assert_int_equal(self->status, SC_OK);
    do {
        assert_true(wait_now_ms() < end_ms);
        self->status = transport.progress(self->stream, &interest);
        if (!self->peer)
            self->peer = (tls_peer *)tls_peer_accept(self->listener);
        if (self->status == SC_AGAIN)
            wait_a_moment();
    } while (self->status == SC_AGAIN || (self->status == SC_OK && !self->peer));
}

static void ends_open(ends *self)
{
    ends_init(self);
    ends_connect(self);
    if (self->status != SC_OK)
        fail_msg("no connection: %s", sc_error_text());
}

static void ends_disconnect(ends *self)
{
    if (self->stream)
        transport.hangup(self->stream, true);
    self->stream = NULL;
    if (self->peer)
        tls_peer_close(self->peer);
    self->peer = NULL;
}

static void ends_close(ends *self)
{
    ends_disconnect(self);
    tls_peer_unlisten(self->listener);
    SSL_CTX_free(self->context);
}

static void ends_transmit(ends *self, const char *text)
{
    size_t sent = 0;
    assert_int_equal(transport.transmit(self->stream, text, strlen(text), &sent), SC_OK);
    assert_int_equal(sent, strlen(text));
}

/* The peer gets exactly this, while the stream receives nothing. */
static void ends_expect_at_peer(ends *self, const char *text)
{
    char got[64];
    size_t len = 0;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while (len < strlen(text)) {
        size_t received = 0;
        long count = tls_peer_receive(self->peer, got + len, sizeof got - len);
        assert_true(count >= 0 && wait_now_ms() < end_ms);
        len += (size_t)count;
        if (count == 0)
            assert_int_equal(transport.receive(self->stream, got + len, 1, &received), SC_AGAIN);
        if (count == 0)
            wait_a_moment();
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

static sc_status ends_receive(ends *self, char *got, size_t cap, size_t *received)
{
    sc_status status;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    while ((status = transport.receive(self->stream, got, cap, received)) == SC_AGAIN) {
        assert_true(wait_now_ms() < end_ms);
        tls_peer_send_out(self->peer);
        wait_a_moment();
    }
    return status;
}

static void ends_expect(ends *self, const char *text)
{
    char got[64];
    size_t len = 0;
    while (len < strlen(text)) {
        size_t received = 0;
        assert_int_equal(ends_receive(self, got + len, sizeof got - len, &received), SC_OK);
        len += received;
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

static void ends_greet(ends *self)
{
    ends_transmit(self, "question");
    ends_expect_at_peer(self, "question");
    assert_int_equal(tls_peer_send(self->peer, "answer", 6), 6);
    ends_expect(self, "answer");
}

/* --- how connections end */

static void a_close_notify_is_an_orderly_end(void **state)
{
    ends self;
    char got[8];
    size_t received;
    (void)state;
    ends_open(&self);
    ends_greet(&self);
    SSL_shutdown(self.peer->ssl);
    assert_int_equal(ends_receive(&self, got, sizeof got, &received), SC_END);
    ends_close(&self);
}

static void an_end_without_close_notify_is_a_loss(void **state)
{
    ends self;
    char got[8];
    size_t received;
    (void)state;
    ends_open(&self);
    ends_greet(&self);
    self.peers.below.peer_close(self.peer->peer);
    assert_int_equal(ends_receive(&self, got, sizeof got, &received), SC_ERR_DISCONNECTED);
    assert_text_has("without close_notify");
    tls_peer_free(self.peer);
    self.peer = NULL;
    ends_close(&self);
}

static void a_hangup_sends_close_notify_once(void **state)
{
    ends self;
    char got[8];
    long count;
    (void)state;
    ends_open(&self);
    ends_greet(&self);
    transport.hangup(self.stream, true);
    self.stream = NULL;
    WAIT_UNTIL((count = tls_peer_receive(self.peer, got, sizeof got)) != PORT_PEER_NOT_NOW);
    assert_int_equal(count, PORT_PEER_END);
    assert_false(tls_peer_take_in(self.peer));
    ends_close(&self);
}

static void a_hangup_that_is_not_orderly_sends_nothing(void **state)
{
    ends self;
    char got[8];
    long count;
    (void)state;
    ends_open(&self);
    ends_greet(&self);
    transport.hangup(self.stream, false); /* closes the socket, since nobody else has it */
    self.stream = NULL;
    WAIT_UNTIL((count = tls_peer_receive(self.peer, got, sizeof got)) != PORT_PEER_NOT_NOW);
    assert_int_equal(count, PORT_PEER_FAILED);
    ends_close(&self);
}

/* --- the stream between */

static void a_second_record_that_came_with_the_first_is_pending(void **state)
{
    ends self;
    char got[64];
    size_t received = 0;
    (void)state;
    ends_open(&self);
    ends_greet(&self);
    self.peer->may_send = 0;
    assert_true(SSL_write(self.peer->ssl, "first", 5) == 5);
    assert_true(SSL_write(self.peer->ssl, "second", 6) == 6);
    self.peer->may_send = SIZE_MAX;
    tls_peer_send_out(self.peer);
    assert_int_equal(ends_receive(&self, got, sizeof got, &received), SC_OK);
    assert_int_equal(received, 5);
    assert_true(transport.pending(self.stream));
    assert_int_equal(transport.receive(self.stream, got, sizeof got, &received), SC_OK);
    assert_memory_equal(got, "second", 6);
    assert_false(transport.pending(self.stream));
    ends_close(&self);
}

static char numbered(size_t at)
{
    return (char)(at * 7 + at / 1021);
}

/* What has come to the peer is right; returns how much it was. */
static size_t ends_check_numbered(ends *self, size_t from)
{
    static char got[64 * 1024];
    size_t i;
    long count = tls_peer_receive(self->peer, got, sizeof got);
    assert_true(count >= 0);
    for (i = 0; i < (size_t)count; i++)
        if (got[i] != numbered(from + i))
            fail_msg("byte %zu is wrong", from + i);
    return (size_t)count;
}

/* Offer bytes from `total` on; true when some, which are counted, or none could be taken. */
static bool ends_offer_numbered(ends *self, size_t len, size_t *total)
{
    static char bytes[256 * 1024];
    size_t sent = 0;
    size_t i;
    for (i = 0; i < len; i++)
        bytes[i] = numbered(*total + i);
    if (transport.transmit(self->stream, bytes, len, &sent) != SC_OK)
        return false;
    assert_true(sent > 0 && sent <= len);
    *total += sent;
    return true;
}

/* After SC_AGAIN the same bytes are offered again, but perhaps fewer. */
static void a_sender_that_was_stopped_may_go_on_in_small_steps(void **state)
{
    ends self;
    size_t total = 0;
    size_t back = 0;
    size_t enough;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    ends_open(&self);
    while (ends_offer_numbered(&self, (size_t)256 * 1024, &total))
        continue;
    enough = total + (size_t)80 * 1024; /* more than is encrypted at once */
    while (total < enough || back < total) {
        assert_true(wait_now_ms() < end_ms);
        back += ends_check_numbered(&self, back);
        if (total < enough)
            (void)ends_offer_numbered(&self, 100, &total);
    }
    assert_int_equal(back, total);
    ends_close(&self);
}

/* --- servers of other kinds */

static void a_server_below_tls_1_2_is_refused(void **state)
{
    ends self;
    (void)state;
    ends_init(&self);
    SSL_CTX_set_cipher_list(self.context, "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(self.context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(self.context, TLS1_1_VERSION);
    ends_connect(&self);
    assert_int_equal(self.status, SC_ERR_CONNECT);
    assert_text_has("protocol version");
    ends_close(&self);
}

static void a_server_learns_why_its_certificate_was_refused(void **state)
{
    ends self;
    char got[8];
    (void)state;
    ends_init(&self);
    SSL_CTX_free(self.context);
    self.context = self.peers.context = tls_peers_context(&all.expired);
    ends_connect(&self);
    assert_int_equal(self.status, SC_ERR_CONNECT);
    transport.hangup(self.stream, true);
    self.stream = NULL;
    if (!self.peer) {
        tls_listener *listener = (tls_listener *)self.listener;
        assert_non_null(listener->next);
        while (tls_peer_take_in(listener->next))
            continue;
        ERR_clear_error();
        assert_true(SSL_do_handshake(listener->next->ssl) <= 0);
    } else {
        assert_int_equal(tls_peer_receive(self.peer, got, sizeof got), PORT_PEER_FAILED);
    }
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED);
    ends_close(&self);
}

static void keys_are_renewed_on_the_way(void **state)
{
    ends self;
    int round;
    (void)state;
    ends_open(&self);
    for (round = 0; round < 20; round++) {
        assert_int_equal(SSL_key_update(self.peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        ends_greet(&self);
    }
    ends_close(&self);
}

static void renegotiation_is_refused(void **state)
{
    ends self;
    char got[8];
    size_t received;
    sc_status status = SC_AGAIN;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    int returned;
    (void)state;
    ends_init(&self);
    SSL_CTX_set_max_proto_version(self.context, TLS1_2_VERSION);
    ends_connect(&self);
    assert_int_equal(self.status, SC_OK);
    ends_greet(&self);
    assert_int_equal(SSL_renegotiate(self.peer->ssl), 1);
    (void)SSL_do_handshake(self.peer->ssl);
    tls_peer_send_out(self.peer);
    do { /* its request arrives, and the answer is "no_renegotiation" */
        assert_true(wait_now_ms() < end_ms);
        status = transport.receive(self.stream, got, sizeof got, &received);
        (void)tls_peer_take_in(self.peer);
        ERR_clear_error();
        returned = SSL_read(self.peer->ssl, got, sizeof got);
        wait_a_moment();
    } while (status == SC_AGAIN && SSL_get_error(self.peer->ssl, returned) == SSL_ERROR_WANT_READ);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ends_close(&self);
}

static void each_ticket_of_tls_1_3_is_used_once(void **state)
{
    ends self;
    int round;
    (void)state;
    ends_init(&self);
    SSL_CTX_set_num_tickets(self.context, 2);
    for (round = 0; round < 4; round++) {
        ends_connect(&self);
        ends_greet(&self);
        assert_int_equal(SSL_session_reused(self.peer->ssl), round == 1 || round == 2);
        ends_disconnect(&self);
        SSL_CTX_set_num_tickets(self.context, 0);
    }
    ends_close(&self);
}

/* --- in the middle of a ticket */

#define LARGE_TICKET_BYTES 4000
#define SMALL_RECORD_BYTES 512

static int fill_ticket(SSL *ssl, void *user)
{
    static char filling[LARGE_TICKET_BYTES];
    (void)user;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling, sizeof filling);
}

static SSL_TICKET_RETURN take_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                     size_t name_len, SSL_TICKET_STATUS status, void *user)
{
    (void)ssl;
    (void)session;
    (void)name;
    (void)name_len;
    (void)user;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE;
}

/* Connected, with a ticket of many records of which a part has come. */
static void ends_open_mid_ticket(ends *self)
{
    char got[8];
    size_t received;
    ends_init(self);
    SSL_CTX_set_session_ticket_cb(self->context, fill_ticket, take_ticket, NULL);
    SSL_CTX_set_num_tickets(self->context, 0); /* none before the test asks for it */
    ends_connect(self);
    assert_int_equal(self->status, SC_OK);
    ends_greet(self);
    SSL_set_max_send_fragment(self->peer->ssl, SMALL_RECORD_BYTES);
    self->peer->may_send = 3 * SMALL_RECORD_BYTES;
    assert_int_equal(SSL_new_session_ticket(self->peer->ssl), 1);
    assert_int_equal(SSL_do_handshake(self->peer->ssl), 1);
    tls_peer_send_out(self->peer);
    assert_int_equal(self->peer->may_send, 0);
    assert_true(self->peer->out_len > 0);
    WAIT_UNTIL(transport.receive(self->stream, got, sizeof got, &received) == SC_AGAIN &&
               SSL_in_init(((sci_openssl_stream *)self->stream)->ssl));
}

static void what_is_sent_in_the_middle_of_a_ticket_goes_out_when_the_rest_has_come(void **state)
{
    ends self;
    char got[64];
    size_t received;
    (void)state;
    ends_open_mid_ticket(&self);
    ends_transmit(&self, "one ");
    ends_transmit(&self, "two ");
    assert_int_equal(tls_peer_receive(self.peer, got, sizeof got), PORT_PEER_NOT_NOW);
    assert_int_equal(transport.receive(self.stream, got, sizeof got, &received), SC_AGAIN);
    self.peer->may_send = SIZE_MAX;
    tls_peer_send_out(self.peer);
    ends_expect_at_peer(&self, "one two ");
    ends_transmit(&self, "three");
    ends_expect_at_peer(&self, "three");
    ends_greet(&self);
    ends_close(&self);
}

static void what_is_held_in_the_middle_of_a_ticket_is_bounded(void **state)
{
    static char megabyte[1024 * 1024];
    ends self;
    size_t sent = 0;
    size_t total = 0;
    size_t back = 0;
    sc_status status;
    int64_t end_ms = wait_now_ms() + WAIT_WATCHDOG_MS;
    (void)state;
    ends_open_mid_ticket(&self);
    while ((status = transport.transmit(self.stream, megabyte, sizeof megabyte, &sent)) == SC_OK)
        total += sent;
    assert_int_equal(status, SC_AGAIN);
    assert_true(total >= sizeof megabyte && total <= 2 * sizeof megabyte);
    self.peer->may_send = SIZE_MAX;
    tls_peer_send_out(self.peer);
    while (back < total) {
        long count = tls_peer_receive(self.peer, megabyte, sizeof megabyte);
        size_t received;
        char got[1];
        assert_true(count >= 0 && wait_now_ms() < end_ms);
        back += (size_t)count;
        assert_int_equal(transport.receive(self.stream, got, sizeof got, &received), SC_AGAIN);
    }
    assert_int_equal(back, total);
    ends_close(&self);
}

/* --- the contract */

/* An inner transport of a few bytes at a time. */

#define PIECE_BYTES 13

static sc_transport whole;

static size_t piece_of(size_t len)
{
    return len < PIECE_BYTES ? len : PIECE_BYTES;
}

static sc_status piece_transmit(void *stream, const void *data, size_t len, size_t *sent)
{
    return whole.transmit(stream, data, piece_of(len), sent);
}

static sc_status piece_receive(void *stream, void *buffer, size_t cap, size_t *received)
{
    return whole.receive(stream, buffer, piece_of(cap), received);
}

static sc_status piece_receive_soon(void *stream, void *buffer, size_t cap, size_t *received)
{
    return whole.receive_soon(stream, buffer, piece_of(cap), received);
}

static int conform(const char *name, const sc_transport *inner, size_t bulk_bytes,
                   int most_recent_version)
{
    port_transport_subject subject;
    tls_peers peers;
    sc_openssl_options options;
    sc_openssl *own = NULL;
    SSL_CTX *context = tls_peers_context(&all.server);
    int failed;
    SSL_CTX_set_max_proto_version(context, most_recent_version);
    memset(&options, 0, sizeof options);
    options.ca_file = all.authority.cert_file;
    options.transport = inner;
    if (sc_openssl_create(&options, &own) != SC_OK)
        return 1;
    memset(&subject, 0, sizeof subject);
    subject.name = name;
    sc_openssl_transport(own, &subject.transport);
    sc_platform_poller(&subject.poller);
    tls_peers_init(&peers, context, &subject);
    subject.bulk_bytes = bulk_bytes;
    subject.has_threads = true;
    subject.can_fork = true;
    subject.counts_descriptors = true;
    failed = port_conformance_transport(&subject);
    sc_openssl_free(own);
    SSL_CTX_free(context);
    return failed;
}

static int setup(void **state)
{
    sc_openssl_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.ca_file = all.authority.cert_file;
    plain_memory.resize = plain_resize;
    if (sc_openssl_create(&options, &tls) != SC_OK)
        return -1;
    sc_openssl_transport(tls, &transport);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sc_openssl_free(tls);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_notify_is_an_orderly_end),
        cmocka_unit_test(an_end_without_close_notify_is_a_loss),
        cmocka_unit_test(a_hangup_sends_close_notify_once),
        cmocka_unit_test(a_hangup_that_is_not_orderly_sends_nothing),
        cmocka_unit_test(a_second_record_that_came_with_the_first_is_pending),
        cmocka_unit_test(a_sender_that_was_stopped_may_go_on_in_small_steps),
        cmocka_unit_test(a_server_below_tls_1_2_is_refused),
        cmocka_unit_test(a_server_learns_why_its_certificate_was_refused),
        cmocka_unit_test(keys_are_renewed_on_the_way),
        cmocka_unit_test(renegotiation_is_refused),
        cmocka_unit_test(each_ticket_of_tls_1_3_is_used_once),
        cmocka_unit_test(what_is_sent_in_the_middle_of_a_ticket_goes_out_when_the_rest_has_come),
        cmocka_unit_test(what_is_held_in_the_middle_of_a_ticket_is_bounded),
    };
    sc_transport pieces;
    int failed;
    certificates_make(&all);
    sc_platform_transport(&whole);
    pieces = whole;
    pieces.transmit = piece_transmit;
    pieces.receive = piece_receive;
    pieces.receive_soon = piece_receive_soon;
    failed = cmocka_run_group_tests_name("TLS against a peer", tests, setup, teardown);
    failed += conform("TLS 1.3 over TCP", NULL, 0, TLS1_3_VERSION);
    failed += conform("TLS 1.2 over TCP", NULL, 0, TLS1_2_VERSION);
    failed += conform("TLS over a transport of small pieces", &pieces, 16 * 1024, TLS1_3_VERSION);
    certificates_free(&all);
    return failed;
}
