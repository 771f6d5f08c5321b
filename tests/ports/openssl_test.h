#pragma once
/* What the tests of TLS on a real redis-server share. */

#include "support/client_test.h"

#include "openssl_certificates.h"
#include "smartcache_openssl.h"

static certificates tls_certificates;
static char tls_url[64];       /* rediss://127.0.0.1:PORT */
static sc_openssl *tls_shared; /* trusts the authority; of test.transport */
static sc_transport tls_transport;

static inline sc_openssl *tls_create(const sc_openssl_options *options)
{
    sc_openssl *tls = NULL;
    assert_status(SC_OK, sc_openssl_create(options, &tls));
    assert_non_null(tls);
    return tls;
}

static inline sc_openssl_options tls_options(void)
{
    sc_openssl_options options;
    memset(&options, 0, sizeof options);
    options.ca_file = tls_certificates.authority.cert_file;
    return options;
}

/* A server that speaks TLS, and an object that trusts it; client_test's functions use both. */
static inline int tls_group_setup(void **state)
{
    sc_openssl_options options;
    const char *arguments[10];
    size_t count = 0;
    (void)state;
    certificates_make(&tls_certificates);
    arguments[count++] = "--tls-cert-file";
    arguments[count++] = tls_certificates.server.cert_file;
    arguments[count++] = "--tls-key-file";
    arguments[count++] = tls_certificates.server.key_file;
    arguments[count++] = "--tls-ca-cert-file";
    arguments[count++] = tls_certificates.authority.cert_file;
    arguments[count++] = "--tls-auth-clients";
    arguments[count++] = "no";
    arguments[count] = NULL;
    test.kind = WIRE_TCP;
    test.server = fixture_start(arguments);
    if (!test.server)
        return -1;
    snprintf(tls_url, sizeof tls_url, "rediss://127.0.0.1:%u",
             (unsigned)fixture_tls_endpoint(test.server)->port);
    options = tls_options();
    if (sc_openssl_create(&options, &tls_shared) != SC_OK)
        return -1;
    sc_openssl_transport(tls_shared, &tls_transport);
    test.transport = &tls_transport;
    test.url = tls_url;
    return 0;
}

static inline int tls_group_teardown(void **state)
{
    sc_openssl_free(tls_shared);
    certificates_free(&tls_certificates);
    test.transport = NULL;
    test.url = NULL;
    return test_group_teardown(state);
}
