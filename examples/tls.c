/* Get-or-load over TLS: rediss:// with the certificate of one's own authority.

       cc -O2 -I. -Iports examples/tls.c -o tls -lssl -lcrypto -pthread
       ./tls rediss://localhost:6380 ca.pem [client.pem]

   client.pem holds a certificate and its key, for servers that ask who is there. To try it with a
   certificate made on the spot:

       openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
           -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out ca.pem
       redis-server --port 0 --tls-port 6380 --tls-auth-clients no \
           --tls-ca-cert-file ca.pem --tls-cert-file ca.pem --tls-key-file key.pem */

#define SMARTCACHE_IMPLEMENTATION
#define SMARTCACHE_OPENSSL_IMPLEMENTATION
#include "smartcache_openssl.h"

#include <stdio.h>

enum { CALLS = 3 };

static int failed(const char *what, sc_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, sc_status_name(status), sc_error_text());
    return 1;
}

static sc_status make_report(sc_load *load, void *user)
{
    int *runs = (int *)user;
    ++*runs;
    return sc_load_write_text(load, "42 orders, 1,302.50 in all");
}

static sc_status show_report(sc_client *client)
{
    sc_cache_config config = {0};
    sc_cache *cache = NULL;
    int runs = 0;
    config.prefix = "example:tls:";
    sc_status status = sc_cache_open(client, &config, &cache);
    if (status == SC_OK)
        status = sc_invalidate(cache, sc_text("report"));
    for (int i = 0; i < CALLS && status == SC_OK; i++) {
        sc_value *report = NULL;
        status = sc_get_or_load(cache, sc_text("report"), make_report, &runs, NULL, &report);
        if (status == SC_OK)
            printf("the report: %s\n", sc_value_bytes(report).data);
        sc_value_release(report);
    }
    if (status == SC_OK)
        printf("asked %d times over TLS; loads: %d\n", CALLS, runs);
    sc_cache_close(cache);
    return status;
}

int main(int argc, char **argv)
{
    sc_openssl_options options = {0};
    sc_openssl *tls = NULL;
    sc_transport transport;
    sc_config config = {0};
    sc_client *client = NULL;

    if (argc < 3) {
        fprintf(stderr, "usage: %s rediss://HOST:PORT CA_FILE [CLIENT_FILE]\n", argv[0]);
        return 2;
    }
    options.ca_file = argv[2]; /* NULL: the authorities that the system trusts */
    options.cert_file = argc > 3 ? argv[3] : NULL;
    sc_status status = sc_openssl_create(&options, &tls);
    if (status != SC_OK)
        return failed("TLS", status);
    sc_openssl_transport(tls, &transport);

    config.url = argv[1];
    config.transport = &transport;
    status = sc_open(&config, &client);
    if (status == SC_OK)
        status = show_report(client);
    if (status != SC_OK)
        failed(argv[1], status);
    sc_close(client);
    sc_openssl_free(tls); /* after the client */
    return status == SC_OK ? 0 : 1;
}
