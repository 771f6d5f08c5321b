/* Timers: once, and again and again. */

#include "base/error.h"
#include "cache/alarm.h"
#include "client/life.h"

/* --- Once */

static bool sci_after_ring(sci_alarm *alarm)
{
    (void)alarm;
    return true;
}

static const sci_alarm_kind sci_after_kind = {sizeof(sci_alarm), sci_after_ring, NULL, NULL};

SC_API sc_status sc_after(sc_client *client, int64_t delay_ms, sc_on_timer on_due, void *user,
                          sc_timer *timer)
{
    if (timer)
        *timer = 0;
    if (!client || !on_due)
        return sc_fail(SC_ERR_ARGUMENT, "sc_after: %s is NULL", client ? "on_due" : "the client");
    sc_status status = sci_check_ms("sc_after", "delay_ms", delay_ms, 0, SCI_ALARM_LONGEST_MS);
    if (status != SC_OK)
        return status;
    sci_alarm *alarm = sci_alarm_make(client, &sci_after_kind, on_due, user);
    if (!alarm)
        return SC_ERR_MEMORY;
    status = sci_alarm_enter(alarm, timer);
    if (status != SC_OK)
        return status;
    int64_t at_ns = sci_loop_now_ns(&client->loop) + delay_ms * SCI_NS_PER_MS;
    alarm->due_ms = at_ns / SCI_NS_PER_MS;
    sci_alarm_arm(alarm, at_ns);
    sci_client_leave(client);
    return SC_OK;
}

/* --- Again and again */

typedef struct sci_every {
    sci_alarm alarm;
    sc_every_config config;
    int64_t due_ns; /* without its jitter */
} sci_every;

static void sci_every_arm(sci_every *every, int64_t due_ns)
{
    uint64_t jitter_ns = (uint64_t)every->config.jitter_ms * SCI_NS_PER_MS;
    if (jitter_ns > 0)
        jitter_ns = sci_life_random(every->alarm.client) % (jitter_ns + 1);
    every->due_ns = due_ns;
    every->alarm.due_ms = due_ns / SCI_NS_PER_MS;
    sci_alarm_arm(&every->alarm, due_ns + (int64_t)jitter_ns);
}

static void sci_every_again(sci_alarm *alarm)
{
    sci_every *every = (sci_every *)(void *)alarm;
    int64_t interval_ns = every->config.interval_ms * SCI_NS_PER_MS;
    int64_t from_ns = sci_loop_now_ns(&alarm->client->loop);
    if (!every->config.after_end) /* the last time of the grid until now */
        from_ns -= (from_ns - every->due_ns) % interval_ns;
    sci_every_arm(every, from_ns + interval_ns);
}

static const sci_alarm_kind sci_every_kind = {sizeof(sci_every), sci_after_ring, sci_every_again,
                                              NULL};

static sc_status sci_every_check(const sc_client *client, const sc_every_config *config)
{
    static const char of[] = "sc_every_config";
    if (!client || !config || !config->on_due)
        return sc_fail(SC_ERR_ARGUMENT, "%s",
                       !client   ? "the client is NULL"
                       : !config ? "the sc_every_config is NULL"
                                 : "sc_every_config.on_due is NULL");
    sc_status status =
        sci_check_ms(of, "interval_ms", config->interval_ms, 1, SCI_ALARM_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "first_ms", config->first_ms, -1, SCI_ALARM_LONGEST_MS);
    if (status == SC_OK)
        status = sci_check_ms(of, "jitter_ms", config->jitter_ms, 0, SCI_ALARM_LONGEST_MS);
    return status;
}

SC_API sc_status sc_every(sc_client *client, const sc_every_config *config, sc_timer *timer)
{
    if (timer)
        *timer = 0;
    sc_status status = sci_every_check(client, config);
    if (status != SC_OK)
        return status;
    sci_alarm *alarm = sci_alarm_make(client, &sci_every_kind, config->on_due, config->user);
    if (!alarm)
        return SC_ERR_MEMORY;
    sci_every *every = (sci_every *)(void *)alarm;
    every->config = *config;
    status = sci_alarm_enter(alarm, timer);
    if (status != SC_OK)
        return status;
    int64_t first_ms = config->first_ms ? config->first_ms : config->interval_ms;
    sci_every_arm(every, sci_loop_now_ns(&client->loop) + sci_max_i64(first_ms, 0) * SCI_NS_PER_MS);
    sci_client_leave(client);
    return SC_OK;
}
