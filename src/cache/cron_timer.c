/* Timers by cron expressions. The loop's time is monotonic; this follows the wall clock, which may
   be set at any moment, by looking at it often. */

#include "base/error.h"
#include "base/platform.h"
#include "cache/alarm.h"
#include "cache/cron.h"

/* sc_cron_next takes times so near to 1970, so that milliseconds never overflow. */
#define SCI_CRON_FARTHEST_MS ((int64_t)1 << 60)

typedef struct sci_cron_timer {
    sci_alarm alarm;
    sci_cron cron;
    sci_zone zone;  /* owned */
    int64_t seen_s; /* by the wall clock: what was due until then is done with */
    int64_t next_s;
} sci_cron_timer;

/* --- The wall clock */

static int64_t sci_cron_wall_ms(const sci_cron_timer *timer)
{
    const sc_clock *clock = &timer->alarm.client->loop.clock;
    return clock->wall_ms(clock->user);
}

static void sci_cron_go_on_after(sci_cron_timer *timer, int64_t seen_s)
{
    timer->seen_s = seen_s;
    timer->next_s = sci_cron_next(&timer->cron, &timer->zone, seen_s);
}

/* Until the next time, or until the clock is to be looked at again. */
static void sci_cron_arm(sci_cron_timer *timer, int64_t wall_ms)
{
    int64_t delay_ms = SCI_CRON_LOOK_S * 1000;
    int64_t now_s = sci_floor_divide(wall_ms, 1000);
    if (timer->next_s < now_s + SCI_CRON_LOOK_S)
        delay_ms = sci_max_i64(timer->next_s * 1000 - wall_ms, 0);
    int64_t now_ns = sci_loop_now_ns(&timer->alarm.client->loop);
    sci_alarm_arm(&timer->alarm, now_ns + delay_ms * SCI_NS_PER_MS);
}

static bool sci_cron_ring(sci_alarm *alarm)
{
    sci_cron_timer *timer = (sci_cron_timer *)(void *)alarm;
    int64_t wall_ms = sci_cron_wall_ms(timer);
    int64_t now_s = sci_floor_divide(wall_ms, 1000);
    if (now_s >= timer->next_s) {
        alarm->due_ms = timer->next_s * 1000;
        sci_cron_go_on_after(timer, now_s);
        return true;
    }
    if (now_s < timer->seen_s - SCI_CRON_STEP_BACK_S)
        sci_cron_go_on_after(timer, now_s);
    sci_cron_arm(timer, wall_ms);
    return false;
}

static void sci_cron_again(sci_alarm *alarm)
{
    sci_cron_timer *timer = (sci_cron_timer *)(void *)alarm;
    sci_cron_arm(timer, sci_cron_wall_ms(timer));
}

static void sci_cron_end(sci_alarm *alarm)
{
    sci_zone_close(&((sci_cron_timer *)(void *)alarm)->zone);
}

static const sci_alarm_kind sci_cron_kind = {sizeof(sci_cron_timer), sci_cron_ring, sci_cron_again,
                                             sci_cron_end};

/* --- Configuration */

SCI_PRIVATE sc_status sci_cron_configure(const sc_cron_config *config, const sc_memory *memory,
                                         sci_cron *cron, sci_zone *zone)
{
    sc_files files;
    sci_zone_source source;
    memset(&source, 0, sizeof source);
    sci_zone_set_utc(zone);
    if (!config || !config->expression)
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       config ? "sc_cron_config.expression is NULL" : "the sc_cron_config is NULL");
    sc_status status = sci_cron_parse(sc_text(config->expression), cron);
    if (status != SC_OK)
        return status;
    source.memory = memory;
    source.folder = config->zone_folder;
    source.tz = sci_platform_time_zone();
    source.files = config->files;
    if (!source.files && sc_platform_files(&files))
        source.files = &files;
    return sci_zone_open(zone, &source, config->zone);
}

SC_API sc_status sc_cron_next(const sc_cron_config *config, const sc_memory *memory,
                              int64_t after_ms, int64_t *next_ms)
{
    sci_cron cron;
    sci_zone zone;
    sc_memory own;
    if (after_ms < -SCI_CRON_FARTHEST_MS || after_ms > SCI_CRON_FARTHEST_MS)
        return sc_fail(SC_ERR_ARGUMENT,
                       "sc_cron_next: after_ms is %lld; it wants milliseconds "
                       "since 1970, up to 2^60",
                       (long long)after_ms);
    if (!memory) {
        if (!sci_platform_memory(&own))
            return sc_fail(SC_ERR_ARGUMENT,
                           "this build has no memory of its own: give sc_cron_next some");
        memory = &own;
    }
    sc_status status = sci_cron_configure(config, memory, &cron, &zone);
    if (status != SC_OK)
        return status;
    *next_ms = sci_cron_next(&cron, &zone, sci_floor_divide(after_ms, 1000)) * 1000;
    sci_zone_close(&zone);
    return SC_OK;
}

SC_API sc_status sc_cron(sc_client *client, const sc_cron_config *config, sc_timer *timer)
{
    sci_cron cron;
    sci_zone zone;
    if (timer)
        *timer = 0;
    if (!client || (config && !config->on_due))
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       client ? "sc_cron_config.on_due is NULL" : "the client is NULL");
    sc_status status = sci_cron_configure(config, &client->memory, &cron, &zone);
    if (status != SC_OK)
        return status;
    sci_alarm *alarm = sci_alarm_make(client, &sci_cron_kind, config->on_due, config->user);
    if (!alarm) {
        sci_zone_close(&zone);
        return SC_ERR_MEMORY;
    }
    sci_cron_timer *created = (sci_cron_timer *)(void *)alarm;
    created->cron = cron;
    created->zone = zone;
    status = sci_alarm_enter(alarm, timer);
    if (status != SC_OK)
        return status;
    int64_t wall_ms = sci_cron_wall_ms(created);
    sci_cron_go_on_after(created, sci_floor_divide(wall_ms, 1000));
    sci_cron_arm(created, wall_ms);
    sci_client_leave(client);
    return SC_OK;
}
