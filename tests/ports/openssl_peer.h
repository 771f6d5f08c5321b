#pragma once
/* The other end of TLS connections: OpenSSL as a server over a peer of port_conformance.h. Nothing
   here blocks; each call moves what can be moved. */

#include "openssl_certificates.h"
#include "port_conformance.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

typedef struct tls_peer {
    const port_transport_subject *below; /* the peers without TLS */
    void *peer;                          /* of these */
    SSL *ssl;
    char out[32 * 1024]; /* encrypted, to be sent */
    size_t out_len;
    size_t may_send; /* encrypted bytes that still may go out: a test holds back the rest */
    bool has_ended;  /* below */
} tls_peer;

typedef struct tls_listener {
    const port_transport_subject *below;
    void *listener;
    SSL_CTX *context; /* borrowed */
    tls_peer *next;   /* its handshake is under way */
} tls_listener;

/* What peers are made from: for port_transport_subject.user. */
typedef struct tls_peers {
    port_transport_subject below;
    SSL_CTX *context;
} tls_peers;

static inline void tls_peer_send_out(tls_peer *self)
{
    BIO *out = SSL_get_wbio(self->ssl);
    for (;;) {
        size_t len = self->out_len < self->may_send ? self->out_len : self->may_send;
        long sent;
        if (self->out_len == 0) {
            int count = BIO_read(out, self->out, (int)sizeof self->out);
            if (count <= 0)
                return;
            self->out_len = (size_t)count;
            continue;
        }
        sent = len > 0 ? self->below->peer_send(self->peer, self->out, len) : 0;
        if (sent <= 0)
            return;
        self->may_send -= (size_t)sent;
        self->out_len -= (size_t)sent;
        memmove(self->out, self->out + sent, self->out_len);
    }
}

/* False when nothing came. */
static inline bool tls_peer_take_in(tls_peer *self)
{
    char bytes[16 * 1024];
    long received = self->has_ended ? PORT_PEER_NOT_NOW
                                    : self->below->peer_receive(self->peer, bytes, sizeof bytes);
    if (received < 0)
        self->has_ended = true;
    return received > 0 && BIO_write(SSL_get_rbio(self->ssl), bytes, (int)received) == received;
}

static inline void tls_peer_free(tls_peer *self)
{
    SSL_free(self->ssl);
    free(self);
}

static inline void *tls_peer_listen(void *user, bool is_refusing, sc_address *address)
{
    tls_peers *all = (tls_peers *)user;
    tls_listener *self = (tls_listener *)calloc(1, sizeof *self);
    certificate_must(self != NULL, "no memory");
    self->below = &all->below;
    self->context = all->context;
    self->listener = all->below.peer_listen(all->below.user, is_refusing, address);
    if (self->listener)
        return self;
    free(self);
    return NULL;
}

static inline tls_peer *tls_peer_begin(tls_listener *listener, void *peer)
{
    tls_peer *self = (tls_peer *)calloc(1, sizeof *self);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    certificate_must(self && in && out, "no memory");
    self->below = listener->below;
    self->peer = peer;
    self->may_send = SIZE_MAX;
    self->ssl = SSL_new(listener->context);
    certificate_must(self->ssl != NULL, "no memory");
    BIO_set_mem_eof_return(in, -1); /* empty means: nothing yet */
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(self->ssl, in, out);
    SSL_set_accept_state(self->ssl);
    return self;
}

static inline void *tls_peer_accept(void *listener)
{
    tls_listener *from = (tls_listener *)listener;
    tls_peer *self = from->next;
    if (!self) {
        void *peer = from->below->peer_accept(from->listener);
        if (!peer)
            return NULL;
        self = from->next = tls_peer_begin(from, peer);
    }
    ERR_clear_error();
    while (SSL_do_handshake(self->ssl) != 1) {
        tls_peer_send_out(self);
        if (!tls_peer_take_in(self))
            return NULL;
    }
    from->next = NULL;
    tls_peer_send_out(self);
    return self;
}

static inline void tls_peer_unlisten(void *listener)
{
    tls_listener *self = (tls_listener *)listener;
    if (self->next) {
        self->below->peer_close(self->next->peer);
        tls_peer_free(self->next);
    }
    self->below->peer_unlisten(self->listener);
    free(self);
}

static inline long tls_peer_send(void *peer, const void *data, size_t len)
{
    tls_peer *self = (tls_peer *)peer;
    int written;
    tls_peer_send_out(self);
    if (self->out_len > 0)
        return self->has_ended ? PORT_PEER_FAILED : PORT_PEER_NOT_NOW;
    ERR_clear_error();
    written = SSL_write(self->ssl, data, len < 16384 ? (int)len : 16384);
    tls_peer_send_out(self);
    return written > 0 ? written : PORT_PEER_FAILED;
}

static inline long tls_peer_receive(void *peer, void *buffer, size_t cap)
{
    tls_peer *self = (tls_peer *)peer;
    int received;
    ERR_clear_error();
    tls_peer_send_out(self);
    do
        received = SSL_read(self->ssl, buffer, (int)cap);
    while (received <= 0 && SSL_get_error(self->ssl, received) == SSL_ERROR_WANT_READ &&
           tls_peer_take_in(self));
    tls_peer_send_out(self);
    if (received > 0)
        return received;
    switch (SSL_get_error(self->ssl, received)) {
    case SSL_ERROR_ZERO_RETURN:
        return PORT_PEER_END;
    case SSL_ERROR_WANT_READ:
        return self->has_ended ? PORT_PEER_FAILED : PORT_PEER_NOT_NOW;
    default:
        return PORT_PEER_FAILED;
    }
}

static inline void tls_peer_close(void *peer)
{
    tls_peer *self = (tls_peer *)peer;
    ERR_clear_error();
    (void)SSL_shutdown(self->ssl);
    tls_peer_send_out(self);
    self->below->peer_close(self->peer);
    tls_peer_free(self);
}

static inline void tls_peer_reset(void *peer)
{
    tls_peer *self = (tls_peer *)peer;
    self->below->peer_reset(self->peer);
    tls_peer_free(self);
}

static inline SSL_CTX *tls_peers_context(const certificate *shown)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    certificate_must(context && SSL_CTX_use_certificate(context, shown->x509) &&
                         SSL_CTX_use_PrivateKey(context, shown->key),
                     "no server");
    return context;
}

/* Peers of TLS over TCP. `all` outlives the subject. */
static inline void tls_peers_init(tls_peers *all, SSL_CTX *context, port_transport_subject *subject)
{
    memset(all, 0, sizeof *all);
    port_posix_peers(&all->below);
    all->context = context;
    subject->user = all;
    subject->peer_listen = tls_peer_listen;
    subject->peer_accept = tls_peer_accept;
    subject->peer_unlisten = tls_peer_unlisten;
    subject->peer_send = tls_peer_send;
    subject->peer_receive = tls_peer_receive;
    subject->peer_close = tls_peer_close;
    subject->peer_reset = tls_peer_reset;
}
