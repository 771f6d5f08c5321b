/* The thread test of the client, under TLS: the tests of tests/redis/test_threads.c with another
   server. */
#define SMARTCACHE_OPENSSL_IMPLEMENTATION
#include "openssl_test.h"

#undef run_on_both_wires
#define run_on_both_wires(name, tests)                                                             \
    cmocka_run_group_tests_name(name " over TLS", tests, tls_group_setup, tls_group_teardown)

#include "../redis/test_threads.c"
