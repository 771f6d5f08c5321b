/* URLs: what they mean, and what a wrong one is told. */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "fault_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static fault_memory memory;

static int set_up(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    return 0;
}

static int tear_down(void **state)
{
    bool is_clean = fault_memory_is_clean(&memory);
    (void)state;
    fault_memory_free(&memory);
    return is_clean ? 0 : -1;
}

static void parse(const char *text, sci_url *url)
{
    sc_status status = sci_url_parse(&memory.table, text, url);
    if (status != SC_OK)
        fail_msg("%s: %s", text, sc_error_text());
}

/* The URL is refused, with these words in the message. */
static void refuse(const char *text, const char *words)
{
    sci_url url;
    memset(&url, 0x5a, sizeof(url));
    assert_int_equal(sci_url_parse(&memory.table, text, &url), SC_ERR_URL);
    if (!strstr(sc_error_text(), words))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, sc_error_text(), words);
    assert_null(url.host);
    assert_null(url.password);
    sci_url_free(&url);
}

static void assert_text(const char *actual, const char *expected)
{
    if (!expected)
        assert_null(actual);
    else if (!actual)
        fail_msg("there is no text, expected \"%s\"", expected);
    else
        assert_string_equal(actual, expected);
}

static void a_host_alone_gets_the_defaults(void **state)
{
    sci_url url;
    (void)state;
    parse("redis://h", &url);
    assert_int_equal(url.scheme, SCI_SCHEME_REDIS);
    assert_text(url.host, "h");
    assert_text(url.path, NULL);
    assert_text(url.user, NULL);
    assert_text(url.password, NULL);
    assert_text(url.name, NULL);
    assert_int_equal(url.port, 6379);
    assert_int_equal(url.db, 0);
    assert_int_equal(url.timeout_ms, -1);
    assert_int_equal(url.connect_timeout_ms, -1);
    sci_url_free(&url);
}

static void every_part_is_read(void **state)
{
    sci_url url;
    (void)state;
    parse("rediss://user:pw@example.org:1/2?timeout=2s&connect_timeout=300&name=worker-1", &url);
    assert_int_equal(url.scheme, SCI_SCHEME_REDISS);
    assert_text(url.host, "example.org");
    assert_text(url.user, "user");
    assert_text(url.password, "pw");
    assert_text(url.name, "worker-1");
    assert_int_equal(url.port, 1);
    assert_int_equal(url.db, 2);
    assert_int_equal(url.timeout_ms, 2000);
    assert_int_equal(url.connect_timeout_ms, 300);
    sci_url_free(&url);
}

static void a_missing_host_is_localhost(void **state)
{
    static const char *const texts[] = {"redis://",      "redis:///0", "redis://:6379",
                                        "redis://?db=0", "redis://@/", "REDIS://"};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        sci_url url;
        parse(texts[i], &url);
        assert_text(url.host, "localhost");
        assert_int_equal(url.port, 6379);
        sci_url_free(&url);
    }
}

static void user_and_password_are_each_optional(void **state)
{
    static const struct {
        const char *text, *user, *password;
    } cases[] = {
        {"redis://:pw@h", NULL, "pw"},         {"redis://user@h", "user", NULL},
        {"redis://user:@h", "user", NULL},     {"redis://:@h", NULL, NULL},
        {"redis://user:a:b@h", "user", "a:b"}, {"redis://h?user=u&password=p", "u", "p"},
        {"redis://u@h?password=p", "u", "p"},  {"redis://h?password=", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        sci_url url;
        parse(cases[i].text, &url);
        assert_text(url.host, "h");
        assert_text(url.user, cases[i].user);
        assert_text(url.password, cases[i].password);
        sci_url_free(&url);
    }
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {
        {"redis://[::1]", "::1", 6379},
        {"redis://[::1]:6380/3", "::1", 6380},
        {"redis://user:pw@[2001:db8::1]:1", "2001:db8::1", 1},
        {"redis://[::ffff:1.2.3.4]", "::ffff:1.2.3.4", 6379},
        {"redis://[fe80::1%252]", "fe80::1%2", 6379},
        {"redis://[fe80::1%25eth0]:1", "fe80::1%eth0", 1},
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        sci_url url;
        parse(cases[i].text, &url);
        assert_text(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        sci_url_free(&url);
    }
    refuse("redis://::1", "offset 9: found ':', expected a digit of the port (an IPv6 address");
    refuse("redis://[::1", "offset 12: found the end, expected ']'");
    refuse("redis://[]", "expected an IPv6 address");
    refuse("redis://[::g]", "expected an IPv6 address");
    refuse("redis://[1.2.3.4]", "expected an IPv6 address");
    refuse("redis://[fe80::1%25]", "offset 19: found ']', expected an interface");
    refuse("redis://[::1]x", "offset 13: found 'x', expected ':' and the port, or '/'");
    refuse("redis://[::1]:", "offset 14: found the end, expected a port");
}

static void a_unix_socket_has_a_path_instead_of_a_host(void **state)
{
    sci_url url;
    (void)state;
    parse("unix://user:pw@/run/a%20b.sock?db=3&timeout=1m", &url);
    assert_int_equal(url.scheme, SCI_SCHEME_UNIX);
    assert_text(url.path, "/run/a b.sock");
    assert_text(url.host, NULL);
    assert_text(url.user, "user");
    assert_text(url.password, "pw");
    assert_int_equal(url.db, 3);
    assert_int_equal(url.timeout_ms, 60000);
    sci_url_free(&url);
    parse("unix:///run/redis@home.sock", &url);
    assert_text(url.path, "/run/redis@home.sock");
    sci_url_free(&url);
}

static void a_relative_unix_path_is_refused_with_the_absolute_one(void **state)
{
    (void)state;
    refuse("unix://tmp/a.sock?db=1",
           "offset 7: found 't', expected '/': the path of a Unix socket is absolute, "
           "did you mean \"unix:///tmp/a.sock\"?");
    refuse("unix://", "offset 7: found the end, expected '/'");
    refuse("unix://user:pw@tmp/a", "offset 15: found 't', expected '/'");
    refuse("unix:/tmp/a", "offset 6: found 't', expected \"//\" after the scheme");
}

static void a_unix_path_that_no_socket_can_have_is_refused(void **state)
{
    char text[7 + SC_PATH_BYTES + 1] = "unix://";
    sci_url url;
    (void)state;
    memset(text + 7, 'a', SC_PATH_BYTES - 1);
    text[7] = '/';
    parse(text, &url);
    assert_int_equal(strlen(url.path), SC_PATH_BYTES - 1);
    sci_url_free(&url);
    text[7 + SC_PATH_BYTES - 1] = 'a';
    refuse(text, "the path of a Unix socket has 108 bytes, at most 107");
}

static void parts_may_be_percent_encoded(void **state)
{
    sci_url url;
    (void)state;
    parse("redis://%75s%2Fer:p%40%3a%2f%25%ff@%68ost/%31?n%61me=%77&timeout=1", &url);
    assert_text(url.user, "us/er");
    assert_text(url.password, "p@:/%\xff");
    assert_text(url.host, "host");
    assert_text(url.name, "w");
    assert_int_equal(url.db, 1);
    sci_url_free(&url);
}

static void a_percent_sign_needs_two_digits(void **state)
{
    (void)state;
    refuse("redis://h%", "offset 10: found the end, expected two hexadecimal digits");
    refuse("redis://h%4", "offset 11: found the end, expected two hexadecimal digits");
    refuse("redis://h%4/1", "offset 11: found '/', expected two hexadecimal digits");
    refuse("redis://h%g0", "offset 10: found 'g', expected two hexadecimal digits");
    refuse("redis://h?name=a%", "offset 17: found the end, expected two hexadecimal digits");
}

static void a_nul_character_is_refused_everywhere(void **state)
{
    (void)state;
    refuse("redis://h%00", "offset 9: found '%', expected any byte but %00");
    refuse("redis://u%00@h", "expected any byte but %00");
    refuse("redis://u:%00@h", "expected any byte but %00");
    refuse("redis://[::1%00]", "expected any byte but %00");
    refuse("redis://h/%00", "expected any byte but %00");
    refuse("redis://h?%00=1", "expected any byte but %00");
    refuse("redis://h?name=%00", "expected any byte but %00");
    refuse("redis://h?timeout=1%00", "expected any byte but %00");
    refuse("unix:///%00", "expected any byte but %00");
}

static void spaces_and_control_characters_are_refused(void **state)
{
    (void)state;
    refuse(" redis://h", "the scheme is missing");
    refuse("redis://h ",
           "offset 9: found byte 32, expected spaces and control characters percent-encoded");
    refuse("redis://h\r\nFLUSHALL", "offset 9: found byte 13");
    refuse("redis://h?name=a%20b", "expected a client name of printable ASCII characters");
    refuse("redis://h?name=", "expected a client name");
    refuse("redis://h?name=%c3%a9", "expected a client name");
    refuse("redis://a%20b", "expected a character of a host name");
    refuse("redis://a%2fb", "expected a character of a host name");
}

static void a_port_is_1_to_65535(void **state)
{
    sci_url url;
    (void)state;
    parse("redis://h:65535", &url);
    assert_int_equal(url.port, 65535);
    sci_url_free(&url);
    refuse("redis://h:", "offset 10: found the end, expected a port from 1 to 65535");
    refuse("redis://h:/1", "offset 10: found '/', expected a port from 1 to 65535");
    refuse("redis://h:0", "offset 10: found '0', expected a port from 1 to 65535");
    refuse("redis://h:65536", "offset 14: found '6', expected a port from 1 to 65535");
    refuse("redis://h:99999999999999999999", "expected a port from 1 to 65535");
    refuse("redis://h:6x", "offset 11: found 'x', expected a digit of the port");
    refuse("redis://h:-1", "offset 10: found '-', expected a digit of the port");
    refuse("redis://h:%31", "offset 10: found '%', expected a digit of the port");
}

static void a_database_number_fits_31_bits(void **state)
{
    sci_url url;
    (void)state;
    parse("redis://h/2147483647", &url);
    assert_int_equal(url.db, INT32_MAX);
    sci_url_free(&url);
    refuse("redis://h/2147483648",
           "offset 19: found '8', expected a database number from 0 to 2147483647");
    refuse("redis://h/99999999999999999999999", "expected a database number");
    refuse("redis://h/x", "offset 10: found 'x', expected a database number");
    refuse("redis://h/-1", "offset 10: found '-', expected a database number");
    refuse("redis://h/1/", "offset 11: found '/', expected nothing after the digits");
    refuse("redis://h?db=", "offset 13: found the end, expected a database number");
    refuse("redis://h?db=1x", "offset 14: found 'x', expected nothing after the digits");
}

static void durations_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t timeout_ms;
    } cases[] = {
        {"redis://h?timeout=1500", 1500},
        {"redis://h?timeout=1500ms", 1500},
        {"redis://h?timeout=2s", 2000},
        {"redis://h?timeout=3m", 180000},
        {"redis://h?timeout=%32%73", 2000},
        {"redis://h?timeout=9223372036854775807", INT64_MAX},
        {"redis://h?timeout=9223372036854775s", INT64_C(9223372036854775000)},
    };
    static const char *const wrong[] = {"",
                                        "0",
                                        "0s",
                                        "-1",
                                        "x",
                                        "1h",
                                        "1msx",
                                        "1ss",
                                        "1 s",
                                        "1.5s",
                                        "9223372036854775808",
                                        "9223372036854776s",
                                        "153722867280912931m"};
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(cases); i++) {
        sci_url url;
        parse(cases[i].text, &url);
        assert_true(url.timeout_ms == cases[i].timeout_ms);
        sci_url_free(&url);
    }
    for (size_t i = 0; i < SCI_COUNT(wrong); i++) {
        char text[64];
        snprintf(text, sizeof(text), "redis://h?connect_timeout=%s", wrong[i]);
        refuse(text, strchr(wrong[i], ' ') ? "percent-encoded" : "expected a duration above 0");
    }
}

static void an_unknown_option_is_refused_with_the_known_ones(void **state)
{
    (void)state;
    refuse(
        "redis://h?timout=1",
        "offset 10: unknown option \"timout\", expected one of db, timeout, connect_timeout, name, "
        "user, password");
    refuse("redis://h?db=1&DB=2", "unknown option \"DB\"");
    refuse("redis://h?db", "offset 12: found the end, expected '='");
    refuse("redis://h?=1", "expected the name of an option");
    refuse("redis://h?&", "offset 10: found '&', expected the name of an option");
    refuse("redis://h?db=1&", "offset 15: found the end, expected the name of an option");
    refuse("redis://h?a-very-long-name-that-no-option-has=1", "unknown option \"a-very-long-name");
    refuse("redis://h?d%0ab=1", "unknown option \"d?b\"");
}

static void an_option_is_given_once(void **state)
{
    (void)state;
    refuse("redis://h?db=1&db=1", "offset 15: found db a second time");
    refuse("redis://h/1?db=1", "offset 12: found db a second time");
    refuse("redis://u@h?user=u", "found user a second time");
    refuse("redis://:p@h?password=p", "found password a second time");
    refuse("redis://h?timeout=1&name=a&timeout=1", "found timeout a second time");
}

static void a_fragment_is_refused(void **state)
{
    (void)state;
    refuse("redis://h#x", "offset 9: found '#', expected no fragment");
    refuse("redis://h/0?name=a#x", "expected no fragment");
}

static void an_unknown_scheme_is_refused_with_a_guess(void **state)
{
    (void)state;
    refuse("http://h",
           "unknown scheme \"http\", expected redis, rediss, unix or embedded; did you mean "
           "\"redis://\"?");
    refuse("https://h", "did you mean \"rediss://\"?");
    refuse("tcp+tls://h", "did you mean \"rediss://\"?");
    refuse("redis+socket:///x", "did you mean \"unix://\"?");
    refuse("file:///x", "did you mean \"unix://\"?");
}

static void a_missing_scheme_is_refused_with_a_guess(void **state)
{
    (void)state;
    refuse("localhost:6379", "the scheme is missing, did you mean \"redis://localhost:6379\"?");
    refuse("localhost", "did you mean \"redis://localhost\"?");
    refuse("/run/redis.sock", "did you mean \"unix:///run/redis.sock\"?");
    refuse("//h", "did you mean \"unix:////h\"?");
    refuse("redis:", "offset 6: found the end, expected \"//\"");
    refuse("redis:h", "offset 6: found 'h', expected \"//\"");
    refuse("://h", "offset 0: found ':', expected redis://");
    refuse("", "offset 0: found the end, expected redis://");
}

static void embedded_alone_is_a_server_of_its_own(void **state)
{
    static const char *const texts[] = {"embedded:", "embedded:?", "EMBEDDED:", "embedded://"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        sci_url url;
        parse(texts[i], &url);
        assert_int_equal(url.scheme, SCI_SCHEME_EMBEDDED);
        assert_null(url.host);
        assert_null(url.path);
        assert_int_equal(url.db, 0);
        for (size_t word = 0; word < SCI_URL_SERVER_WORDS; word++)
            assert_null(url.server[word]);
        sci_url_free(&url);
    }
}

static void an_embedded_server_has_options_of_its_own(void **state)
{
    sci_url url;
    (void)state;
    parse("embedded:/run/my%20app/cache?maxmemory=64mb&policy=allkeys-lfu&databases=4&sync=always"
          "&db=3&name=worker&timeout=2s",
          &url);
    assert_text(url.path, "/run/my app/cache");
    assert_text(url.server[SCI_URL_MAXMEMORY], "64mb");
    assert_text(url.server[SCI_URL_POLICY], "allkeys-lfu");
    assert_text(url.server[SCI_URL_DATABASES], "4");
    assert_text(url.server[SCI_URL_SYNC], "always");
    assert_text(url.name, "worker");
    assert_int_equal(url.db, 3);
    assert_int_equal(url.timeout_ms, 2000);
    sci_url_free(&url);
    parse("embedded:///run/cache", &url);
    assert_text(url.path, "/run/cache");
    sci_url_free(&url);
}

static void what_an_embedded_server_cannot_be_is_refused(void **state)
{
    (void)state;
    refuse("embedded", "the scheme is missing");
    refuse("embedded:cache", "offset 9: found 'c', expected '/' and the rest of an absolute path");
    refuse("embedded://host/cache", "offset 11: found 'h', expected '/'");
    refuse("embedded:/run/", "offset 14: found the end, expected a name after the folder");
    refuse("embedded:/?db=1", "expected a name after the folder");
    refuse("embedded:?user=a", "unknown option \"user\", expected one of db, timeout");
    refuse("embedded:?password=a", "unknown option");
    refuse("embedded:?maxmemory=1&maxmemory=2", "found maxmemory a second time");
    refuse("redis://h?maxmemory=64mb", "unknown option \"maxmemory\"");
}

static void a_place_to_listen_at_may_have_any_port(void **state)
{
    sci_url url;
    (void)state;
    refuse("redis://127.0.0.1:0", "a port from 1 to 65535");
    assert_int_equal(sci_url_parse_place(&memory.table, "redis://127.0.0.1:0", &url), SC_OK);
    assert_int_equal(url.port, 0);
    sci_url_free(&url);
    assert_int_equal(sci_url_parse_place(&memory.table, "redis://127.0.0.1", &url), SC_OK);
    assert_int_equal(url.port, 6379);
    sci_url_free(&url);
    assert_int_equal(sci_url_parse_place(&memory.table, "redis://h:65536", &url), SC_ERR_URL);
}

static void no_text_at_all_is_an_empty_url(void **state)
{
    sci_url url;
    (void)state;
    assert_int_equal(sci_url_parse(&memory.table, NULL, &url), SC_ERR_URL);
    sci_url_free(&url);
}

/* "s3cr" and "t9" never appear, wherever the password was cut in two. */
static void no_message_shows_the_password(void **state)
{
    static const char *const texts[] = {
        "redis://user:s3cr%zzt9@h",
        "redis://user:s3cr/t9@h",
        "redis://user:s3cr?t9@h",
        "redis://user:s3cr#t9@h",
        "redis://user:s3cr@t9@h",
        "redis://user:s3cr%00t9@h",
        "redis://user:s3cr t9@h",
        "redis://user:s3crt9@h:x",
        "redis://:s3crt9@h/x",
        "redis://:s3crt9@h?x=1",
        "user:s3crt9@h",
        "user:s3crt9",
        "unix://:s3crt9@x",
        "unix://user:s3crt9",
        "unix://:s3cr/t9@/x",
        "redis://h?password=s3cr%t9",
        "redis://h?password=s3cr&t9",
        "redis://h?password=s3cr&t9=1",
        "redis://h?password=s3cr#t9",
        "http://user:s3crt9@h",
        "h?password=s3crt9",
        "redis://h?s3cr&t9@h",
        "redis:user:s3crt9@h",
        "redis://:1/s3crt9@h",
        "redis://user:s3crt9",
        "redis://:12?s3crt9@h",
    };
    (void)state;
    for (size_t i = 0; i < SCI_COUNT(texts); i++) {
        sci_url url;
        assert_int_equal(sci_url_parse(&memory.table, texts[i], &url), SC_ERR_URL);
        if (strstr(sc_error_text(), "s3cr") || strstr(sc_error_text(), "t9"))
            fail_msg("%s: %s", texts[i], sc_error_text());
        sci_url_free(&url);
    }
}

static void every_allocation_may_fail(void **state)
{
    static const char text[] = "redis://user:pw@h/1?name=n";
    size_t failures = 0;
    (void)state;
    for (size_t request = 1;; request++) {
        sci_url url;
        sc_status status;
        fault_memory_fail(&memory, request, false);
        status = sci_url_parse(&memory.table, text, &url);
        fault_memory_fail(&memory, 0, false);
        sci_url_free(&url);
        assert_int_equal(fault_memory_live_blocks(&memory), 0);
        if (status == SC_OK)
            break;
        assert_int_equal(status, SC_ERR_MEMORY);
        failures++;
    }
    assert_int_equal(failures, 4); /* user, password, host, name */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_host_alone_gets_the_defaults),
        TEST(every_part_is_read),
        TEST(a_missing_host_is_localhost),
        TEST(user_and_password_are_each_optional),
        TEST(an_ipv6_address_stands_in_brackets),
        TEST(a_unix_socket_has_a_path_instead_of_a_host),
        TEST(a_relative_unix_path_is_refused_with_the_absolute_one),
        TEST(a_unix_path_that_no_socket_can_have_is_refused),
        TEST(parts_may_be_percent_encoded),
        TEST(a_percent_sign_needs_two_digits),
        TEST(a_nul_character_is_refused_everywhere),
        TEST(spaces_and_control_characters_are_refused),
        TEST(a_port_is_1_to_65535),
        TEST(a_database_number_fits_31_bits),
        TEST(durations_have_units),
        TEST(an_unknown_option_is_refused_with_the_known_ones),
        TEST(an_option_is_given_once),
        TEST(a_fragment_is_refused),
        TEST(an_unknown_scheme_is_refused_with_a_guess),
        TEST(a_missing_scheme_is_refused_with_a_guess),
        TEST(embedded_alone_is_a_server_of_its_own),
        TEST(an_embedded_server_has_options_of_its_own),
        TEST(what_an_embedded_server_cannot_be_is_refused),
        TEST(a_place_to_listen_at_may_have_any_port),
        TEST(no_text_at_all_is_an_empty_url),
        TEST(no_message_shows_the_password),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
