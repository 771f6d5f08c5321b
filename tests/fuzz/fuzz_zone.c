/* Time zones: no bytes break what reads them; what is taken is one clock that knows when it shows
   what; what is refused is refused with words. Input that begins with TZif is data; else its first
   line is a name and what follows is the content of every file. */

#include "zone_rooms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Changes of a clock that are looked at. */
#define CHANGES 12

static const sc_memory memory = {NULL, resize_block};

/* --- Files that all have the same content, none when it is NULL */

static sc_slice content;
static bool is_path; /* given as one, which may be any */

static sc_status file_open(void *user, const sc_memory *ours, const char *path, sc_file_mode mode,
                           void **file)
{
    (void)user;
    must(ours == &memory && mode == SC_FILE_READ && path[0] == '/');
    must(is_path || (!strstr(path, "/../") && strlen(path) < 512));
    *file = &content;
    return content.data ? SC_OK : sc_fail(SC_MISS, "%s: no such file", path);
}

static sc_status file_size(void *file, uint64_t *bytes)
{
    *bytes = ((const sc_slice *)file)->len;
    return SC_OK;
}

/* A few bytes at a time. */
static sc_status file_fetch(void *file, uint64_t offset, void *buffer, size_t cap, size_t *count)
{
    const sc_slice *bytes = (const sc_slice *)file;
    *count = sci_min_size(sci_min_size(cap, 1000), bytes->len - (size_t)offset);
    memcpy(buffer, bytes->data + offset, *count);
    return SC_OK;
}

static void file_shut(void *file)
{
    must(file == &content);
}

/* --- One clock */

static void check_instants(const sci_zone *zone, int64_t local_s)
{
    sci_zone_span span;
    sci_zone_instants instants;
    sci_zone_instants_of(zone, local_s, &instants);
    sci_zone_find(zone, instants.first_s, &span);
    if (instants.shows == SCI_ZONE_NEVER) {
        must(instants.first_s == instants.last_s && instants.first_s + span.offset_s > local_s);
        sci_zone_find(zone, instants.first_s - 1, &span);
        must(instants.first_s + span.offset_s <= local_s);
        return;
    }
    must(instants.first_s + span.offset_s == local_s);
    sci_zone_find(zone, instants.last_s, &span);
    must(instants.last_s + span.offset_s == local_s);
    must((instants.shows == SCI_ZONE_AGAIN) == (instants.first_s < instants.last_s));
}

static void check_at(const sci_zone *zone, int64_t at_s)
{
    sci_zone_span span, same;
    sci_zone_instants instants;
    if (at_s < -SCI_ZONE_EVER_S / 2 || at_s > SCI_ZONE_EVER_S / 2)
        return;
    sci_zone_find(zone, at_s, &span);
    must(span.begins_s <= at_s && at_s < span.ends_s);
    must(span.offset_s >= SCI_ZONE_LEAST_OFFSET_S && span.offset_s <= SCI_ZONE_MOST_OFFSET_S);
    (void)strlen(span.name);
    sci_zone_find(zone, span.ends_s - 1, &same);
    must(same.offset_s == span.offset_s && same.is_dst == span.is_dst);
    sci_zone_instants_of(zone, at_s + span.offset_s, &instants);
    must(instants.shows != SCI_ZONE_NEVER);
    must(instants.first_s <= at_s && at_s <= instants.last_s);
    check_instants(zone, at_s + span.offset_s);
}

static void check_from(const sci_zone *zone, int64_t at_s)
{
    sci_zone_span span, next;
    check_at(zone, at_s);
    sci_zone_find(zone, at_s, &span);
    for (int i = 0; i < CHANGES && span.ends_s < SCI_ZONE_EVER_S / 2; i++) {
        sci_zone_find(zone, span.ends_s, &next);
        for (int64_t around = -1; around <= 1; around++)
            check_at(zone, span.ends_s + around);
        if (span.ends_s > -SCI_ZONE_EVER_S / 2) {
            check_instants(zone, span.ends_s + span.offset_s);
            check_instants(zone, span.ends_s + next.offset_s);
            check_instants(zone, span.ends_s + (span.offset_s + next.offset_s) / 2);
        }
        span = next;
    }
}

static void check(sci_zone *zone)
{
    check_from(zone, -SCI_ZONE_EVER_S / 2);
    check_from(zone, 0);
    check_from(zone, 1700000000);
    check_from(zone, (int64_t)1 << 40);
    check_from(zone, SCI_ZONE_EVER_S / 2);
    sci_zone_close(zone);
}

static void read_name(const char *name, bool has_files)
{
    sci_zone zone;
    sc_files files;
    sci_zone_source source;
    memset(&files, 0, sizeof files);
    files.open = file_open;
    files.size = file_size;
    files.fetch = file_fetch;
    files.shut = file_shut;
    memset(&source, 0, sizeof source);
    source.memory = &memory;
    source.files = has_files ? &files : NULL;
    is_path = name[0] == '/' || (name[0] == ':' && name[1] == '/');
    if (sci_zone_open(&zone, &source, name) == SC_OK)
        check(&zone);
    else
        must(sc_error_text()[0] != '\0' && !zone.block && zone.has_rule);
    source.tz = name;
    if (sci_zone_open(&zone, &source, "local") == SC_OK)
        check(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sci_zone zone;
    if (size >= 4 && memcmp(data, "TZif", 4) == 0) {
        if (sci_zone_read(&zone, &memory, sc_bytes(data, size)) == SC_OK)
            check(&zone);
        else
            must(sc_error_text()[0] != '\0' && !zone.block && zone.has_rule);
        return 0;
    }
    const uint8_t *end = size ? (const uint8_t *)memchr(data, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    char *name = (char *)malloc(len + 1);
    must(name != NULL);
    if (len)
        memcpy(name, data, len);
    name[len] = '\0';
    content = end ? sc_bytes(end + 1, size - len - 1) : sc_bytes(NULL, 0);
    read_name(name, true);
    read_name(name, false);
    free(name);
    return 0;
}
