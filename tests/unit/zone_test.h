#pragma once
/* What the tests of time zones share. */

#include "disk.h"
#include "fault_memory.h"
#include "zone_rooms.h"

#define DISK_ROOM ((size_t)1 << 20)

static const char berlin_rule[] = "CET-1CEST,M3.5.0,M10.5.0/3";

static fault_memory memory;
static disk files_in_memory;
static sc_files platform_files;
static sci_zone_source source;
static sci_zone zone;

static int setup(void **state)
{
    (void)state;
    fault_memory_init(&memory);
    disk_init(&files_in_memory, DISK_ROOM, sc_fail);
    assert_true(sc_platform_files(&platform_files));
    memset(&source, 0, sizeof source);
    source.memory = &memory.table;
    source.files = &platform_files;
    sci_zone_set_utc(&zone);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sci_zone_close(&zone);
    assert_int_equal(memory.live_blocks, 0);
    assert_int_equal(memory.wrong_sizes, 0);
    fault_memory_free(&memory);
    return disk_free(&files_in_memory) ? 0 : -1;
}

static void open_zone(const char *name)
{
    sci_zone_close(&zone);
    if (sci_zone_open(&zone, &source, name) != SC_OK)
        fail_msg("%s: %s", name, sc_error_text());
}

static void assert_refused(const char *name, sc_status status, const char *words)
{
    assert_int_equal(sci_zone_open(&zone, &source, name), status);
    if (!strstr(sc_error_text(), words))
        fail_msg("\"%s\" is not in \"%s\"", words, sc_error_text());
    sci_zone_span span;
    sci_zone_find(&zone, 0, &span);
    assert_string_equal(span.name, "UTC");
}

static int32_t offset_at(int64_t at_s)
{
    sci_zone_span span;
    sci_zone_find(&zone, at_s, &span);
    assert_true(span.begins_s <= at_s && at_s < span.ends_s);
    return span.offset_s;
}
