/* Server URLs. One pass from left to right over the text; each part is decoded into a copy of its
   own. */

#include "net/url_text.h"

#include "base/error.h"
#include "base/number.h"
#include "net/address.h"

#define SCI_URL_DEFAULT_PORT 6379
#define SCI_URL_PORT_MAX 65535
/* Text of the user's that a message repeats, at most. */
#define SCI_URL_ECHO_BYTES 100
#define SCI_URL_NAME_BYTES 24 /* longer than any option's name */

#ifndef SMARTCACHE_NO_SERVER
#define SCI_URL_SCHEMES "redis, rediss, unix or embedded"
#define SCI_URL_SCHEME_BEGINNINGS "redis://, rediss://, unix:// or embedded:"
#else
#define SCI_URL_SCHEMES "redis, rediss or unix"
#define SCI_URL_SCHEME_BEGINNINGS "redis://, rediss:// or unix://"
#endif

/* What may be given once: in its place or as an option. */
enum {
    SCI_URL_HAS_DB = 1,
    SCI_URL_HAS_TIMEOUT = 2,
    SCI_URL_HAS_CONNECT_TIMEOUT = 4,
    SCI_URL_HAS_NAME = 8,
    SCI_URL_HAS_USER = 16,
    SCI_URL_HAS_PASSWORD = 32,
    SCI_URL_HAS_SERVER = 64 /* shifted by sci_url_server */
};

typedef struct sci_url_option {
    const char *name;
    unsigned bit;
} sci_url_option;

static const sci_url_option sci_url_options[] = {
    {"db", SCI_URL_HAS_DB},
    {"timeout", SCI_URL_HAS_TIMEOUT},
    {"connect_timeout", SCI_URL_HAS_CONNECT_TIMEOUT},
    {"name", SCI_URL_HAS_NAME},
    {"user", SCI_URL_HAS_USER},
    {"password", SCI_URL_HAS_PASSWORD},
};
#define SCI_URL_OPTION_NAMES "db, timeout, connect_timeout, name, user, password"

#ifndef SMARTCACHE_NO_SERVER
static const sci_url_option sci_url_server_options[] = {
    {"db", SCI_URL_HAS_DB},
    {"timeout", SCI_URL_HAS_TIMEOUT},
    {"connect_timeout", SCI_URL_HAS_CONNECT_TIMEOUT},
    {"name", SCI_URL_HAS_NAME},
    {"maxmemory", SCI_URL_HAS_SERVER << SCI_URL_MAXMEMORY},
    {"policy", SCI_URL_HAS_SERVER << SCI_URL_POLICY},
    {"databases", SCI_URL_HAS_SERVER << SCI_URL_DATABASES},
    {"sync", SCI_URL_HAS_SERVER << SCI_URL_SYNC},
};
#define SCI_URL_SERVER_OPTION_NAMES                                                                \
    "db, timeout, connect_timeout, name, maxmemory, policy, databases, sync"
#endif

static bool sci_url_is_place(const sci_url_parser *parser)
{
#ifndef SMARTCACHE_NO_SERVER
    return parser->is_place;
#else
    (void)parser;
    return false;
#endif
}

static bool sci_url_is_embedded(const sci_url_parser *parser)
{
#ifndef SMARTCACHE_NO_SERVER
    return parser->url->scheme == SCI_SCHEME_EMBEDDED;
#else
    (void)parser;
    return false;
#endif
}

static const char *sci_url_option_names(const sci_url_parser *parser)
{
#ifndef SMARTCACHE_NO_SERVER
    if (sci_url_is_embedded(parser))
        return SCI_URL_SERVER_OPTION_NAMES;
#endif
    (void)parser;
    return SCI_URL_OPTION_NAMES;
}

/* -- Scheme -- */

static char sci_url_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Compares without case. */
static bool sci_url_begins(const char *text, size_t len, const char *prefix)
{
    size_t i = 0;
    for (; prefix[i] != '\0'; i++)
        if (i >= len || sci_url_lower(text[i]) != prefix[i])
            return false;
    return true;
}

static bool sci_url_contains(const char *text, size_t len, const char *part)
{
    for (size_t i = 0; i < len; i++)
        if (sci_url_begins(text + i, len - i, part))
            return true;
    return false;
}

/* 0 when there is none of this name. */
static sci_scheme sci_url_scheme(const char *text, size_t len)
{
    if (len == 5 && sci_url_begins(text, len, "redis"))
        return SCI_SCHEME_REDIS;
    if (len == 6 && sci_url_begins(text, len, "rediss"))
        return SCI_SCHEME_REDISS;
    if (len == 4 && sci_url_begins(text, len, "unix"))
        return SCI_SCHEME_UNIX;
#ifndef SMARTCACHE_NO_SERVER
    if (len == 8 && sci_url_begins(text, len, "embedded"))
        return SCI_SCHEME_EMBEDDED;
#endif
    return (sci_scheme)0;
}

/* The scheme that somebody who wrote this one probably wants. */
static const char *sci_url_guess(const char *scheme, size_t len)
{
    if (sci_url_contains(scheme, len, "unix") || sci_url_contains(scheme, len, "sock") ||
        sci_url_contains(scheme, len, "file"))
        return "unix";
    if (sci_url_contains(scheme, len, "tls") || sci_url_contains(scheme, len, "ssl") ||
        sci_url_lower(scheme[len - 1]) == 's')
        return "rediss";
    return "redis";
}

/* Printable, short, and without what may be credentials: an '@', or a ':' that no port follows. */
static bool sci_url_can_echo(const sci_url_parser *parser, sci_url_span span)
{
    size_t colon = sci_url_find(parser, span, ':');
    if (span.end - span.start > SCI_URL_ECHO_BYTES || sci_url_is_hidden(parser, span.start))
        return false;
    for (size_t i = span.start; i < span.end; i++) {
        char c = parser->text[i];
        if (c <= ' ' || c >= 0x7f || c == '?')
            return false;
        if (i > colon && c != '/' && (c < '0' || c > '9'))
            return false;
    }
    return true;
}

/* No scheme: "localhost:6379", "/run/redis.sock". */
static sc_status sci_url_fail_no_scheme(const sci_url_parser *parser)
{
    const char *prefix = parser->text[0] == '/' ? "unix" : "redis";
    if (sci_url_can_echo(parser, sci_url_span_of(0, parser->len)))
        return sc_fail(SC_ERR_URL,
                       "URL, offset 0: the scheme is missing, did you mean \"%s://%s\"?", prefix,
                       parser->text);
    return sc_fail(SC_ERR_URL,
                   "URL, offset 0: the scheme is missing, did you mean \"%s://\" before it?",
                   prefix);
}

/* RFC 3986 section 3.1, but for the first character. */
static bool sci_url_is_scheme_char(char c)
{
    c = sci_url_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

static sc_status sci_url_parse_scheme(sci_url_parser *parser)
{
    size_t len = 0;
#ifdef SMARTCACHE_NO_SERVER
    if (sci_url_begins(parser->text, parser->len, "embedded:"))
        return sc_fail(SC_ERR_UNSUPPORTED,
                       "embedded: is not in this build: SMARTCACHE_NO_SERVER is defined");
#endif
    while (sci_url_is_scheme_char(parser->text[len]))
        len++;
    if (parser->len == 0)
        return sci_url_fail(parser, 0, SCI_URL_SCHEME_BEGINNINGS);
    parser->url->scheme = sci_url_scheme(parser->text, len);
    parser->at = len;
    if (sci_url_is_embedded(parser) && parser->text[len] == ':') {
        parser->at++;
        return SC_OK;
    }
    for (const char *mark = "://"; *mark != '\0'; mark++, parser->at++) {
        if (parser->text[parser->at] == *mark)
            continue;
        if (parser->at > len && parser->url->scheme != 0)
            return sci_url_fail(parser, parser->at, "\"//\" after the scheme");
        return sci_url_fail_no_scheme(parser);
    }
    if (len == 0)
        return sci_url_fail(parser, 0, SCI_URL_SCHEME_BEGINNINGS);
    if (parser->url->scheme == 0)
        return sc_fail(SC_ERR_URL,
                       "URL, offset 0: unknown scheme \"%.*s\", expected " SCI_URL_SCHEMES
                       "; did you mean \"%s://\"?",
                       (int)sci_min_size(len, SCI_URL_ECHO_BYTES), parser->text,
                       sci_url_guess(parser->text, len));
    return SC_OK;
}

/* -- Authority -- */

static sc_status sci_url_parse_userinfo(sci_url_parser *parser, sci_url_span span)
{
    size_t colon = sci_url_find(parser, span, ':');
    sc_status status =
        sci_url_decode(parser, sci_url_span_of(span.start, colon), &parser->url->user);
    if (status != SC_OK)
        return status;
    if (colon < span.end) {
        status =
            sci_url_decode(parser, sci_url_span_of(colon + 1, span.end), &parser->url->password);
        if (status != SC_OK)
            return status;
    }
    if (parser->url->user)
        parser->seen |= SCI_URL_HAS_USER;
    if (parser->url->password)
        parser->seen |= SCI_URL_HAS_PASSWORD;
    return SC_OK;
}

/* "[::1]": the address without its brackets. The zone may be a number or an interface's name; the
   latter is for the resolver. */
static sc_status sci_url_parse_ipv6(sci_url_parser *parser, sci_url_span span)
{
    char literal[SCI_ADDRESS_TEXT_BYTES];
    sc_address address;
    char *zone;
    sc_status status = sci_url_decode(parser, span, &parser->url->host);
    if (status != SC_OK)
        return status;
    if (!parser->url->host || strlen(parser->url->host) >= sizeof(literal))
        return sci_url_fail(parser, span.start, "an IPv6 address between the brackets");
    memcpy(literal, parser->url->host, strlen(parser->url->host) + 1);
    zone = strchr(literal, '%');
    if (zone && zone[1] == '\0')
        return sci_url_fail(parser, span.end, "an interface after %25");
    if (zone)
        *zone = '\0';
    if (!sci_address_parse(literal, 0, &address) || address.family != SC_FAMILY_IPV6)
        return sci_url_fail(parser, span.start,
                            "an IPv6 address between the brackets, such as ::1");
    return SC_OK;
}

/* A name or an IPv4 address; empty means localhost. */
static sc_status sci_url_parse_name(sci_url_parser *parser, sci_url_span span)
{
    sci_url_span rest = span;
    while (rest.start < rest.end) {
        size_t at = rest.start;
        char c = '\0';
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
        if ((unsigned char)c <= ' ' || c == 0x7f || strchr("\"#%/:<>?@[\\]^`{|}", c))
            return sci_url_fail(parser, at, "a character of a host name");
    }
    if (span.start == span.end) {
        parser->url->host = sci_copy_text(&parser->url->memory, sc_text("localhost"));
        return parser->url->host ? SC_OK : SC_ERR_MEMORY;
    }
    return sci_url_decode(parser, span, &parser->url->host);
}

static sc_status sci_url_parse_port(sci_url_parser *parser, sci_url_span span)
{
    int64_t port = 0;
    size_t start = span.start;
    sc_status status;
    for (size_t i = start; i < span.end; i++)
        if (parser->text[i] < '0' || parser->text[i] > '9')
            return sci_url_fail(
                parser, i,
                parser->text[i] == ':'
                    ? "a digit of the port (an IPv6 address stands in brackets, [::1])"
                    : "a digit of the port");
    status = sci_url_take_number(parser, &span, SCI_URL_PORT_MAX, "a port from 1 to 65535", &port);
    if (status != SC_OK)
        return status;
    if (port == 0 && !sci_url_is_place(parser))
        return sci_url_fail(parser, start, "a port from 1 to 65535");
    parser->url->port = (uint16_t)port;
    return SC_OK;
}

static sc_status sci_url_parse_host(sci_url_parser *parser, sci_url_span span)
{
    size_t colon;
    sc_status status;
    parser->url->port = SCI_URL_DEFAULT_PORT;
    if (span.start < span.end && parser->text[span.start] == '[') {
        size_t bracket = sci_url_find(parser, span, ']');
        if (bracket == span.end)
            return sci_url_fail(parser, bracket, "']' after the IPv6 address");
        status = sci_url_parse_ipv6(parser, sci_url_span_of(span.start + 1, bracket));
        colon = bracket + 1;
        if (status == SC_OK && colon < span.end && parser->text[colon] != ':')
            return sci_url_fail(parser, colon, "':' and the port, or '/'");
    } else {
        colon = sci_url_find(parser, span, ':');
        status = sci_url_parse_name(parser, sci_url_span_of(span.start, colon));
    }
    if (status == SC_OK && colon < span.end)
        status = sci_url_parse_port(parser, sci_url_span_of(colon + 1, span.end));
    return status;
}

/* "unix://tmp/redis.sock" has a host where none belongs. */
static sc_status sci_url_fail_relative(const sci_url_parser *parser, sci_url_span span)
{
    span.end = sci_url_find(parser, sci_url_span_of(span.start, parser->len), '?');
    if (span.start == span.end || !sci_url_can_echo(parser, span))
        return sci_url_fail(parser, span.start, "'/': the path of a Unix socket is absolute");
    return sc_fail(SC_ERR_URL,
                   "URL, offset %zu: found '%c', expected '/': the path of a Unix socket is "
                   "absolute, did you mean \"unix:///%.*s\"?",
                   span.start, parser->text[span.start], (int)(span.end - span.start),
                   parser->text + span.start);
}

/* "embedded:/dir/name"; "embedded:///dir/name" says the same. */
static sc_status sci_url_parse_no_authority(sci_url_parser *parser)
{
    if (parser->text[parser->at] == '/' && parser->text[parser->at + 1] == '/')
        parser->at += 2;
    char next = parser->text[parser->at];
    if (next == '/' || next == '?' || next == '\0')
        return SC_OK;
    return sci_url_fail(parser, parser->at,
                        "'/' and the rest of an absolute path, options after a '?', or nothing");
}

/* Everything up to '/', '?' or the end. */
static sc_status sci_url_parse_authority(sci_url_parser *parser)
{
    sci_url_span span = sci_url_span_of(parser->at, parser->len);
    size_t sign;
    if (sci_url_is_embedded(parser))
        return sci_url_parse_no_authority(parser);
    span.end = sci_url_find(parser, span, '?');
    span.end = sci_url_find(parser, span, '/');
    parser->at = span.end;
    sign = sci_url_find(parser, span, '@');
    if (sign < span.end) {
        sc_status status = sci_url_parse_userinfo(parser, sci_url_span_of(span.start, sign));
        if (status != SC_OK)
            return status;
        span.start = sign + 1;
        if (sci_url_find(parser, span, '@') < span.end)
            return sci_url_fail(parser, sign, "an '@' within user or password as %40");
    }
    if (parser->url->scheme != SCI_SCHEME_UNIX)
        return sci_url_parse_host(parser, span);
    if (span.start < span.end || parser->at == parser->len || parser->text[parser->at] != '/')
        return sci_url_fail_relative(parser, span);
    return SC_OK;
}

/* -- Path and options -- */

static sc_status sci_url_parse_db(sci_url_parser *parser, sci_url_span span)
{
    int64_t db = 0;
    sc_status status = sci_url_take_number(parser, &span, INT32_MAX,
                                           "a database number from 0 to 2147483647", &db);
    if (status != SC_OK)
        return status;
    if (span.start < span.end)
        return sci_url_fail(parser, span.start, "nothing after the digits of the database number");
    parser->url->db = (int)db;
    return SC_OK;
}

static sc_status sci_url_parse_path(sci_url_parser *parser)
{
    sci_url_span span = sci_url_span_of(parser->at, parser->len);
    sc_address address;
    sc_status status;
    span.end = sci_url_find(parser, span, '?');
    parser->at = span.end;
    if (parser->url->scheme == SCI_SCHEME_UNIX) {
        status = sci_url_decode(parser, span, &parser->url->path);
        return status == SC_OK ? sci_address_unix(parser->url->path, &address) : status;
    }
    if (sci_url_is_embedded(parser) && span.start < span.end) {
        if (parser->text[span.end - 1] == '/')
            return sci_url_fail(parser, span.end, "a name after the folder");
        return sci_url_decode(parser, span, &parser->url->path);
    }
    if (span.end - span.start <= 1)
        return SC_OK;
    parser->seen |= SCI_URL_HAS_DB;
    return sci_url_parse_db(parser, sci_url_span_of(span.start + 1, span.end));
}

static sc_status sci_url_parse_duration(const sci_url_parser *parser, sci_url_span span,
                                        int64_t *duration_ms)
{
    static const char expected[] = "a duration above 0 such as 1500, 1500ms, 2s or 1m";
    size_t start = span.start;
    int64_t unit_ms = 1;
    int64_t number = 0;
    char unit[3] = "";
    size_t unit_at;
    sc_status status = sci_url_take_number(parser, &span, INT64_MAX, expected, &number);
    unit_at = span.start;
    for (size_t i = 0; status == SC_OK && span.start < span.end; i++) {
        if (i == sizeof(unit) - 1)
            return sci_url_fail(parser, unit_at, expected);
        status = sci_url_take(parser, &span, &unit[i]);
    }
    if (status != SC_OK)
        return status;
    if (strcmp(unit, "s") == 0)
        unit_ms = 1000;
    else if (strcmp(unit, "m") == 0)
        unit_ms = INT64_C(60) * 1000;
    else if (unit[0] != '\0' && strcmp(unit, "ms") != 0)
        return sci_url_fail(parser, unit_at, expected);
    if (number == 0 || number > INT64_MAX / unit_ms)
        return sci_url_fail(parser, start, expected);
    *duration_ms = number * unit_ms;
    return SC_OK;
}

/* CLIENT SETNAME takes printable characters without spaces. */
static sc_status sci_url_parse_client_name(sci_url_parser *parser, sci_url_span span)
{
    static const char expected[] = "a client name of printable ASCII characters without spaces";
    sci_url_span rest = span;
    if (span.start == span.end)
        return sci_url_fail(parser, span.start, expected);
    while (rest.start < rest.end) {
        size_t at = rest.start;
        char c = '\0';
        sc_status status = sci_url_take(parser, &rest, &c);
        if (status != SC_OK)
            return status;
        if (c <= ' ' || c >= 0x7f)
            return sci_url_fail(parser, at, expected);
    }
    return sci_url_decode(parser, span, &parser->url->name);
}

/* What the server's words mean is not known here. */
static sc_status sci_url_parse_server_value(sci_url_parser *parser, unsigned bit, sci_url_span span)
{
#ifndef SMARTCACHE_NO_SERVER
    for (size_t i = 0; i < SCI_URL_SERVER_WORDS; i++)
        if (bit == (unsigned)SCI_URL_HAS_SERVER << i)
            return sci_url_decode(parser, span, &parser->url->server[i]);
#endif
    (void)parser;
    (void)bit;
    (void)span;
    return SC_OK;
}

static sc_status sci_url_parse_value(sci_url_parser *parser, unsigned bit, sci_url_span span)
{
    switch (bit) {
    case SCI_URL_HAS_DB:
        return sci_url_parse_db(parser, span);
    case SCI_URL_HAS_TIMEOUT:
        return sci_url_parse_duration(parser, span, &parser->url->timeout_ms);
    case SCI_URL_HAS_CONNECT_TIMEOUT:
        return sci_url_parse_duration(parser, span, &parser->url->connect_timeout_ms);
    case SCI_URL_HAS_NAME:
        return sci_url_parse_client_name(parser, span);
    case SCI_URL_HAS_USER:
        return sci_url_decode(parser, span, &parser->url->user);
    case SCI_URL_HAS_PASSWORD:
        parser->is_secret = true;
        return sci_url_decode(parser, span, &parser->url->password);
    }
    return sci_url_parse_server_value(parser, bit, span);
}

/* The option of this name, or NULL; `name` becomes its decoded text, cut where it is too long. */
static sc_status sci_url_find_option(const sci_url_parser *parser, sci_url_span span,
                                     char name[SCI_URL_NAME_BYTES], const sci_url_option **option)
{
    size_t len = 0;
    *option = NULL;
    memset(name, 0, SCI_URL_NAME_BYTES);
    while (span.start < span.end && len < SCI_URL_NAME_BYTES - 1) {
        sc_status status = sci_url_take(parser, &span, &name[len]);
        if (status != SC_OK)
            return status;
        if (name[len] <= ' ' || name[len] >= 0x7f)
            name[len] = '?'; /* fit for a message; no option has such a name */
        len++;
    }
    const sci_url_option *options = sci_url_options;
    size_t count = SCI_COUNT(sci_url_options);
#ifndef SMARTCACHE_NO_SERVER
    if (sci_url_is_embedded(parser)) {
        options = sci_url_server_options;
        count = SCI_COUNT(sci_url_server_options);
    }
#endif
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, options[i].name) == 0)
            *option = &options[i];
    return SC_OK;
}

/* The option's name is missing, or not to be repeated. */
static sc_status sci_url_fail_option(const sci_url_parser *parser, size_t at)
{
    char expected[SCI_URL_ECHO_BYTES];
    sci_format(expected, sizeof(expected), "the name of an option: %s",
               sci_url_option_names(parser));
    return sci_url_fail(parser, at, expected);
}

/* One `name=value`. */
static sc_status sci_url_parse_option(sci_url_parser *parser, sci_url_span span)
{
    char name[SCI_URL_NAME_BYTES];
    const sci_url_option *option;
    size_t equals = sci_url_find(parser, span, '=');
    sc_status status;
    if (span.start == equals)
        return sci_url_fail_option(parser, span.start);
    status = sci_url_find_option(parser, sci_url_span_of(span.start, equals), name, &option);
    if (status != SC_OK)
        return status;
    if (!option && sci_url_is_hidden(parser, span.start))
        return sci_url_fail_option(parser, span.start);
    if (!option)
        return sc_fail(SC_ERR_URL, "URL, offset %zu: unknown option \"%s\", expected one of %s",
                       span.start, name, sci_url_option_names(parser));
    if (equals == span.end)
        return sci_url_fail(parser, equals, "'=' and a value after the name of the option");
    if (parser->seen & option->bit)
        return sc_fail(SC_ERR_URL, "URL, offset %zu: found %s a second time, expected it once",
                       span.start, option->name);
    parser->seen |= option->bit;
    return sci_url_parse_value(parser, option->bit, sci_url_span_of(equals + 1, span.end));
}

static sc_status sci_url_parse_query(sci_url_parser *parser)
{
    sc_status status = SC_OK;
    if (parser->at == parser->len || parser->at + 1 == parser->len)
        return SC_OK; /* none, or a lone '?' */
    do {
        sci_url_span span = sci_url_span_of(parser->at + 1, parser->len);
        span.end = sci_url_find(parser, span, '&');
        status = sci_url_parse_option(parser, span);
        parser->at = span.end;
    } while (status == SC_OK && parser->at < parser->len);
    return status;
}

/* -- The whole -- */

static sc_status sci_url_parse_all(sci_url_parser *parser)
{
    size_t hash;
    sc_status status = sci_url_parse_scheme(parser);
    if (status != SC_OK)
        return status;
    hash = sci_url_find(parser, sci_url_span_of(parser->at, parser->len), '#');
    if (hash < parser->len)
        return sci_url_fail(parser, hash, "no fragment (a '#' itself is %23)");
    status = sci_url_parse_authority(parser);
    if (status == SC_OK)
        status = sci_url_parse_path(parser);
    if (status == SC_OK)
        status = sci_url_parse_query(parser);
    return status;
}

static sc_status sci_url_parse_by(sci_url_parser *parser, const sc_memory *memory, sc_slice text,
                                  sci_url *url)
{
    memset(url, 0, sizeof(*url));
    url->memory = *memory;
    url->timeout_ms = -1;
    url->connect_timeout_ms = -1;
    parser->text = text.data;
    parser->len = text.len;
    parser->url = url;
    sc_status status = sci_url_parse_all(parser);
    if (status != SC_OK)
        sci_url_free(url);
    return status;
}

SCI_PRIVATE sc_status sci_url_parse(const sc_memory *memory, const char *text, sci_url *url)
{
    sci_url_parser parser;
    memset(&parser, 0, sizeof(parser));
    return sci_url_parse_by(&parser, memory, sc_text(text ? text : ""), url);
}

#ifndef SMARTCACHE_NO_SERVER
SCI_PRIVATE sc_status sci_url_parse_place(const sc_memory *memory, const char *text, sci_url *url)
{
    sci_url_parser parser;
    memset(&parser, 0, sizeof(parser));
    parser.is_place = true;
    return sci_url_parse_by(&parser, memory, sc_text(text), url);
}
#endif

SCI_PRIVATE void sci_url_free(sci_url *url)
{
    sc_memory memory = url->memory;
    sci_free_text(&memory, url->host);
    sci_free_text(&memory, url->path);
    sci_free_text(&memory, url->user);
    sci_free_secret_text(&memory, url->password);
    sci_free_text(&memory, url->name);
#ifndef SMARTCACHE_NO_SERVER
    for (size_t i = 0; i < SCI_URL_SERVER_WORDS; i++)
        sci_free_text(&memory, url->server[i]);
#endif
    memset(url, 0, sizeof(*url));
    url->memory = memory;
}
