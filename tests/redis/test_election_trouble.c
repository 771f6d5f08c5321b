/* Elections where something goes wrong: processes are killed or stopped, the server stands still or
   restarts empty, crowds campaign. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include "election_test.h"
#include "support/processes.h"
#include "support/proxy.h"

#include <sys/mman.h>
#include <unistd.h>

/* Workers begin before this process has threads: the thread sanitizer knows none in a child. */
enum counting { LEADING, GO, TERM };

static sc_status worker_open(int64_t ttl_ms, sc_client **client, sc_election **election)
{
    sc_config config = test_config(test_url());
    sc_election_config options = election_config("worker");
    options.ttl_ms = ttl_ms;
    sc_status status = sc_open(&config, client);
    if (status == SC_OK)
        status = sc_election_open(*client, &options, election);
    if (status == SC_OK)
        status = sc_election_campaign(*election);
    return status;
}

/* --- a leader that dies, or stands still */

static int leading_worker(processes *shared, size_t index, void *user)
{
    sc_client *client = NULL;
    sc_election *election = NULL;
    (void)index;
    if (worker_open(*(const int64_t *)user, &client, &election) != SC_OK ||
        sc_election_await(election, -1) != SC_OK)
        return 1;
    processes_set(shared, TERM, sc_election_term(election));
    processes_add(shared, LEADING, 1);
    if (!processes_wait_for(shared, GO, 1))
        return 2;
    /* what it was before the pause is known to be over at the first look */
    int64_t term = sc_election_term(election);
    if (term == processes_read(shared, TERM))
        return 3;
    sc_election_close(election);
    return sc_close(client) == SC_OK ? 0 : 4;
}

static void a_killed_leader_is_followed_when_its_lease_ends(void **state)
{
    int64_t ttl_ms = 1500;
    candidate theirs;
    (void)state;
    processes *shared = processes_start(1, leading_worker, &ttl_ms);
    sc_client *client = stranger();
    assert_true(processes_wait_for(shared, LEADING, 1));
    candidate_follow(&theirs, client, "bob");
    int64_t before_ms = wait_now_ms();
    processes_kill(shared, 0);
    assert_status(SC_OK, sc_election_await(theirs.election, -1)); /* no poll bound helps */
    print_message("a killed leader was followed after %lld ms of %lld\n",
                  (long long)(wait_now_ms() - before_ms), (long long)ttl_ms);
    assert_true(sc_election_term(theirs.election) > processes_read(shared, TERM));
    (void)processes_join(shared);
    processes_free(shared);
    candidate_close(&theirs);
    assert_status(SC_OK, sc_close(client));
}

static void a_stopped_leader_that_goes_on_knows_at_once(void **state)
{
    int64_t ttl_ms = 600;
    candidate theirs;
    (void)state;
    processes *shared = processes_start(1, leading_worker, &ttl_ms);
    sc_client *client = stranger();
    assert_true(processes_wait_for(shared, LEADING, 1));
    candidate_follow(&theirs, client, "bob");
    processes_pause(shared, 0);
    assert_status(SC_OK, sc_election_await(theirs.election, -1));
    processes_add(shared, GO, 1);
    processes_continue(shared, 0);
    bool is_good = processes_join(shared);
    processes_free(shared);
    assert_true(is_good);
    assert_true(sc_is_leader(theirs.election));
    candidate_close(&theirs);
    assert_status(SC_OK, sc_close(client));
}

/* --- the server */

static void a_server_that_restarts_empty_costs_the_leadership_and_terms_still_rise(void **state)
{
    sc_config config = test_config(test_url());
    sc_election_config options = election_config("alice");
    candidate mine;
    (void)state;
    config.backoff_max_ms = 20;
    sc_client *client = test_open(&config);
    options.ttl_ms = 900;
    candidate_open(&mine, client, &options);
    candidate_win(&mine);
    int64_t term = candidate_term(&mine);
    fixture_kill(test.server);
    assert_true(fixture_restart(test.server));
    WAIT_UNTIL(told(&mine.resignations) >= 1); /* a machine that stands still costs more */
    WAIT_UNTIL(told(&mine.elections) >= 2);
    assert_true(candidate_term(&mine) > term);
    candidate_close(&mine);
    assert_status(SC_OK, sc_close(client));
}

static void a_server_that_stands_still_costs_the_leadership_and_it_comes_back(void **state)
{
    sc_election_config options = election_config("alice");
    candidate mine;
    (void)state;
    options.ttl_ms = 300;
    candidate_open(&mine, test.client, &options);
    candidate_win(&mine);
    int64_t term = candidate_term(&mine);
    fixture_pause(test.server);
    WAIT_UNTIL(told(&mine.resignations) >= 1 && !sc_is_leader(mine.election));
    assert_int_equal(mine.reason, SC_RESIGNED_UNRENEWED);
    fixture_continue(test.server);
    WAIT_UNTIL(told(&mine.elections) >= 2);
    assert_true(candidate_term(&mine) > term);
    candidate_close(&mine);
}

/* The message of the election is lost: who observes finds out when it listens again. */
static void an_observer_that_was_cut_off_looks_when_it_listens_again(void **state)
{
    proxy *relay = proxy_start(test.kind, fixture_endpoint(test.server, test.kind));
    sc_config config = test_config(proxy_url(relay));
    candidate mine;
    candidate theirs;
    (void)state;
    config.backoff_max_ms = 20;
    sc_client *other = test_open(&config);
    candidate_open_name(&theirs, other, "bob");
    WAIT_UNTIL(candidate_listens(&theirs));
    candidate_open_name(&mine, test.client, "alice");
    proxy_refuse(relay, true);
    proxy_cut(relay);
    candidate_win(&mine);
    proxy_refuse(relay, false);
    WAIT_UNTIL(leader_is(&theirs, "alice"));
    candidate_close(&theirs);
    candidate_close(&mine);
    assert_status(SC_OK, sc_close(other));
    proxy_stop(relay);
}

/* --- a crowd */

#define CROWD 4
#define LEADERSHIPS 12

/* What the leader writes to, in memory that all processes share: it refuses a term below the
   highest it has seen. */
typedef struct fenced {
    int64_t term; /* atomic */
    int64_t ttl_ms;
} fenced;

static bool fenced_write(fenced *resource, int64_t term)
{
    int64_t seen = __atomic_load_n(&resource->term, __ATOMIC_ACQUIRE);
    while (seen < term)
        if (__atomic_compare_exchange_n(&resource->term, &seen, term, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return true;
    return seen == term;
}

/* Who is refused and still leads afterwards has met another leader. */
static int crowded_worker(processes *shared, size_t index, void *user)
{
    fenced *resource = (fenced *)user;
    sc_client *client = NULL;
    sc_election *election = NULL;
    int64_t last = 0;
    if (worker_open(resource->ttl_ms, &client, &election) != SC_OK)
        return 1;
    while (processes_read(shared, LEADING) < LEADERSHIPS * CROWD) {
        if (sc_election_await(election, 100) != SC_OK)
            continue;
        int64_t term = sc_election_term(election);
        for (int i = 0; term && i < 20; i++) {
            bool is_taken = fenced_write(resource, term);
            if (!is_taken && sc_election_term(election) == term)
                return 2;
        }
        if (term && term != last)
            processes_note(shared, index, 0, term);
        if (term && term <= last)
            return 3;
        last = term ? term : last;
        processes_add(shared, LEADING, term ? 1 : 0);
        if (sc_election_resign(election) != SC_OK || sc_election_campaign(election) != SC_OK)
            return 4;
    }
    sc_election_close(election);
    return sc_close(client) == SC_OK ? 0 : 5;
}

static void in_a_crowd_one_leads_at_a_time_and_terms_rise(void **state)
{
    fenced *resource = (fenced *)mmap(NULL, sizeof *resource, PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    (void)state;
    assert_true(resource != MAP_FAILED);
    resource->ttl_ms = NEVER_MS; /* only messages hand over */
    processes *shared = processes_start(CROWD, crowded_worker, resource);
    bool is_good = processes_join(shared);
    size_t notes = processes_notes(shared);
    assert_true(is_good);
    assert_true(notes >= LEADERSHIPS * CROWD);
    for (size_t i = 1; i < notes; i++)
        assert_true(processes_note_at(shared, i).value > processes_note_at(shared, i - 1).value);
    processes_free(shared);
    munmap(resource, sizeof *resource);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        bare_unit_test(a_killed_leader_is_followed_when_its_lease_ends),
        bare_unit_test(a_stopped_leader_that_goes_on_knows_at_once),
        bare_unit_test(a_server_that_restarts_empty_costs_the_leadership_and_terms_still_rise),
        client_unit_test(a_server_that_stands_still_costs_the_leadership_and_it_comes_back),
        client_unit_test(an_observer_that_was_cut_off_looks_when_it_listens_again),
        bare_unit_test(in_a_crowd_one_leads_at_a_time_and_terms_rise),
    };
    return run_on_both_wires("elections in trouble", tests);
}
