/* smartcache-server: the embedded server as a program.

   Build: cc -O2 -I. tools/smartcache-server.c -o smartcache-server -pthread (or `make server`)
   Run:   smartcache-server --listen unix:///tmp/cache.sock --log /var/lib/cache/cache.log */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PLACE "redis://127.0.0.1:6379"
#define PLACES_BYTES 2048
#define PASSWORD_BYTES 512

typedef struct options {
    sc_server_config config;
    char places[PLACES_BYTES];
    char password[PASSWORD_BYTES];
    sc_logger logger;
} options;

static const char usage[] =
    "usage: smartcache-server [OPTION...]\n"
    "\n"
    "Serves Redis's protocol until SIGTERM, SIGINT or SHUTDOWN.\n"
    "\n"
    "  --listen URL            unix:///path or redis://host:port, port 0: any free one; up to\n"
    "                          four times; default: redis://127.0.0.1:6379\n"
    "  --password-file FILE    its first line is the password; needed on other hosts'\n"
    "                          interfaces\n"
    "  --log FILE              keep the data there; default: in memory alone\n"
    "  --sync WHEN             always, everysec (default) or never\n"
    "  --rewrite-min SIZE      the log is rewritten when it has doubled, from this size on:\n"
    "                          64mb\n"
    "  --repair                cut a log that is damaged in its middle, keeping what is cut\n"
    "  --maxmemory SIZE        of data, such as 64mb; default: no bound\n"
    "  --policy POLICY         as Redis's maxmemory-policy; default: noeviction\n"
    "  --databases NUMBER      16\n"
    "  --max-clients NUMBER    10000\n"
    "  --notify CLASSES        as Redis's notify-keyspace-events\n"
    "  --quiet, --verbose      log warnings alone; log everything\n"
    "  --help, --version\n";

static int fail(const char *option, const char *value, const char *expected)
{
    fprintf(stderr, "smartcache-server: %s %s: expected %s\n", option, value ? value : "",
            expected);
    return 2;
}

static void write_line(void *user, sc_log_level level, const char *text)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    (void)user;
    fprintf(stderr, "smartcache-server: %s: %s\n", names[level], text);
}

/* --- Options */

static int take_listen(options *chosen, const char *value)
{
    size_t len = strlen(chosen->places);
    if (len + strlen(value) + 2 > sizeof chosen->places)
        return fail("--listen", value, "a shorter URL");
    sci_format(chosen->places + len, sizeof chosen->places - len, "%s%s", len ? " " : "", value);
    return 0;
}

static int take_password_file(options *chosen, const char *value)
{
    FILE *file = fopen(value, "r");
    if (!file)
        return fail("--password-file", value, strerror(errno));
    bool has_line = fgets(chosen->password, (int)sizeof chosen->password, file) != NULL;
    fclose(file);
    chosen->password[strcspn(chosen->password, "\r\n")] = '\0';
    if (!has_line || !chosen->password[0])
        return fail("--password-file", value, "a file with a password in its first line");
    return 0;
}

static int take_log(options *chosen, const char *value)
{
    chosen->config.log_path = value;
    return 0;
}

static int take_notify(options *chosen, const char *value)
{
    chosen->config.notify = value;
    return 0;
}

static int take_sync(options *chosen, const char *value)
{
    if (sci_sync_from_text(sc_text(value), &chosen->config.sync))
        return 0;
    return fail("--sync", value, "always, everysec or never");
}

static int take_policy(options *chosen, const char *value)
{
    if (sci_eviction_from_text(sc_text(value), &chosen->config.eviction))
        return 0;
    return fail("--policy", value, "one of Redis's maxmemory-policy, such as allkeys-lfu");
}

static bool to_size(const char *value, size_t *size)
{
    uint64_t bytes;
    if (!sci_bytes_from_text(sc_text(value), &bytes) || bytes > SIZE_MAX)
        return false;
    *size = (size_t)bytes;
    return true;
}

static int take_maxmemory(options *chosen, const char *value)
{
    return to_size(value, &chosen->config.max_memory_bytes)
               ? 0
               : fail("--maxmemory", value, "a size such as 64mb");
}

static int take_rewrite_min(options *chosen, const char *value)
{
    return to_size(value, &chosen->config.rewrite_min_bytes)
               ? 0
               : fail("--rewrite-min", value, "a size such as 64mb");
}

static int take_databases(options *chosen, const char *value)
{
    size_t number;
    if (!to_size(value, &number) || number < 1 || number > INT16_MAX)
        return fail("--databases", value, "a number");
    chosen->config.databases = (int)number;
    return 0;
}

static int take_max_clients(options *chosen, const char *value)
{
    return to_size(value, &chosen->config.max_clients) && chosen->config.max_clients > 0
               ? 0
               : fail("--max-clients", value, "a number");
}

static const struct {
    const char *name;
    int (*take)(options *chosen, const char *value); /* exit status, 0: go on */
} with_value[] = {
    {"--listen", take_listen},
    {"--password-file", take_password_file},
    {"--log", take_log},
    {"--sync", take_sync},
    {"--policy", take_policy},
    {"--maxmemory", take_maxmemory},
    {"--databases", take_databases},
    {"--rewrite-min", take_rewrite_min},
    {"--notify", take_notify},
    {"--max-clients", take_max_clients},
};

/* One that stands alone; false: it is none. */
static bool take_flag(options *chosen, const char *name)
{
    if (strcmp(name, "--repair") == 0)
        chosen->config.repair = true;
    else if (strcmp(name, "--quiet") == 0)
        chosen->logger.level = SC_LOG_WARNING;
    else if (strcmp(name, "--verbose") == 0)
        chosen->logger.level = SC_LOG_DEBUG;
    else
        return false;
    return true;
}

static int take_option(options *chosen, char **argv, int *i)
{
    const char *name = argv[*i];
    if (take_flag(chosen, name))
        return 0;
    for (size_t at = 0; at < sizeof with_value / sizeof with_value[0]; at++) {
        if (strcmp(name, with_value[at].name) != 0)
            continue;
        const char *value = argv[*i + 1];
        if (!value)
            return fail(name, NULL, "a value after it");
        ++*i;
        return with_value[at].take(chosen, value);
    }
    fprintf(stderr, "smartcache-server: %s is no option\n%s", name, usage);
    return 2;
}

static int take_options(options *chosen, char **argv)
{
    memset(chosen, 0, sizeof *chosen);
    chosen->logger.write_line = write_line;
    chosen->logger.level = SC_LOG_INFO;
    for (int i = 1; argv[i]; i++) {
        int status = take_option(chosen, argv, &i);
        if (status != 0)
            return status;
    }
    if (!chosen->places[0])
        (void)take_listen(chosen, DEFAULT_PLACE);
    chosen->config.listen_on = chosen->places;
    chosen->config.password = chosen->password;
    chosen->config.logger = &chosen->logger;
    chosen->config.polled = true;
    return 0;
}

/* --- Serving */

static sc_server *served; /* for the signal handler */

static void on_signal(int number)
{
    (void)number;
    sc_server_stop(served);
}

static void handle_signals(void (*handler)(int number))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static int serve(const sc_server_config *config)
{
    sc_status status = sc_server_open(config, &served);
    if (status != SC_OK) {
        fprintf(stderr, "smartcache-server: %s: %s\n", sc_status_message(status), sc_error_text());
        return 1;
    }
    handle_signals(on_signal);
    for (size_t i = 0; sc_server_url(served, i); i++)
        printf("%s\n", sc_server_url(served, i));
    fflush(stdout);
    do
        status = sc_server_poll(served, -1);
    while (status == SC_OK);
    if (status != SC_END)
        fprintf(stderr, "smartcache-server: %s: %s\n", sc_status_message(status), sc_error_text());
    handle_signals(SIG_IGN);
    sc_server_close(served);
    return status == SC_END ? 0 : 1;
}

int main(int argc, char **argv)
{
    options chosen;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        puts("smartcache-server " SC_VERSION_TEXT);
        return 0;
    }
    int status = take_options(&chosen, argv);
    return status != 0 ? status : serve(&chosen.config);
}
