/* smartcache_openssl.h - public domain or MIT-0 - smartcache's TLS (rediss://) over OpenSSL

   Do this in ONE C or C++ file, before it includes any system header:
       #define SMARTCACHE_OPENSSL_IMPLEMENTATION
       #include "smartcache_openssl.h"
   In every other file:
       #include "smartcache_openssl.h"
   Build: cc -O2 program.c -lssl -lcrypto -pthread
   smartcache.h is included by it, and must be found; SMARTCACHE_IMPLEMENTATION may be defined in
   the same file or in another (with SMARTCACHE_STATIC: in the same). OpenSSL 1.1.1 or 3.

   SPDX-License-Identifier: Unlicense OR MIT-0 (the texts are at the end of smartcache.h)

   What it is

   A transport that speaks TLS over another one: over the platform's sockets, or over the table of
   another port (lwIP). An object holds what is configured, certificates and the sessions to resume;
   any number of clients and threads share it.

       sc_openssl_options options = {0};
       sc_openssl *tls = NULL;
       sc_transport transport;
       sc_config config = {0};

       options.ca_file = "/etc/redis/ca.pem";   // default: the authorities that the system trusts
       if (sc_openssl_create(&options, &tls) != SC_OK)
           return puts(sc_error_text());
       sc_openssl_transport(tls, &transport);
       config.url = "rediss://cache.example:6380";
       config.transport = &transport;
       sc_open(&config, &client);
       ...
       sc_close(client);
       sc_openssl_free(tls);                    // after all clients that use it

   Every connection of a client with this transport is TLS, whatever the URL's scheme. Write
   rediss:// all the same: without a transport it is refused, where redis:// would speak in the
   clear.

   What is verified

   The server's certificate must be signed by a trusted authority, be valid now, and bear the name
   or the numeric address that the URL has (or `server_name`). Names are also sent (SNI), addresses
   not. TLS 1.2 is the least; where the system's openssl.cnf asks for more, more. Renegotiation is
   refused. Whoever fails gets words: what is wrong with the certificate, and which option changes
   it.

   Behaviour

   - The handshake is a part of connecting, under the same deadline; nothing blocks.
   - A reconnect resumes the session, which spares certificates and a signature (and with TLS 1.2 a
     round trip). A server that refuses instead of making a full handshake, as some do that ask for
     client certificates without caching sessions, costs one failed attempt; then nothing is resumed.
   - A server that ends with TLS's close_notify has closed; one whose connection ends without it, or
     somebody in between, has cut: both are SC_ERR_DISCONNECTED, in different words.
   - Memory: all but 1 KiB a connection is OpenSSL's, whose allocator belongs to the whole process
     (CRYPTO_set_mem_functions): some 35 KiB for an idle connection, 45 KiB more once large values
     were sent, 100 KiB during a handshake.
   - Fork: as without TLS, the child has connections of its own. OpenSSL itself does not promise to
     work in a child that was forked while other threads were inside of it.
   - With SMARTCACHE_NO_THREADS or SMARTCACHE_NO_POSIX there are no locks: one thread uses it. */

#if defined(SMARTCACHE_OPENSSL_IMPLEMENTATION) && !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1
#endif

#ifndef SMARTCACHE_OPENSSL_H
#define SMARTCACHE_OPENSSL_H

#include "smartcache.h"

#ifdef __cplusplus
extern "C" {
#endif

/* MARK: - TLS over OpenSSL (Public) */

/* Zero-initialise, then set what differs from the defaults. Everything is copied or used up by
   sc_openssl_create. Files are PEM. */
typedef struct sc_openssl_options {
    /* What TLS runs over: the platform's own. */
    const sc_transport *transport;
    /* Authorities that may have signed the server's certificate: a file with any number of them, a
       folder as `openssl rehash` makes it, or both. Default: the system's. */
    const char *ca_file;
    const char *ca_dir;
    /* For servers that ask for a client certificate: the certificate, followed by the authorities
       between it and what the server trusts; and its private key. Default: none; and of the key,
       cert_file. */
    const char *cert_file;
    const char *key_file;
    const char *key_password; /* of an encrypted key; default: none */
    /* The name or numeric address that the certificate must bear, and the name that is sent: the
       URL's host. Needed where there is none, as over a Unix socket. */
    const char *server_name;
    /* Talk to anybody, whatever certificate is shown: no protection against who sits in between. */
    bool insecure_trust_any_server;
} sc_openssl_options;

/* Certificates, keys and sessions that connections share. */
typedef struct sc_openssl sc_openssl;

/* Load what `options` names (NULL: all defaults). The caller owns `*tls`, and frees it when all
   clients that use it are closed. SC_ERR_ARGUMENT (a file that is not there or not good, a key that
   does not belong to the certificate; the words name the option), SC_ERR_UNSUPPORTED (no inner
   transport in this build), SC_ERR_MEMORY; then there is no object. Any thread. Blocks on reading
   files. */
SC_API sc_status sc_openssl_create(const sc_openssl_options *options, sc_openssl **tls);

/* Fill `table`, for sc_config.transport. Any number of clients, on any threads, may use one object
   at the same time. Never fails, never blocks. */
SC_API void sc_openssl_transport(sc_openssl *tls, sc_transport *table);

/* Handshakes so far that resumed a session. Any thread. */
SC_API uint64_t sc_openssl_resumptions(const sc_openssl *tls);

/* NULL is fine. Not before the clients that use it are closed. */
SC_API void sc_openssl_free(sc_openssl *tls);

#ifdef __cplusplus
}
#endif

#endif /* SMARTCACHE_OPENSSL_H */

#if defined(SMARTCACHE_OPENSSL_IMPLEMENTATION) && !defined(SCI_OPENSSL_IMPLEMENTED)
#define SCI_OPENSSL_IMPLEMENTED

/* MARK: - TLS over OpenSSL (Private) */

#include <string.h>

#include <openssl/bio.h>
#include <openssl/buffer.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Plain bytes that are encrypted and sent at once: a record of TLS. */
#define SCI_OPENSSL_CHUNK_BYTES ((size_t)SSL3_RT_MAX_PLAIN_LENGTH)
/* When as many plain bytes wait, or twice as many encrypted ones, no more is taken. */
#define SCI_OPENSSL_HELD_BYTES ((size_t)1024 * 1024)
/* Sessions to resume, over all servers; beyond, the oldest goes. */
#define SCI_OPENSSL_SESSIONS 16
#define SCI_OPENSSL_NAME_BYTES 256 /* of the longest name in DNS, its NUL included */
#define SCI_OPENSSL_REASON_BYTES 160

#if defined(SMARTCACHE_NO_THREADS) || defined(SMARTCACHE_NO_POSIX)
typedef char sci_openssl_mutex;
#define sci_openssl_mutex_init(mutex) (*(mutex) = 0, true)
#define sci_openssl_mutex_free(mutex) ((void)(mutex))
#define sci_openssl_lock(mutex) ((void)(mutex))
#define sci_openssl_try_lock(mutex) ((void)(mutex), true)
#define sci_openssl_unlock(mutex) ((void)(mutex))
#else
#include <pthread.h>
typedef pthread_mutex_t sci_openssl_mutex;
#define sci_openssl_mutex_init(mutex) (pthread_mutex_init(mutex, NULL) == 0)
#define sci_openssl_mutex_free(mutex) ((void)pthread_mutex_destroy(mutex))
#define sci_openssl_lock(mutex) ((void)pthread_mutex_lock(mutex))
#define sci_openssl_try_lock(mutex) (pthread_mutex_trylock(mutex) == 0)
#define sci_openssl_unlock(mutex) ((void)pthread_mutex_unlock(mutex))
#endif

/* Whose certificate a session stands for: it may be resumed with nobody else. */
typedef struct sci_openssl_peer {
    uint16_t port;
    char name[SCI_OPENSSL_NAME_BYTES];
} sci_openssl_peer;

typedef struct sci_openssl_session {
    SSL_SESSION *ssl; /* owned; NULL: the place is free */
    sci_openssl_peer peer;
} sci_openssl_session;

struct sc_openssl {
    sc_transport inner;
    SSL_CTX *context;
    char *server_name;      /* owned; NULL: the URL's host */
    sci_openssl_mutex lock; /* of what follows */
    bool resumes_nothing;   /* a server broke off because of a session */
    size_t newest;          /* of the sessions; the oldest is behind it */
    sci_openssl_session sessions[SCI_OPENSSL_SESSIONS];
};

/* OpenSSL takes from the other end of `in`, which receiving fills, and leaves in `out`, which takes
   all: so it never waits for sending. */
typedef struct sci_openssl_stream {
    sc_openssl *tls;
    sc_memory memory;
    void *inner;
    SSL *ssl;
    sci_openssl_mutex lock; /* an SSL object takes no two threads at once */
    sci_openssl_peer peer;
    bool is_dialed;      /* the inner stream is connected */
    bool is_ready;       /* the handshake is done */
    bool offers_session; /* to resume */
    bool was_asked;      /* the server wants a client certificate, and there is none */
    BIO *in;             /* encrypted, received; one end of a pair, the other is the SSL object's */
    BIO *out;            /* encrypted, to be sent; the SSL object's */
    size_t flushed;      /* how much of `out` is sent */
    BUF_MEM *plain;      /* to be encrypted */
    size_t claimed;      /* how many of the next bytes to transmit are taken already */
} sci_openssl_stream;

typedef sc_status sci_openssl_receiver(void *stream, void *buffer, size_t cap, size_t *received);

/* Words. */

/* The last part of "error:CODE:LIBRARY:FUNCTION:REASON". (ERR_reason_error_string alone has nothing
   to say about errors of the system.) */
static const char *sci_openssl_reason(char text[SCI_OPENSSL_REASON_BYTES])
{
    ERR_error_string_n(ERR_peek_error(), text, SCI_OPENSSL_REASON_BYTES);
    for (int colons = 0; colons < 4 && strchr(text, ':'); colons++)
        text = strchr(text, ':') + 1;
    return text;
}

/* The server's certificate is refused. */
static sc_status sci_openssl_refuse(const sci_openssl_stream *stream)
{
    const long result = SSL_get_verify_result(stream->ssl);
    const char *reason = X509_verify_cert_error_string(result);
    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return sc_fail(SC_ERR_CONNECT,
                       "TLS: the server's certificate is not for \"%s\" (%s): use a name that it "
                       "bears in the URL, or set sc_openssl_options.server_name to one",
                       stream->peer.name, reason);
    /* the numbers from 18 to 21 are: signed by itself, or by somebody who is not at hand */
    if (result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
        (result >= X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT &&
         result <= X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE))
        return sc_fail(SC_ERR_CONNECT,
                       "TLS: the server's certificate is refused: %s: set "
                       "sc_openssl_options.ca_file or ca_dir to the authority that signed it",
                       reason);
    return sc_fail(SC_ERR_CONNECT, "TLS: the server's certificate is refused: %s", reason);
}

static sc_status sci_openssl_fail(sci_openssl_stream *stream)
{
    char text[SCI_OPENSSL_REASON_BYTES];
    sc_openssl *tls = stream->tls;
    const sc_status status = stream->is_ready ? SC_ERR_DISCONNECTED : SC_ERR_CONNECT;
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return sc_fail(SC_ERR_MEMORY, "TLS: OpenSSL is out of memory");
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return sci_openssl_refuse(stream);
    if (reason == SSL_R_WRONG_VERSION_NUMBER)
        return sc_fail(status, "TLS: the server answers without TLS: use its port for TLS, or "
                               "redis:// without this transport");
    if (reason <= SSL_AD_REASON_OFFSET)
        return sc_fail(status, "TLS: %s", sci_openssl_reason(text));
    /* An alert. A server that asks for client certificates and has no session id context refuses
       whoever resumes, instead of making a full handshake: then nothing is resumed any more. */
    if (stream->offers_session && !stream->is_ready && sci_openssl_try_lock(&tls->lock)) {
        tls->resumes_nothing = true;
        sci_openssl_unlock(&tls->lock);
    }
    return sc_fail(status, "TLS: the server refuses: %s%s", sci_openssl_reason(text),
                   stream->was_asked ? ": it asks for a client certificate: set "
                                       "sc_openssl_options.cert_file and key_file"
                                     : "");
}

static sc_status sci_openssl_cut(const sci_openssl_stream *stream)
{
    if (stream->is_ready)
        return sc_fail(SC_ERR_DISCONNECTED,
                       "TLS: the connection was cut: it ended without close_notify");
    return sc_fail(SC_ERR_CONNECT, "TLS: the connection was closed during the handshake: is this "
                                   "the server's port for TLS?");
}

/* What it means that OpenSSL returned `returned`. SC_AGAIN: it needs bytes that have not come. */
static sc_status sci_openssl_result(sci_openssl_stream *stream, int returned)
{
    if (BIO_ctrl_pending(stream->out) > 2 * SCI_OPENSSL_HELD_BYTES)
        return sc_fail(SC_ERR_DISCONNECTED, "TLS: the server does not take what it asks for");
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_NONE:
        return SC_OK;
    case SSL_ERROR_WANT_READ:
        return SC_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return stream->is_ready ? SC_END : sci_openssl_cut(stream);
    default:
        return sci_openssl_fail(stream);
    }
}

/* Encrypted bytes. Locked. */

/* Receive some; unlocked meanwhile: `in` is empty, and nobody but a receiver touches it then. */
static sc_status sci_openssl_fill(sci_openssl_stream *stream, sci_openssl_receiver *receive)
{
    char *at = NULL;
    size_t received = 0;
    int cap = BIO_nwrite0(stream->in, &at);
    sci_openssl_unlock(&stream->lock);
    sc_status status = receive(stream->inner, at, (size_t)cap, &received);
    sci_openssl_lock(&stream->lock);
    if (status == SC_OK)
        (void)BIO_nwrite(stream->in, &at, (int)received);
    else if (status != SC_AGAIN)
        SSL_set_quiet_shutdown(stream->ssl, 1); /* nobody is there for a close_notify */
    return status == SC_END ? sci_openssl_cut(stream) : status;
}

/* Send what there is. SC_AGAIN: some is left. */
static sc_status sci_openssl_flush(sci_openssl_stream *stream)
{
    char *at = NULL;
    size_t len = (size_t)BIO_get_mem_data(stream->out, &at);
    sc_status status = SC_OK;
    while (status == SC_OK && stream->flushed < len) {
        size_t sent = 0;
        status = stream->tls->inner.transmit(stream->inner, at + stream->flushed,
                                             len - stream->flushed, &sent);
        stream->flushed += sent;
    }
    if (stream->flushed == len) {
        (void)BIO_reset(stream->out);
        stream->flushed = 0;
    }
    return status;
}

/* Sessions. Their lock is only tried: nobody waits for it, and in a forked child, where it may be
   locked for ever, a full handshake does as well. */

/* OpenSSL has got a session; returns 1 to keep it. */
static int sci_openssl_keep_session(SSL *ssl, SSL_SESSION *session)
{
    const sci_openssl_stream *stream = (const sci_openssl_stream *)SSL_get_app_data(ssl);
    sc_openssl *tls = stream->tls;
    if (!sci_openssl_try_lock(&tls->lock))
        return 0;
    tls->newest = (tls->newest + 1) % SCI_OPENSSL_SESSIONS;
    SSL_SESSION_free(tls->sessions[tls->newest].ssl);
    tls->sessions[tls->newest].ssl = session;
    tls->sessions[tls->newest].peer = stream->peer;
    sci_openssl_unlock(&tls->lock);
    return 1;
}

/* Offer the newest session with this peer. A ticket of TLS 1.3 serves once (RFC 8446, C.4). Failing
   here costs a full handshake, nothing else. */
static void sci_openssl_resume(sci_openssl_stream *stream)
{
    sc_openssl *tls = stream->tls;
    if (!sci_openssl_try_lock(&tls->lock))
        return;
    size_t count = tls->resumes_nothing ? 0 : SCI_OPENSSL_SESSIONS;
    for (size_t i = tls->newest + count; i > tls->newest && !stream->offers_session; i--) {
        sci_openssl_session *session = &tls->sessions[i % SCI_OPENSSL_SESSIONS];
        if (!session->ssl || memcmp(&session->peer, &stream->peer, sizeof stream->peer) != 0)
            continue;
        stream->offers_session = SSL_set_session(stream->ssl, session->ssl) == 1;
        if (SSL_SESSION_get_protocol_version(session->ssl) < TLS1_3_VERSION)
            continue;
        SSL_SESSION_free(session->ssl);
        session->ssl = NULL;
    }
    sci_openssl_unlock(&tls->lock);
}

/* Called when the server asks for a client certificate and none is configured. */
static int sci_openssl_note_asked(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
    (void)certificate;
    (void)key;
    ((sci_openssl_stream *)SSL_get_app_data(ssl))->was_asked = true;
    return 0;
}

/* The life of a stream. */

/* The name that the certificate has to bear: without the root's dot, or an address's interface. */
static sc_status sci_openssl_set_name(sci_openssl_stream *stream, const char *host)
{
    const char *name = stream->tls->server_name ? stream->tls->server_name : host ? host : "";
    size_t len = strchr(name, ':') ? strcspn(name, "%") : strlen(name);
    const bool is_needed = SSL_CTX_get_verify_mode(stream->tls->context) != SSL_VERIFY_NONE;
    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len >= SCI_OPENSSL_NAME_BYTES || (len == 0 && is_needed))
        return sc_fail(SC_ERR_ARGUMENT,
                       "TLS: \"%s\" is no host name to verify the server's certificate by: set "
                       "sc_openssl_options.server_name",
                       name);
    memcpy(stream->peer.name, name, len);
    return SC_OK;
}

static bool sci_openssl_prepare(sci_openssl_stream *stream)
{
    const char *name = stream->peer.name;
    BIO *reader = NULL;
    stream->plain = BUF_MEM_new();
    stream->ssl = SSL_new(stream->tls->context);
    if (!stream->plain || !stream->ssl || !SSL_set_app_data(stream->ssl, stream) ||
        !BIO_new_bio_pair(&stream->in, SSL3_RT_MAX_PACKET_SIZE, &reader, 1))
        return false;
    SSL_set_bio(stream->ssl, reader, BIO_new(BIO_s_mem()));
    SSL_set_connect_state(stream->ssl);
    SSL_set_hostflags(stream->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    stream->out = SSL_get_wbio(stream->ssl);
    if (name[0] && !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), name) &&
        !(SSL_set1_host(stream->ssl, name) && SSL_set_tlsext_host_name(stream->ssl, name)))
        return false;
    sci_openssl_resume(stream);
    return stream->out != NULL;
}

static void sci_openssl_stream_free(sci_openssl_stream *stream)
{
    sc_memory memory = stream->memory;
    SSL_free(stream->ssl);
    BIO_free(stream->in);
    BUF_MEM_free(stream->plain);
    sci_openssl_mutex_free(&stream->lock);
    memory.resize(memory.user, stream, sizeof *stream, 0);
}

static sc_status sci_openssl_dial(void *user, const sc_memory *memory, const sc_address *address,
                                  const char *host, void **stream)
{
    sc_openssl *tls = (sc_openssl *)user;
    sci_openssl_stream *self =
        (sci_openssl_stream *)memory->resize(memory->user, NULL, 0, sizeof *self);
    *stream = NULL;
    if (!self)
        return SC_ERR_MEMORY;
    memset(self, 0, sizeof *self);
    self->tls = tls;
    self->memory = *memory;
    self->peer.port = address->port;
    if (!sci_openssl_mutex_init(&self->lock)) {
        memory->resize(memory->user, self, sizeof *self, 0);
        return SC_ERR_MEMORY;
    }
    sc_status status = sci_openssl_set_name(self, host);
    if (status == SC_OK && !sci_openssl_prepare(self))
        status = SC_ERR_MEMORY;
    if (status == SC_OK)
        status = tls->inner.dial(tls->inner.user, memory, address, host, &self->inner);
    if (status == SC_OK)
        *stream = self;
    else
        sci_openssl_stream_free(self);
    return status;
}

static sc_status sci_openssl_progress(void *user, unsigned *interest)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    const sc_transport *inner = &stream->tls->inner;
    sc_status status = SC_OK;
    sc_status flushed = SC_OK;
    if (!stream->is_dialed)
        status = inner->progress(stream->inner, interest);
    if (status != SC_OK)
        return status;
    stream->is_dialed = true;
    sci_openssl_lock(&stream->lock);
    do {
        ERR_clear_error();
        status = sci_openssl_result(stream, SSL_do_handshake(stream->ssl));
        stream->is_ready = status == SC_OK;
        if (status >= SC_OK)
            flushed = sci_openssl_flush(stream);
        if (flushed < SC_OK)
            status = flushed;
        if (status == SC_AGAIN)
            status = sci_openssl_fill(stream, inner->receive);
    } while (status == SC_OK && !stream->is_ready);
    sci_openssl_unlock(&stream->lock);
    *interest = (status == SC_AGAIN ? SC_READABLE : 0) | (flushed == SC_AGAIN ? SC_WRITABLE : 0);
    return status == SC_OK ? flushed : status;
}

/* Plain bytes. */

/* Locked. Encrypt and send what there is. SC_AGAIN: the inner stream takes no more. In the middle
   of a message of TLS's own, such as a ticket in two records, OpenSSL encrypts nothing before it
   has received the rest. The caller would wait until the socket takes bytes, which it does at once,
   and call again and again: so this is SC_OK, and whoever receives, goes on. */
static sc_status sci_openssl_push(sci_openssl_stream *stream)
{
    BUF_MEM *plain = stream->plain;
    sc_status status = sci_openssl_flush(stream);
    while (status == SC_OK && plain->length > 0) {
        size_t len =
            plain->length < SCI_OPENSSL_CHUNK_BYTES ? plain->length : SCI_OPENSSL_CHUNK_BYTES;
        ERR_clear_error();
        status = sci_openssl_result(stream, SSL_write(stream->ssl, plain->data, (int)len));
        if (status > SC_OK) /* or the server has closed, and whoever receives learns it */
            return SC_OK;
        if (status < SC_OK)
            return status;
        plain->length -= len;
        memmove(plain->data, plain->data + len, plain->length);
        status = sci_openssl_flush(stream);
    }
    return status;
}

/* Locked. Take some of `data` to be sent: at most a chunk, so that little waits. */
static sc_status sci_openssl_take(sci_openssl_stream *stream, const void *data, size_t len)
{
    size_t held = stream->plain->length;
    size_t taken = len < SCI_OPENSSL_CHUNK_BYTES ? len : SCI_OPENSSL_CHUNK_BYTES;
    if (held >= SCI_OPENSSL_HELD_BYTES)
        return SC_AGAIN;
    if (!BUF_MEM_grow(stream->plain, held + taken))
        return sc_fail(SC_ERR_MEMORY, "TLS: out of memory");
    memcpy(stream->plain->data + held, data, taken);
    stream->claimed = taken;
    return sci_openssl_push(stream);
}

/* What is taken counts as sent when the inner stream has it, so that the caller waits for that. */
static sc_status sci_openssl_transmit(void *user, const void *data, size_t len, size_t *sent)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    sci_openssl_lock(&stream->lock);
    sc_status status = sci_openssl_push(stream);
    if (status == SC_OK && stream->claimed == 0)
        status = sci_openssl_take(stream, data, len);
    *sent = status != SC_OK ? 0 : stream->claimed < len ? stream->claimed : len;
    stream->claimed -= *sent;
    sci_openssl_unlock(&stream->lock);
    return status;
}

/* Decrypt, and then send what had to wait for that; `receive` is called when there is nothing. */
static sc_status sci_openssl_receive_by(sci_openssl_stream *stream, sci_openssl_receiver *receive,
                                        void *buffer, size_t cap, size_t *received)
{
    sc_status status;
    sc_status filled;
    sci_openssl_lock(&stream->lock);
    do {
        filled = SC_AGAIN;
        ERR_clear_error();
        status = sci_openssl_result(stream, SSL_read_ex(stream->ssl, buffer, cap, received));
        if (status >= SC_OK)
            (void)sci_openssl_push(stream); /* an error shows when something is transmitted */
        if (status == SC_AGAIN)
            status = filled = sci_openssl_fill(stream, receive);
        receive = stream->tls->inner.receive; /* a wait is over when some bytes have come */
    } while (filled == SC_OK);
    sci_openssl_unlock(&stream->lock);
    return status;
}

static sc_status sci_openssl_receive(void *user, void *buffer, size_t cap, size_t *received)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    return sci_openssl_receive_by(stream, stream->tls->inner.receive, buffer, cap, received);
}

static sc_status sci_openssl_receive_soon(void *user, void *buffer, size_t cap, size_t *received)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    return sci_openssl_receive_by(stream, stream->tls->inner.receive_soon, buffer, cap, received);
}

static bool sci_openssl_pending(void *user)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    const sc_transport *inner = &stream->tls->inner;
    sci_openssl_lock(&stream->lock);
    bool is_pending = BIO_ctrl_wpending(stream->in) > 0 || SSL_pending(stream->ssl) > 0;
    sci_openssl_unlock(&stream->lock);
    return is_pending || (inner->pending && inner->pending(stream->inner));
}

static sc_descriptor sci_openssl_descriptor(void *user)
{
    const sci_openssl_stream *stream = (const sci_openssl_stream *)user;
    return stream->tls->inner.descriptor(stream->inner);
}

/* After a fork another thread, which the child does not have, may have been in the middle of the
   SSL object: then it is left alone. */
static void sci_openssl_hangup(void *user, bool orderly)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    bool is_intact = sci_openssl_try_lock(&stream->lock);
    if (is_intact && orderly) { /* a close_notify, or the alert of a handshake that failed */
        (void)SSL_shutdown(stream->ssl);
        (void)sci_openssl_flush(stream);
    }
    ERR_clear_error();
    stream->tls->inner.hangup(stream->inner, orderly);
    if (!is_intact)
        return;
    sci_openssl_unlock(&stream->lock);
    /* without a shutdown the session would count as bad, and not be resumed */
    SSL_set_shutdown(stream->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    sci_openssl_stream_free(stream);
}

/* The object. */

static sc_status sci_openssl_refuse_file(const char *option, const char *path, const char *advice)
{
    char text[SCI_OPENSSL_REASON_BYTES];
    return sc_fail(SC_ERR_ARGUMENT, "sc_openssl_options.%s \"%s\": %s%s", option, path,
                   sci_openssl_reason(text), advice);
}

static sc_status sci_openssl_load(SSL_CTX *context, const sc_openssl_options *options)
{
    const char *key_file = options->key_file ? options->key_file : options->cert_file;
    const char *password = options->key_password ? options->key_password : ""; /* NULL would ask */
    if (!options->ca_file && !options->ca_dir)
        (void)SSL_CTX_set_default_verify_paths(context);
    else if (!SSL_CTX_load_verify_locations(context, options->ca_file, options->ca_dir))
        return sci_openssl_refuse_file("ca_file", options->ca_file ? options->ca_file : "", "");
    if (!key_file)
        return SC_OK;
    if (!options->cert_file)
        return sc_fail(SC_ERR_ARGUMENT, "sc_openssl_options.key_file without cert_file");
    ERR_clear_error();
    if (!SSL_CTX_use_certificate_chain_file(context, options->cert_file))
        return sci_openssl_refuse_file("cert_file", options->cert_file, "");
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)(uintptr_t)password);
    int is_loaded = SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (!is_loaded || !SSL_CTX_check_private_key(context))
        return sci_openssl_refuse_file("key_file", key_file,
                                       " (the key of cert_file as PEM; an encrypted one needs "
                                       "key_password)");
    return SC_OK;
}

static sc_status sci_openssl_build(sc_openssl *tls, const sc_openssl_options *options)
{
    if (options->transport)
        tls->inner = *options->transport;
    else if (!sc_platform_transport(&tls->inner))
        return sc_fail(SC_ERR_UNSUPPORTED, "this build has no transport of its own: set "
                                           "sc_openssl_options.transport");
    tls->context = SSL_CTX_new(TLS_client_method());
    if (options->server_name)
        tls->server_name = OPENSSL_strdup(options->server_name);
    if (!tls->context || (options->server_name && !tls->server_name))
        return SC_ERR_MEMORY;
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION);
    if (SSL_CTX_get_min_proto_version(tls->context) < TLS1_2_VERSION)
        (void)SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    if (!options->insecure_trust_any_server)
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(tls->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, sci_openssl_keep_session);
    SSL_CTX_set_client_cert_cb(tls->context, sci_openssl_note_asked);
    sc_status status = sci_openssl_load(tls->context, options);
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ? SC_ERR_MEMORY : status;
}

SC_API sc_status sc_openssl_create(const sc_openssl_options *options, sc_openssl **tls)
{
    sc_openssl_options defaults;
    memset(&defaults, 0, sizeof defaults);
    *tls = NULL;
    ERR_clear_error();
    sc_openssl *self = (sc_openssl *)OPENSSL_zalloc(sizeof *self);
    if (!self || !sci_openssl_mutex_init(&self->lock)) {
        OPENSSL_free(self);
        return sc_fail(SC_ERR_MEMORY, "TLS: out of memory");
    }
    sc_status status = sci_openssl_build(self, options ? options : &defaults);
    ERR_clear_error();
    if (status == SC_OK)
        *tls = self;
    else
        sc_openssl_free(self);
    return status == SC_ERR_MEMORY ? sc_fail(status, "TLS: out of memory") : status;
}

SC_API void sc_openssl_transport(sc_openssl *tls, sc_transport *table)
{
    memset(table, 0, sizeof *table);
    table->user = tls;
    table->dial = sci_openssl_dial;
    table->progress = sci_openssl_progress;
    table->transmit = sci_openssl_transmit;
    table->receive = sci_openssl_receive;
    table->receive_soon = tls->inner.receive_soon ? sci_openssl_receive_soon : NULL;
    table->pending = sci_openssl_pending;
    table->descriptor = sci_openssl_descriptor;
    table->hangup = sci_openssl_hangup;
}

SC_API uint64_t sc_openssl_resumptions(const sc_openssl *tls)
{
    return (uint64_t)SSL_CTX_sess_hits(tls->context);
}

SC_API void sc_openssl_free(sc_openssl *tls)
{
    if (!tls)
        return;
    for (size_t i = 0; i < SCI_OPENSSL_SESSIONS; i++)
        SSL_SESSION_free(tls->sessions[i].ssl);
    sci_openssl_mutex_free(&tls->lock);
    SSL_CTX_free(tls->context);
    OPENSSL_free(tls->server_name);
    OPENSSL_free(tls);
}

#endif /* SMARTCACHE_OPENSSL_IMPLEMENTATION */
