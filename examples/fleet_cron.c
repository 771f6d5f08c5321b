/* A cron job once in a fleet: three processes have the same job, one of them does it each time that it
   is due. The one that leads is killed in the middle; another goes on, and nothing is done twice.

       cc -O2 -I. -o fleet_cron examples/fleet_cron.c -pthread
       ./fleet_cron [redis://localhost:6379]

   Any Redis or Valkey will do, and no other program has to take part. */
#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 3
#define SECONDS 2 /* of watching each of two leaders */

static const char *url;

static void must(bool is_fine, const char *what)
{
    if (is_fine)
        return;
    fprintf(stderr, "%s: %s\n", what, sc_error_text());
    exit(1);
}

static sc_client *connect_to_server(void)
{
    sc_config config = {0};
    sc_client *client = NULL;
    config.url = url;
    must(sc_open(&config, &client) == SC_OK, "no client");
    return client;
}

/* What is to be done once: here it counts, for each time, how often it was done. */
static sc_status send_report(sc_job_run *run, void *user)
{
    char due[24];
    char process[24];
    sc_client *client = (sc_client *)user;
    snprintf(due, sizeof due, "%lld", (long long)(sc_job_due_ms(run) / 1000));
    snprintf(process, sizeof process, "%ld", (long)getpid());
    printf("%s: sent by process %s\n", due, process);
    fflush(stdout);
    sc_status status = sc_command_strings(client, NULL, "HINCRBY", "fleet_cron:times", due, "1",
                                          (const char *)NULL);
    if (status == SC_OK)
        status =
            sc_command_strings(client, NULL, "SET", "fleet_cron:by", process, (const char *)NULL);
    return status;
}

static void be_one_of_them(void)
{
    sc_client *client = connect_to_server();
    sc_election_config election_config = {0};
    sc_job_config job_config = {0};
    sc_election *election = NULL;
    sc_job *job = NULL;
    election_config.key = sc_text("fleet_cron:leader");
    election_config.ttl_ms = 1000; /* so long nobody leads after a crash */
    must(sc_election_open(client, &election_config, &election) == SC_OK, "no election");
    job_config.name = "fleet_cron:report"; /* no keys: it is a task */
    job_config.cron = "* * * * * *";       /* each second; "30 6 * * mon-fri" is more usual */
    job_config.zone = "Europe/Berlin";
    job_config.fetch = send_report;
    job_config.user = client;
    must(sc_job_open(election, &job_config, &job) == SC_OK, "no job");
    must(sc_election_campaign(election) == SC_OK, "no campaign");
    for (;;)
        pause();
}

static void remove_all(sc_client *client)
{
    must(sc_command_strings(client, NULL, "DEL", "fleet_cron:times", "fleet_cron:by",
                            "fleet_cron:leader", "sc:job{fleet_cron:report}",
                            (const char *)NULL) == SC_OK,
         "DEL");
}

/* Who did it last. */
static long worker(sc_client *client)
{
    int64_t process = 0;
    sc_reply *reply = NULL;
    must(sc_command_strings(client, &reply, "GET", "fleet_cron:by", (const char *)NULL) == SC_OK,
         "GET");
    if (!sc_item_is_nil(sc_reply_item(reply)))
        process = atoll(sc_item_slice(sc_reply_item(reply)).data);
    sc_reply_release(reply);
    return (long)process;
}

int main(int argc, char **argv)
{
    pid_t processes[PROCESSES];
    size_t times = 0;
    size_t twice = 0;
    url = argc > 1 ? argv[1] : NULL;
    sc_client *client = connect_to_server();
    remove_all(client);
    (void)sc_close(client);
    for (size_t i = 0; i < PROCESSES; i++) {
        processes[i] = fork();
        if (processes[i] == 0)
            be_one_of_them();
    }
    client = connect_to_server();
    long first = 0;
    while ((first = worker(client)) == 0)
        usleep(50000);
    sleep(SECONDS);
    for (size_t i = 0; i < PROCESSES; i++)
        if (processes[i] == (pid_t)first)
            kill(processes[i], SIGKILL);
    printf("process %ld was killed\n", first);
    while (worker(client) == first)
        usleep(50000);
    sleep(SECONDS);

    sc_reply *reply = NULL;
    must(sc_command_strings(client, &reply, "HVALS", "fleet_cron:times", (const char *)NULL) ==
             SC_OK,
         "HVALS");
    for (const sc_item *each = sc_item_first(sc_reply_item(reply)); each;
         each = sc_item_next(sc_reply_item(reply), each)) {
        times++;
        twice += sc_item_slice(each).len != 1 || sc_item_slice(each).data[0] != '1';
    }
    sc_reply_release(reply);
    for (size_t i = 0; i < PROCESSES; i++) {
        kill(processes[i], SIGKILL);
        waitpid(processes[i], NULL, 0);
    }
    remove_all(client);
    (void)sc_close(client);
    printf("%zu times, %zu of them done twice; another process took over\n", times, twice);
    return times > 0 && twice == 0 ? 0 : 1;
}
