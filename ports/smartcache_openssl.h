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
   - Memory: of a connection, what is here comes from the client's sc_memory: 18 KiB, and 64 KiB more
     while large values are sent. OpenSSL's own allocator belongs to the whole process
     (CRYPTO_set_mem_functions): from it come the object and what OpenSSL needs, some 15 KiB for an
     idle connection and 80 KiB during a handshake.
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

#include <limits.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Plain bytes that one transmit encrypts at most: whole records of TLS, for one system call. */
#define SCI_OPENSSL_CHUNK_BYTES ((size_t)4 * SSL3_RT_MAX_PLAIN_LENGTH)
/* A buffer that is empty and larger is given back; one that holds more takes no more. */
#define SCI_OPENSSL_KEEP_BYTES ((size_t)96 * 1024)
#define SCI_OPENSSL_MAX_BYTES ((size_t)1024 * 1024)
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
    char name[SCI_OPENSSL_NAME_BYTES]; /* zeros after its end */
} sci_openssl_peer;

struct sc_openssl {
    sc_transport inner;
    SSL_CTX *context;
    BIO_METHOD *method;
    char *server_name;                           /* owned; NULL: the URL's host */
    sci_openssl_mutex lock;                      /* of what follows */
    bool resumes_nothing;                        /* a server broke off because of a session */
    SSL_SESSION *sessions[SCI_OPENSSL_SESSIONS]; /* owned; the newest first, NULL after the last */
};

typedef struct sci_openssl_buffer {
    unsigned char *at; /* `cap` bytes */
    size_t len;
    size_t cap;
} sci_openssl_buffer;

/* OpenSSL takes from `in`, and leaves in `out`, which takes all: so it never waits for sending, and
   only a transmit that comes in the middle of a message of TLS's own (see `held`) for receiving. */
typedef struct sci_openssl_stream {
    sc_openssl *tls;
    sc_memory memory;
    void *inner;
    SSL *ssl;
    sci_openssl_mutex lock; /* an SSL object takes no two threads at once */
    sci_openssl_peer peer;
    bool is_dialed;          /* the inner stream is connected */
    bool is_ready;           /* the handshake is done */
    bool is_broken;          /* OpenSSL has failed: no close_notify any more */
    bool may_receive;        /* when `in` is empty it may be filled from the inner stream */
    bool offers_session;     /* to resume */
    bool was_asked;          /* the server wants a client certificate, and there is none */
    sc_status failure;       /* of the inner stream or of memory: SC_END or an error */
    size_t claimed;          /* how many of the next bytes to transmit are encrypted already */
    sci_openssl_buffer out;  /* encrypted, to be sent */
    sci_openssl_buffer held; /* plain, to be encrypted when OpenSSL has received what it lacks */
    size_t in_start;
    size_t in_end;
    unsigned char in[SSL3_RT_MAX_PACKET_SIZE]; /* encrypted, received */
} sci_openssl_stream;

/* Buffers. */

static bool sci_openssl_append(sci_openssl_stream *stream, sci_openssl_buffer *buffer,
                               const void *data, size_t len)
{
    size_t needed = buffer->len + len;
    if (needed > buffer->cap) {
        void *at = stream->memory.resize(stream->memory.user, buffer->at, buffer->cap, needed);
        if (!at)
            return false;
        buffer->at = (unsigned char *)at;
        buffer->cap = needed;
    }
    memcpy(buffer->at + buffer->len, data, len);
    buffer->len = needed;
    return true;
}

static void sci_openssl_release(sci_openssl_stream *stream, sci_openssl_buffer *buffer)
{
    if (buffer->at)
        stream->memory.resize(stream->memory.user, buffer->at, buffer->cap, 0);
    memset(buffer, 0, sizeof *buffer);
}

static void sci_openssl_consume(sci_openssl_stream *stream, sci_openssl_buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len > 0 && len > 0)
        memmove(buffer->at, buffer->at + len, buffer->len);
    else if (buffer->len == 0 && buffer->cap > SCI_OPENSSL_KEEP_BYTES)
        sci_openssl_release(stream, buffer);
}

/* What OpenSSL reads from and writes to. */

static void sci_openssl_refill(sci_openssl_stream *stream)
{
    const sc_transport *inner = &stream->tls->inner;
    size_t received = 0;
    if (!stream->may_receive || stream->failure != SC_OK)
        return;
    sc_status status = inner->receive(stream->inner, stream->in, sizeof stream->in, &received);
    stream->in_start = 0;
    stream->in_end = status == SC_OK ? received : 0;
    if (status != SC_OK && status != SC_AGAIN)
        stream->failure = status;
}

static int sci_openssl_bio_read(BIO *bio, char *buffer, int cap)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream->in_start == stream->in_end)
        sci_openssl_refill(stream);
    size_t len = stream->in_end - stream->in_start;
    if (len == 0 && stream->failure == SC_OK)
        BIO_set_retry_read(bio);
    if (len == 0)
        return stream->failure == SC_END ? 0 : -1;
    if (len > (size_t)cap)
        len = (size_t)cap;
    memcpy(buffer, stream->in + stream->in_start, len);
    stream->in_start += len;
    return (int)len;
}

static int sci_openssl_bio_write(BIO *bio, const char *data, int len)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (stream->out.len <= SCI_OPENSSL_MAX_BYTES &&
        sci_openssl_append(stream, &stream->out, data, (size_t)len))
        return len;
    stream->failure = SC_ERR_MEMORY;
    return -1;
}

static long sci_openssl_bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* Send what is encrypted. SC_AGAIN: some is left. */
static sc_status sci_openssl_flush(sci_openssl_stream *stream)
{
    sc_status status = SC_OK;
    size_t total = 0;
    while (status == SC_OK && total < stream->out.len) {
        size_t sent = 0;
        status = stream->tls->inner.transmit(stream->inner, stream->out.at + total,
                                             stream->out.len - total, &sent);
        total += sent;
    }
    sci_openssl_consume(stream, &stream->out, total);
    return status;
}

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
static sc_status sci_openssl_refuse(const sci_openssl_stream *stream, sc_status status)
{
    const long result = SSL_get_verify_result(stream->ssl);
    const char *reason = X509_verify_cert_error_string(result);
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return sc_fail(status,
                       "TLS: the server's certificate is not for \"%s\" (%s): use a name that it "
                       "bears in the URL, or set sc_openssl_options.server_name to one",
                       stream->peer.name, reason);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return sc_fail(status,
                       "TLS: the server's certificate is refused: %s: set "
                       "sc_openssl_options.ca_file or ca_dir to the authority that signed it",
                       reason);
    default:
        return sc_fail(status, "TLS: the server's certificate is refused: %s", reason);
    }
}

/* The inner stream, which has said what it is, or memory. */
static sc_status sci_openssl_fail_below(const sci_openssl_stream *stream, sc_status status)
{
    if (stream->failure == SC_ERR_MEMORY)
        return sc_fail(SC_ERR_MEMORY, "TLS: out of memory");
    if (stream->failure != SC_END)
        return stream->failure;
    if (stream->is_ready)
        return sc_fail(status, "TLS: the connection was cut: it ended without close_notify");
    return sc_fail(status, "TLS: the connection was closed during the handshake: is this the "
                           "server's port for TLS?");
}

/* A server that asks for client certificates and has no session id context refuses whoever resumes,
   instead of making a full handshake: then nothing is resumed any more. */
static void sci_openssl_mistrust_sessions(sc_openssl *tls)
{
    if (!sci_openssl_try_lock(&tls->lock))
        return; /* the next failure will do */
    tls->resumes_nothing = true;
    sci_openssl_unlock(&tls->lock);
}

static sc_status sci_openssl_fail(sci_openssl_stream *stream, sc_status status)
{
    char text[SCI_OPENSSL_REASON_BYTES];
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    stream->is_broken = true;
    if (stream->failure != SC_OK)
        return sci_openssl_fail_below(stream, status);
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return sc_fail(SC_ERR_MEMORY, "TLS: OpenSSL is out of memory");
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return sci_openssl_refuse(stream, status);
    if (reason == SSL_R_WRONG_VERSION_NUMBER)
        return sc_fail(status, "TLS: the server answers without TLS: use its port for TLS, or "
                               "redis:// without this transport");
    if (reason > SSL_AD_REASON_OFFSET && stream->offers_session && !stream->is_ready)
        sci_openssl_mistrust_sessions(stream->tls);
    if (reason > SSL_AD_REASON_OFFSET) /* an alert */
        return sc_fail(status, "TLS: the server refuses: %s%s", sci_openssl_reason(text),
                       stream->was_asked ? ": it asks for a client certificate: set "
                                           "sc_openssl_options.cert_file and key_file"
                                         : "");
    return sc_fail(status, "TLS: %s", sci_openssl_reason(text));
}

/* What it means that OpenSSL returned `returned`. SC_AGAIN: it needs bytes that have not come. */
static sc_status sci_openssl_result(sci_openssl_stream *stream, int returned, sc_status otherwise)
{
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_NONE:
        return SC_OK;
    case SSL_ERROR_WANT_READ:
        return SC_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return SC_END;
    default:
        return sci_openssl_fail(stream, otherwise);
    }
}

/* Sessions. Their lock is only tried: nobody waits for it, and in a forked child, where it may be
   locked for ever, a full handshake does as well. */

/* The place of the newest session with this peer; NULL when there is none. */
static SSL_SESSION **sci_openssl_find(const sci_openssl_stream *stream)
{
    SSL_SESSION **at = stream->tls->sessions;
    SSL_SESSION **end = at + SCI_OPENSSL_SESSIONS;
    for (; at < end && *at; at++) {
        void *peer = NULL;
        size_t len = 0;
        if (SSL_SESSION_get0_ticket_appdata(*at, &peer, &len) && len == sizeof stream->peer &&
            memcmp(peer, &stream->peer, len) == 0)
            return at;
    }
    return NULL;
}

static void sci_openssl_forget(sc_openssl *tls, SSL_SESSION **at)
{
    SSL_SESSION **last = tls->sessions + SCI_OPENSSL_SESSIONS - 1;
    SSL_SESSION_free(*at);
    memmove(at, at + 1, (size_t)(last - at) * sizeof *at);
    *last = NULL;
}

/* A ticket of TLS 1.3 serves once (RFC 8446, C.4), so several are kept; of TLS 1.2 the newest. */
static bool sci_openssl_serves_once(const SSL_SESSION *session)
{
    return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

/* OpenSSL has got a session; returns 1 to keep it. */
static int sci_openssl_keep_session(SSL *ssl, SSL_SESSION *session)
{
    const sci_openssl_stream *stream = (const sci_openssl_stream *)SSL_get_app_data(ssl);
    sc_openssl *tls = stream->tls;
    SSL_SESSION **place = tls->sessions + SCI_OPENSSL_SESSIONS - 1;
    if (!SSL_SESSION_set1_ticket_appdata(session, &stream->peer, sizeof stream->peer) ||
        !sci_openssl_try_lock(&tls->lock))
        return 0;
    if (!sci_openssl_serves_once(session) && sci_openssl_find(stream))
        place = sci_openssl_find(stream);
    sci_openssl_forget(tls, place);
    memmove(tls->sessions + 1, tls->sessions, sizeof tls->sessions - sizeof *tls->sessions);
    tls->sessions[0] = session;
    sci_openssl_unlock(&tls->lock);
    return 1;
}

/* Failing here costs a full handshake, nothing else. */
static void sci_openssl_resume(sci_openssl_stream *stream)
{
    sc_openssl *tls = stream->tls;
    if (!sci_openssl_try_lock(&tls->lock))
        return;
    SSL_SESSION **found = tls->resumes_nothing ? NULL : sci_openssl_find(stream);
    if (found) {
        stream->offers_session = SSL_set_session(stream->ssl, *found) == 1;
        if (sci_openssl_serves_once(*found))
            sci_openssl_forget(tls, found);
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
    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len == 0 && SSL_CTX_get_verify_mode(stream->tls->context) != SSL_VERIFY_NONE)
        return sc_fail(SC_ERR_ARGUMENT, "TLS: there is no host name to verify the server's "
                                        "certificate by: set sc_openssl_options.server_name");
    if (len >= SCI_OPENSSL_NAME_BYTES)
        return sc_fail(SC_ERR_ARGUMENT, "TLS: a host name of %zu bytes", len);
    memcpy(stream->peer.name, name, len);
    return SC_OK;
}

static bool sci_openssl_prepare(sci_openssl_stream *stream)
{
    const char *name = stream->peer.name;
    stream->ssl = SSL_new(stream->tls->context);
    BIO *bio = stream->ssl ? BIO_new(stream->tls->method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_connect_state(stream->ssl);
    SSL_set_hostflags(stream->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!SSL_set_app_data(stream->ssl, stream))
        return false;
    if (name[0] && !X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), name) &&
        !(SSL_set1_host(stream->ssl, name) && SSL_set_tlsext_host_name(stream->ssl, name)))
        return false;
    sci_openssl_resume(stream);
    return true;
}

static void sci_openssl_stream_free(sci_openssl_stream *stream)
{
    sc_memory memory = stream->memory;
    if (stream->ssl) /* without a shutdown its session would count as bad, and not be resumed */
        SSL_set_shutdown(stream->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(stream->ssl);
    sci_openssl_release(stream, &stream->out);
    sci_openssl_release(stream, &stream->held);
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

static sc_status sci_openssl_handshake(sci_openssl_stream *stream)
{
    ERR_clear_error();
    stream->may_receive = true;
    sc_status status = sci_openssl_result(stream, SSL_do_handshake(stream->ssl), SC_ERR_CONNECT);
    stream->may_receive = false;
    stream->is_ready = status == SC_OK;
    if (status == SC_END)
        return sc_fail(SC_ERR_CONNECT, "TLS: the server ended the handshake");
    return status;
}

static sc_status sci_openssl_progress(void *user, unsigned *interest)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    sc_status status = SC_OK;
    if (!stream->is_dialed)
        status = stream->tls->inner.progress(stream->inner, interest);
    if (status != SC_OK)
        return status;
    stream->is_dialed = true;
    if (!stream->is_ready)
        status = sci_openssl_handshake(stream);
    if (status != SC_OK && status != SC_AGAIN)
        return status;
    sc_status flushed = sci_openssl_flush(stream);
    if (flushed != SC_OK && flushed != SC_AGAIN)
        return flushed;
    *interest = (status == SC_AGAIN ? SC_READABLE : 0) | (flushed == SC_AGAIN ? SC_WRITABLE : 0);
    return *interest ? SC_AGAIN : SC_OK;
}

/* Sending. Locked. */

/* Encrypt some of `data`. SC_AGAIN: OpenSSL wants to receive first. */
static sc_status sci_openssl_encrypt(sci_openssl_stream *stream, const void *data, size_t len,
                                     size_t *taken)
{
    ERR_clear_error();
    int count = SSL_write(stream->ssl, data,
                          (int)(len < SCI_OPENSSL_CHUNK_BYTES ? len : SCI_OPENSSL_CHUNK_BYTES));
    *taken = count > 0 ? (size_t)count : 0;
    return sci_openssl_result(stream, count, SC_ERR_DISCONNECTED);
}

/* In the middle of a message of TLS's own, such as a ticket in two records, OpenSSL does not send
   before it has received the rest. The caller would wait until the socket takes bytes, which it does
   at once, and call again and again: so the bytes are taken, and whoever receives sends them. */
static sc_status sci_openssl_hold(sci_openssl_stream *stream, const void *data, size_t len,
                                  size_t *sent)
{
    if (stream->held.len >= SCI_OPENSSL_MAX_BYTES)
        return SC_AGAIN;
    *sent = len < SCI_OPENSSL_MAX_BYTES ? len : SCI_OPENSSL_MAX_BYTES;
    if (sci_openssl_append(stream, &stream->held, data, *sent))
        return SC_OK;
    *sent = 0;
    return sc_fail(SC_ERR_MEMORY, "TLS: out of memory");
}

static sc_status sci_openssl_send_held(sci_openssl_stream *stream)
{
    sc_status status = sci_openssl_flush(stream);
    while (status == SC_OK && stream->held.len > 0) {
        size_t taken;
        status = sci_openssl_encrypt(stream, stream->held.at, stream->held.len, &taken);
        sci_openssl_consume(stream, &stream->held, taken);
        if (status == SC_OK)
            status = sci_openssl_flush(stream);
    }
    return status;
}

static sc_status sci_openssl_send(sci_openssl_stream *stream, const void *data, size_t len,
                                  size_t *sent)
{
    sc_status status = sci_openssl_send_held(stream);
    if (status == SC_OK && stream->claimed == 0)
        status = sci_openssl_encrypt(stream, data, len, &stream->claimed);
    if (status == SC_AGAIN && stream->out.len == 0)
        return sci_openssl_hold(stream, data, len, sent);
    if (status == SC_OK)
        status = sci_openssl_flush(stream);
    if (status != SC_OK)
        return status;
    *sent = stream->claimed < len ? stream->claimed : len;
    stream->claimed -= *sent;
    return SC_OK;
}

static sc_status sci_openssl_transmit(void *user, const void *data, size_t len, size_t *sent)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    *sent = 0;
    sci_openssl_lock(&stream->lock);
    sc_status status = sci_openssl_send(stream, data, len, sent);
    sci_openssl_unlock(&stream->lock);
    return status == SC_END ? sc_fail(SC_ERR_DISCONNECTED, "TLS: the server has closed") : status;
}

/* Receiving. */

/* Locked. Decrypt what is there; then send what had to wait for that. */
static sc_status sci_openssl_decrypt(sci_openssl_stream *stream, void *buffer, size_t cap,
                                     size_t *received)
{
    ERR_clear_error();
    int count = SSL_read(stream->ssl, buffer, cap < INT_MAX ? (int)cap : INT_MAX);
    *received = count > 0 ? (size_t)count : 0;
    sc_status status = sci_openssl_result(stream, count, SC_ERR_DISCONNECTED);
    if (status == SC_OK || status == SC_AGAIN)
        (void)sci_openssl_send_held(stream); /* an error shows when something is transmitted */
    return status;
}

static bool sci_openssl_has_bytes(const sci_openssl_stream *stream)
{
    return stream->in_start < stream->in_end || SSL_pending(stream->ssl) > 0;
}

static sc_status sci_openssl_receive(void *user, void *buffer, size_t cap, size_t *received)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    sci_openssl_lock(&stream->lock);
    stream->may_receive = true;
    sc_status status = sci_openssl_decrypt(stream, buffer, cap, received);
    stream->may_receive = false;
    sci_openssl_unlock(&stream->lock);
    return status;
}

static sc_status sci_openssl_receive_soon(void *user, void *buffer, size_t cap, size_t *received)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    const sc_transport *inner = &stream->tls->inner;
    sc_status status = SC_AGAIN;
    size_t arrived = 0;
    sci_openssl_lock(&stream->lock);
    if (sci_openssl_has_bytes(stream))
        status = sci_openssl_decrypt(stream, buffer, cap, received);
    if (status == SC_AGAIN) { /* `in` is empty, and nobody but a receiver touches it then */
        sci_openssl_unlock(&stream->lock);
        status = inner->receive_soon(stream->inner, stream->in, sizeof stream->in, &arrived);
        sci_openssl_lock(&stream->lock);
        stream->in_start = 0;
        stream->in_end = status == SC_OK ? arrived : 0;
        if (status != SC_OK && status != SC_AGAIN)
            stream->failure = status;
        if (status != SC_AGAIN)
            status = sci_openssl_decrypt(stream, buffer, cap, received);
    }
    sci_openssl_unlock(&stream->lock);
    return status;
}

static bool sci_openssl_pending(void *user)
{
    sci_openssl_stream *stream = (sci_openssl_stream *)user;
    const sc_transport *inner = &stream->tls->inner;
    sci_openssl_lock(&stream->lock);
    bool is_pending = sci_openssl_has_bytes(stream);
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
    if (is_intact && orderly && stream->is_ready && !stream->is_broken)
        (void)SSL_shutdown(stream->ssl);
    if (is_intact && orderly && stream->is_dialed)
        (void)sci_openssl_flush(stream); /* close_notify, or the alert of a handshake that failed */
    ERR_clear_error();
    stream->tls->inner.hangup(stream->inner, orderly);
    if (!is_intact)
        return;
    sci_openssl_unlock(&stream->lock);
    sci_openssl_stream_free(stream);
}

/* The object. */

/* Without one OpenSSL would ask at the terminal. */
static int sci_openssl_give_password(char *buffer, int cap, int is_for_writing, void *password)
{
    size_t len = password ? strlen((const char *)password) : 0;
    (void)is_for_writing;
    if (len == 0 || len > (size_t)cap)
        return -1;
    memcpy(buffer, password, len);
    return (int)len;
}

static sc_status sci_openssl_refuse_file(const char *option, const char *path, const char *advice)
{
    char text[SCI_OPENSSL_REASON_BYTES];
    if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
        return SC_ERR_MEMORY;
    return sc_fail(SC_ERR_ARGUMENT, "sc_openssl_options.%s \"%s\": %s%s", option, path,
                   sci_openssl_reason(text), advice);
}

static sc_status sci_openssl_load(SSL_CTX *context, const sc_openssl_options *options)
{
    const char *key_file = options->key_file ? options->key_file : options->cert_file;
    if (!options->ca_file && !options->ca_dir)
        (void)SSL_CTX_set_default_verify_paths(context);
    else if (!SSL_CTX_load_verify_locations(context, options->ca_file, options->ca_dir))
        return sci_openssl_refuse_file("ca_file", options->ca_file ? options->ca_file : "", "");
    if (!options->cert_file)
        return key_file ? sc_fail(SC_ERR_ARGUMENT, "sc_openssl_options.key_file without cert_file")
                        : SC_OK;
    ERR_clear_error();
    if (!SSL_CTX_use_certificate_chain_file(context, options->cert_file))
        return sci_openssl_refuse_file("cert_file", options->cert_file, "");
    SSL_CTX_set_default_passwd_cb(context, sci_openssl_give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)(uintptr_t)options->key_password);
    int is_loaded = SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (!is_loaded || !SSL_CTX_check_private_key(context))
        return sci_openssl_refuse_file("key_file", key_file,
                                       " (the key of cert_file as PEM; an encrypted one needs "
                                       "key_password)");
    return SC_OK;
}

static void sci_openssl_configure(SSL_CTX *context, bool trusts_any_server)
{
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION)
        (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, trusts_any_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, sci_openssl_keep_session);
    SSL_CTX_set_client_cert_cb(context, sci_openssl_note_asked);
}

static sc_status sci_openssl_build(sc_openssl *tls, const sc_openssl_options *options)
{
    if (options->transport)
        tls->inner = *options->transport;
    else if (!sc_platform_transport(&tls->inner))
        return sc_fail(SC_ERR_UNSUPPORTED, "this build has no transport of its own: set "
                                           "sc_openssl_options.transport");
    tls->context = SSL_CTX_new(TLS_client_method());
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sc_transport");
    if (options->server_name)
        tls->server_name = OPENSSL_strdup(options->server_name);
    if (!tls->context || !tls->method || (options->server_name && !tls->server_name))
        return SC_ERR_MEMORY;
    BIO_meth_set_read(tls->method, sci_openssl_bio_read);
    BIO_meth_set_write(tls->method, sci_openssl_bio_write);
    BIO_meth_set_ctrl(tls->method, sci_openssl_bio_control);
    sci_openssl_configure(tls->context, options->insecure_trust_any_server);
    return sci_openssl_load(tls->context, options);
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
    while (tls->sessions[0])
        sci_openssl_forget(tls, tls->sessions);
    sci_openssl_mutex_free(&tls->lock);
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    OPENSSL_free(tls->server_name);
    OPENSSL_free(tls);
}

#endif /* SMARTCACHE_OPENSSL_IMPLEMENTATION */
