/* The transport that the manual prints keeps the contract, and its program does what it says. */

#define main manual_main
#include "tcp4.c"
#undef main

#include "port_conformance.h"
#include "redis_fixture.h"

static fixture *server;

static int start_server(void **state)
{
    (void)state;
    server = fixture_start(NULL);
    return server ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    fixture_free(server);
    return 0;
}

static void the_program_pings_a_server(void **state)
{
    char name[] = "tcp4";
    char url[200];
    char *arguments[3] = {name, url, NULL};
    (void)state;
    snprintf(url, sizeof(url), "%s", fixture_url(server, WIRE_TCP));
    assert_int_equal(manual_main(2, arguments), 0);
}

static void what_is_not_ipv4_is_refused_with_words(void **state)
{
    char name[] = "tcp4";
    char url[200];
    char *arguments[3] = {name, url, NULL};
    (void)state;
    snprintf(url, sizeof(url), "%s", fixture_url(server, WIRE_UNIX));
    assert_int_equal(manual_main(2, arguments), 1);
    assert_non_null(strstr(sc_error_text(), "IPv4 alone"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_pings_a_server),
        cmocka_unit_test(what_is_not_ipv4_is_refused_with_words),
    };
    port_transport_subject subject;
    int failures;
    memset(&subject, 0, sizeof(subject));
    subject.name = "the manual's transport";
    tcp4_transport(&subject.transport);
    subject.has_threads = true;
    subject.can_fork = true;
    subject.counts_descriptors = true;
    port_posix_peers(&subject);
    if (!sc_platform_poller(&subject.poller))
        return 1;
    failures = port_conformance_transport(&subject);
    failures +=
        cmocka_run_group_tests_name("the manual's program", tests, start_server, stop_server);
    return failures != 0;
}
