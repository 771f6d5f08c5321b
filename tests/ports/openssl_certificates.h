#pragma once
/* Throw-away certificates in the test's folder, made anew by each test program. */

#include "folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define CERTIFICATE_PATH_BYTES 160
#define CERTIFICATE_DAY_S 86400L

/* A certificate and the key that it is for. */
typedef struct certificate {
    X509 *x509;
    EVP_PKEY *key;
    char cert_file[CERTIFICATE_PATH_BYTES];
    char key_file[CERTIFICATE_PATH_BYTES];
} certificate;

/* How one differs from: valid now, an end entity's. */
typedef struct certificate_wish {
    const char *name;        /* of the subject, and of its files */
    const char *names;       /* that it bears, such as "DNS:localhost,IP:127.0.0.1"; NULL: none */
    const certificate *from; /* who signs it; NULL: itself, an authority */
    const char *password;    /* of the key's file; NULL: none */
    bool has_expired;
} certificate_wish;

static inline void certificate_must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "certificates: %s: %s\n", what, ERR_error_string(ERR_peek_error(), NULL));
    exit(1);
}

static inline EVP_PKEY *certificate_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    certificate_must(context && EVP_PKEY_keygen_init(context) > 0 &&
                         EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) >
                             0 &&
                         EVP_PKEY_keygen(context, &key) > 0,
                     "no key");
    EVP_PKEY_CTX_free(context);
    return key;
}

static inline void certificate_extend(X509 *x509, int nid, const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
    certificate_must(extension && X509_add_ext(x509, extension, -1), text);
    X509_EXTENSION_free(extension);
}

static inline FILE *certificate_open(char path[CERTIFICATE_PATH_BYTES], const char *name,
                                     const char *ending)
{
    FILE *file;
    snprintf(path, CERTIFICATE_PATH_BYTES, "%s/%s.%s", test_folder(), name, ending);
    file = fopen(path, "w");
    certificate_must(file != NULL, path);
    return file;
}

static inline void certificate_store(certificate *made, const certificate_wish *wish)
{
    FILE *file = certificate_open(made->cert_file, wish->name, "crt");
    certificate_must(PEM_write_X509(file, made->x509), made->cert_file);
    fclose(file);
    file = certificate_open(made->key_file, wish->name, "key");
    certificate_must(PEM_write_PrivateKey(file, made->key,
                                          wish->password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                          (void *)(uintptr_t)wish->password),
                     made->key_file);
    fclose(file);
}

/* Make it and its two files. */
static inline certificate certificate_make(const certificate_wish *wish)
{
    static long serial;
    certificate made;
    X509_NAME *name;
    memset(&made, 0, sizeof made);
    made.key = certificate_key();
    made.x509 = X509_new();
    certificate_must(made.x509 != NULL, "no memory");
    name = X509_get_subject_name(made.x509);
    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), -2 * CERTIFICATE_DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(made.x509),
                    wish->has_expired ? -CERTIFICATE_DAY_S : CERTIFICATE_DAY_S);
    X509_set_pubkey(made.x509, made.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wish->name, -1, -1,
                               0);
    X509_set_issuer_name(made.x509, wish->from ? X509_get_subject_name(wish->from->x509) : name);
    if (!wish->from)
        certificate_extend(made.x509, NID_basic_constraints, "critical,CA:TRUE");
    if (wish->names)
        certificate_extend(made.x509, NID_subject_alt_name, wish->names);
    certificate_must(X509_sign(made.x509, wish->from ? wish->from->key : made.key, EVP_sha256()),
                     "signing");
    certificate_store(&made, wish);
    return made;
}

static inline void certificate_free(certificate *made)
{
    X509_free(made->x509);
    EVP_PKEY_free(made->key);
    memset(made, 0, sizeof *made);
}

/* What the tests use. */
typedef struct certificates {
    certificate authority;
    certificate stranger;  /* another authority */
    certificate server;    /* localhost, 127.0.0.1, ::1 */
    certificate elsewhere; /* redis.example, *.wild.example */
    certificate expired;   /* as server, until yesterday */
    certificate client;
    certificate locked; /* a client's, whose key has the password "sesame" */
} certificates;

#define CERTIFICATE_HERE "DNS:localhost,IP:127.0.0.1,IP:::1"
#define CERTIFICATE_PASSWORD "sesame"

static inline void certificates_make(certificates *all)
{
    certificate_wish wish;
    memset(&wish, 0, sizeof wish);
    wish.name = "authority";
    all->authority = certificate_make(&wish);
    wish.name = "stranger";
    all->stranger = certificate_make(&wish);
    wish.from = &all->authority;
    wish.name = "client";
    all->client = certificate_make(&wish);
    wish.name = "server";
    wish.names = CERTIFICATE_HERE;
    all->server = certificate_make(&wish);
    wish.name = "expired";
    wish.has_expired = true;
    all->expired = certificate_make(&wish);
    wish.has_expired = false;
    wish.name = "elsewhere";
    wish.names = "DNS:redis.example,DNS:*.wild.example";
    all->elsewhere = certificate_make(&wish);
    wish.name = "locked";
    wish.names = NULL;
    wish.password = CERTIFICATE_PASSWORD;
    all->locked = certificate_make(&wish);
}

static inline void certificates_free(certificates *all)
{
    certificate_free(&all->authority);
    certificate_free(&all->stranger);
    certificate_free(&all->server);
    certificate_free(&all->elsewhere);
    certificate_free(&all->expired);
    certificate_free(&all->client);
    certificate_free(&all->locked);
}
