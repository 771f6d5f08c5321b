/* Jobs: the threads that fetch. They are started when there is work, and end after it. */

#include "base/error.h"
#include "cache/job.h"

SCI_PRIVATE sc_status sci_workers_use(sc_client *client)
{
    sci_workers *workers = client->workers;
    if (!workers) {
        workers = (sci_workers *)sci_alloc_zeroed(&client->memory, sizeof *workers);
        if (!workers)
            return SC_ERR_MEMORY;
        workers->client = client;
        sci_list_init(&workers->queue);
        client->workers = workers;
    }
    workers->users++;
    return SC_OK;
}

SCI_PRIVATE void sci_workers_let_go(sc_client *client)
{
    sci_workers *workers = client->workers;
    if (--workers->users > 0)
        return;
    client->workers = NULL;
    sci_free(&client->memory, workers, sizeof *workers);
}

SC_API sc_status sc_job_workers(sc_client *client, size_t count)
{
    if (count < 1 || count > SCI_JOB_WORKERS)
        return sc_fail(SC_ERR_ARGUMENT, "sc_job_workers: %zu threads; 1 to %d are possible", count,
                       SCI_JOB_WORKERS);
    sc_status status = sci_client_enter(client);
    if (status != SC_OK)
        return status;
    client->worker_threads = (uint32_t)count;
    sci_client_leave(client);
    return SC_OK;
}

/* The parent's threads are not the child's. */
SCI_PRIVATE void sci_workers_forked(sc_client *client)
{
    sci_workers *workers = client->workers;
    workers->users -= workers->count;
    workers->count = 0;
    sci_list_init(&workers->queue);
}

/* --- Fetching */

/* Locked on entry and exit: call the function. */
static void sci_job_fetch_here(sc_job_run *run)
{
    const sc_job *job = run->job;
    sc_client *client = job->client;
    sc_status status = SC_OK;
    bool is_wanted = !sci_atomic_load_acquire(&run->is_over);
    run->fetcher = sci_thread_self();
    if (is_wanted)
        sci_job_run_limit(run);
    sci_client_unlock(client);
    sci_error_text_set("", 0);
    if (is_wanted)
        status = job->config.start ? job->config.start(run, job->config.user)
                                   : job->config.fetch(run, job->config.user);
    if (status != SC_OK && !*sc_error_text())
        (void)sci_job_say(job, status, "could not be fetched");
    sci_loop_lock(&client->loop);
    run->fetcher = 0;
    if (!is_wanted || !job->config.start || status != SC_OK)
        sci_job_run_fetched(run, status);
}

static void sci_job_fetch_post(sci_post *post)
{
    sc_job_run *run = SCI_CONTAINER(post, sc_job_run, post);
    sc_client *client = run->job->client;
    sci_client_retain(client);
    sci_loop_lock(&client->loop);
    sci_job_fetch_here(run);
    sci_client_unlock(client);
    sci_client_release(client);
}

#ifndef SMARTCACHE_NO_THREADS

/* It counts as a caller, so that sc_close waits for the function. */
static void *sci_worker_run(void *argument)
{
    sci_workers *workers = (sci_workers *)argument;
    sc_client *client = workers->client;
    sci_loop_lock(&client->loop);
    for (sci_link *link = sci_list_take_first(&workers->queue); link;
         link = sci_list_take_first(&workers->queue))
        sci_job_fetch_here(SCI_CONTAINER(link, sc_job_run, link));
    workers->count--;
    sci_workers_let_go(client);
    sci_client_leave(client);
    return NULL;
}

/* False: no thread can be had, and none is there. */
static bool sci_workers_start(sci_workers *workers)
{
    sc_client *client = workers->client;
    size_t most = client->worker_threads ? client->worker_threads : 1;
    if (workers->count >= most)
        return true;
    workers->count++;
    workers->users++;
    (void)sci_atomic_add(&client->callers, 1);
    if (sci_thread_start_detached(sci_worker_run, workers) == SC_OK)
        return true;
    workers->count--;
    workers->users--;
    (void)sci_atomic_subtract(&client->callers, 1);
    return workers->count > 0;
}

SCI_PRIVATE void sci_job_run_fetch(sc_job_run *run)
{
    sc_client *client = run->job->client;
    if (run->job->config.start || client->config.polled) {
        run->post.run = sci_job_fetch_post;
        sci_loop_post(&client->loop, &run->post);
        return;
    }
    sci_list_append(&client->workers->queue, &run->link);
    if (sci_workers_start(client->workers))
        return;
    sci_job_run_fail(run, sci_job_say(run->job, SC_ERR_MEMORY, "has no thread to fetch on"));
}

#else

SCI_PRIVATE void sci_job_run_fetch(sc_job_run *run)
{
    run->post.run = sci_job_fetch_post;
    sci_loop_post(&run->job->client->loop, &run->post);
}

#endif
