/* Time zones by name. */

#include "cache/zone.h"

#include "base/error.h"
#include "base/number.h"

#define SCI_ZONE_LOCAL_PATH "/etc/localtime"
/* Of a name, so that the words around it have room. */
#define SCI_ZONE_SHOWN_BYTES 64
#define SCI_ZONE_INSTEAD                                                                           \
    "write the zone as a POSIX TZ string, such as CET-1CEST,M3.5.0,M10.5.0/3, or as an offset, "   \
    "such "                                                                                        \
    "as +02:00"

static sc_status sci_zone_refuse(const char *name, const char *why)
{
    return sc_fail(SC_ERR_ARGUMENT, "time zone \"%.*s\": %s", SCI_ZONE_SHOWN_BYTES, name, why);
}

/* --- Files */

static sc_status sci_zone_fetch(const sc_files *files, void *file, char *data, size_t cap,
                                size_t *len)
{
    for (*len = 0; *len < cap;) {
        size_t count = 0;
        sc_status status = files->fetch(file, *len, data + *len, cap - *len, &count);
        if (status != SC_OK)
            return status;
        if (count == 0)
            break;
        *len += count;
    }
    return SC_OK;
}

static sc_status sci_zone_read_file(sci_zone *zone, const sci_zone_source *source, void *file)
{
    uint64_t size = 0;
    size_t len = 0;
    sc_status status = source->files->size(file, &size);
    if (status == SC_OK && size > SCI_ZONE_DATA_BYTES)
        status = sc_fail(SC_ERR_LIMIT, "it has %llu bytes; at most %zu are read",
                         (unsigned long long)size, SCI_ZONE_DATA_BYTES);
    if (status != SC_OK)
        return status;
    char *data = (char *)sci_alloc_zeroed(source->memory, (size_t)size + 1);
    if (!data)
        return SC_ERR_MEMORY;
    status = sci_zone_fetch(source->files, file, data, (size_t)size, &len);
    if (status == SC_OK)
        status = sci_zone_read(zone, source->memory, sc_bytes(data, len));
    sci_free(source->memory, data, (size_t)size + 1);
    return status;
}

/* SC_MISS: there is no such file. */
static sc_status sci_zone_open_file(sci_zone *zone, const sci_zone_source *source, const char *path)
{
    void *file = NULL;
    sc_status status =
        source->files->open(source->files->user, source->memory, path, SC_FILE_READ, &file);
    if (status != SC_OK)
        return status;
    status = sci_zone_read_file(zone, source, file);
    source->files->shut(file);
    if (status != SC_OK)
        sci_error_text_add(" (time zone file %.*s)", SCI_ZONE_SHOWN_BYTES * 2, path);
    return status;
}

static const char *sci_zone_folder(const sci_zone_source *source)
{
    return source->folder ? source->folder : SCI_ZONE_FOLDER;
}

static sc_status sci_zone_open_in_folder(sci_zone *zone, const sci_zone_source *source,
                                         const char *name)
{
    char path[SCI_ZONE_PATH_BYTES];
    const char *folder = sci_zone_folder(source);
    if (!source->files)
        return SC_MISS;
    if (strlen(folder) + 1 + strlen(name) >= sizeof path)
        return sci_zone_refuse(name, "the path of its file is longer than 511 bytes");
    (void)sci_format(path, sizeof path, "%s/%s", folder, name);
    return sci_zone_open_file(zone, source, path);
}

/* A path that was meant: it goes to that file or fails. */
static sc_status sci_zone_open_path(sci_zone *zone, const sci_zone_source *source, const char *path)
{
    if (!source->files)
        return sc_fail(SC_ERR_UNSUPPORTED,
                       "time zone file %.*s: this platform has no files; " SCI_ZONE_INSTEAD,
                       SCI_ZONE_SHOWN_BYTES, path);
    sc_status status = sci_zone_open_file(zone, source, path);
    if (status == SC_MISS)
        return sc_fail(SC_ERR_ARGUMENT, "there is no time zone file %.*s; " SCI_ZONE_INSTEAD,
                       SCI_ZONE_SHOWN_BYTES, path);
    return status;
}

/* --- Names */

/* Words of letters, digits and _ + - . with slashes between them. TZ strings without a rule look
   like this too. */
static bool sci_zone_is_name(const char *text)
{
    for (; *text; text++) {
        bool is_letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (!is_letter && !sci_is_digit(*text) && !strchr("_+-./", *text))
            return false;
    }
    return true;
}

/* No way out of the folder: no word is empty, "." or "..". */
static bool sci_zone_stays_inside(const char *name)
{
    for (;;) {
        size_t len = strcspn(name, "/");
        if (len <= 2 && strspn(name, ".") >= len)
            return false;
        if (name[len] == '\0')
            return true;
        name += len + 1;
    }
}

static sc_status sci_zone_not_found(sci_zone *zone, const sci_zone_source *source, const char *name)
{
    const char *folder = sci_zone_folder(source);
    /* Does any name work here? */
    sc_status status = sci_zone_open_in_folder(zone, source, "UTC");
    sci_zone_close(zone);
    if (status == SC_ERR_MEMORY)
        return status;
    if (status == SC_MISS)
        return sc_fail(SC_ERR_UNSUPPORTED,
                       "time zone \"%.*s\": this system has no time zone data in %.*s; install it "
                       "(tzdata), or " SCI_ZONE_INSTEAD,
                       SCI_ZONE_SHOWN_BYTES, name, SCI_ZONE_SHOWN_BYTES, folder);
    return sc_fail(SC_ERR_ARGUMENT,
                   "time zone \"%.*s\": there is none of this name in %.*s (upper and lower case "
                   "matter); " SCI_ZONE_INSTEAD,
                   SCI_ZONE_SHOWN_BYTES, name, SCI_ZONE_SHOWN_BYTES, folder);
}

/* A file's name, or a TZ string. Files come first: the TZ string EST5EDT has no rule, its file has.
   */
static sc_status sci_zone_open_name(sci_zone *zone, const sci_zone_source *source, const char *name)
{
    if (sci_zone_is_name(name)) {
        if (!sci_zone_stays_inside(name))
            return sci_zone_refuse(name,
                                   "a name has no empty words, . or .. between its slashes; a "
                                   "path begins with a colon, as in :/etc/localtime");
        sc_status status = sci_zone_open_in_folder(zone, source, name);
        if (status != SC_MISS)
            return status;
        if (!strpbrk(name, "0123456789") || strchr(name, '/'))
            return sci_zone_not_found(zone, source, name);
    }
    sc_status status = sci_zone_rule_parse(sc_text(name), &zone->rule);
    if (status != SC_OK)
        sci_zone_set_utc(zone);
    return status;
}

static sc_status sci_zone_open_local(sci_zone *zone, const sci_zone_source *source)
{
    const char *tz = source->tz;
    if (!tz) {
        sc_status status =
            source->files ? sci_zone_open_file(zone, source, SCI_ZONE_LOCAL_PATH) : SC_MISS;
        return status == SC_MISS ? SC_OK : status;
    }
    tz += tz[0] == ':';
    if (tz[0] == '/')
        return sci_zone_open_path(zone, source, tz);
    sc_status status = tz[0] == '\0' ? SC_OK : sci_zone_open_name(zone, source, tz);
    if (status != SC_OK)
        sci_error_text_add(" (the environment's TZ)");
    return status;
}

/* The two digits at `at`, up to `most`; -1 when they are not there. */
static int sci_zone_two_digits(const char *at, int most)
{
    if (!sci_is_digit(at[0]) || !sci_is_digit(at[1]))
        return -1;
    int number = (at[0] - '0') * 10 + (at[1] - '0');
    return number <= most ? number : -1;
}

/* +hh, +hhmm or +hh:mm (ISO 8601). */
static sc_status sci_zone_open_offset(sci_zone *zone, const char *text)
{
    const char *at = text + 1;
    int hours = sci_zone_two_digits(at, 24);
    int minutes = 0;
    if (hours >= 0 && at[2] != '\0') {
        at += 2 + (at[2] == ':');
        minutes = sci_zone_two_digits(at, 59);
    }
    if (hours < 0 || minutes < 0 || at[2] != '\0')
        return sci_zone_refuse(text, "an offset from UTC is written as +02, +0530 or -03:30");
    int32_t offset_s = hours * 3600 + minutes * 60;
    sci_zone_rule_fix(&zone->rule, text[0] == '-' ? -offset_s : offset_s, sc_text(text));
    return SC_OK;
}

/* "UTC+2": a TZ string to POSIX, and the contrary to who writes it. */
static bool sci_zone_is_ambiguous(const char *name)
{
    if (strncmp(name, "UTC", 3) != 0 && strncmp(name, "GMT", 3) != 0)
        return false;
    size_t digits = strspn(name + 3, "0123456789:+-");
    return name[3 + digits] == '\0' && strpbrk(name + 3, "123456789") != NULL;
}

SCI_PRIVATE sc_status sci_zone_open(sci_zone *zone, const sci_zone_source *source, const char *name)
{
    sci_zone_set_utc(zone);
    if (!name || name[0] == '\0' || strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
        return SC_OK;
    if (strcmp(name, "local") == 0)
        return sci_zone_open_local(zone, source);
    if (name[0] == '+' || name[0] == '-')
        return sci_zone_open_offset(zone, name);
    if (name[0] == ':' && name[1] == '/')
        return sci_zone_open_path(zone, source, name + 1);
    if (sci_zone_is_ambiguous(name))
        return sci_zone_refuse(name, "POSIX reads its sign the other way round (hours west of "
                                     "Greenwich); write an offset, such as +02:00");
    return sci_zone_open_name(zone, source, name);
}
