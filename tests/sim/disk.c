/* Disks: files that outlive their process, and lose what was not synced when their host crashes. */

#include "world.h"

#include <stdlib.h>
#include <string.h>

#define FILES_MAX 32
#define PATH_MAX_BYTES 64

typedef struct stored {
    char path[PATH_MAX_BYTES];
    int server;
    char *bytes;
    size_t len;
    size_t cap;
    size_t synced;
    int64_t dirty_ns; /* when the first byte that is not synced was written */
    const sim_process *holder;
    bool exists;
    char durable_path[PATH_MAX_BYTES]; /* what the folder calls it after a crash; "": nothing */
    char *old;                         /* as it was once */
    size_t old_len;
    int64_t old_ns;
} stored;

typedef struct handle {
    stored *file;
    const sim_process *owner;
    bool holds;
} handle;

static stored files[FILES_MAX];
static int64_t folder_dirty_ns[SIM_PROCESSES]; /* when it was first changed and not synced */

void sim_disk_reset(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        free(files[i].bytes);
        free(files[i].old);
    }
    memset(files, 0, sizeof files);
    for (int i = 0; i < SIM_PROCESSES; i++)
        folder_dirty_ns[i] = SIM_NEVER;
}

static void folder_soil(int server)
{
    if (folder_dirty_ns[server] > sim.now_ns)
        folder_dirty_ns[server] = sim.now_ns;
}

static stored *file_find(int server, const char *path)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].exists && files[i].server == server && !strcmp(files[i].path, path))
            return &files[i];
    return NULL;
}

static stored *file_make(int server, const char *path)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].exists || files[i].holder || files[i].durable_path[0])
            continue;
        free(files[i].bytes);
        free(files[i].old);
        memset(&files[i], 0, sizeof files[i]);
        snprintf(files[i].path, sizeof files[i].path, "%s", path);
        files[i].server = server;
        files[i].exists = true;
        folder_soil(server);
        return &files[i];
    }
    fprintf(stderr, "sim: too many files\n");
    exit(2);
}

static sc_status disk_open(void *user, const sc_memory *memory, const char *path, sc_file_mode mode,
                           void **made)
{
    const sim_process *self = (const sim_process *)user;
    stored *file = file_find(self->id, path);
    (void)memory;
    if (!file && mode == SC_FILE_READ)
        return sc_fail(SC_MISS, "%s: no such file", path);
    if (!file)
        file = file_make(self->id, path);
    if (mode == SC_FILE_CREATE)
        file->len = file->synced = 0;
    handle *h = (handle *)calloc(1, sizeof *h);
    h->file = file;
    h->owner = self;
    *made = h;
    return SC_OK;
}

static sc_status disk_size(void *made, uint64_t *bytes)
{
    *bytes = ((const handle *)made)->file->len;
    return SC_OK;
}

static sc_status disk_fetch(void *made, uint64_t offset, void *buffer, size_t cap, size_t *count)
{
    const stored *file = ((const handle *)made)->file;
    size_t rest = offset < file->len ? file->len - (size_t)offset : 0;
    *count = rest < cap ? rest : cap;
    if (*count)
        memcpy(buffer, file->bytes + offset, *count);
    return SC_OK;
}

static sc_status disk_append(void *made, const void *data, size_t len, size_t *count)
{
    stored *file = ((const handle *)made)->file;
    if (file->len + len > file->cap) {
        file->cap = 2 * (file->len + len);
        file->bytes = (char *)realloc(file->bytes, file->cap);
    }
    if (file->synced == file->len)
        file->dirty_ns = sim.now_ns;
    memcpy(file->bytes + file->len, data, len);
    file->len += len;
    *count = len;
    sim_mix(UINT64_C(3) << 32, len);
    return SC_OK;
}

static sc_status disk_cut(void *made, uint64_t bytes)
{
    stored *file = ((const handle *)made)->file;
    file->len = (size_t)bytes;
    if (file->synced > file->len)
        file->synced = file->len;
    return SC_OK;
}

static sc_status disk_sync(void *made)
{
    stored *file = ((const handle *)made)->file;
    file->synced = file->len;
    return SC_OK;
}

static sc_status disk_hold(void *made)
{
    handle *h = (handle *)made;
    if (h->file->holder && h->file->holder->is_alive)
        return sc_fail(SC_HELD, "another holds it");
    h->file->holder = h->owner;
    h->holds = true;
    return SC_OK;
}

static void disk_shut(void *made)
{
    handle *h = (handle *)made;
    if (h->holds)
        h->file->holder = NULL;
    free(h);
}

static sc_status disk_rename(void *user, const char *from, const char *to)
{
    const sim_process *self = (const sim_process *)user;
    stored *file = file_find(self->id, from);
    stored *replaced = file_find(self->id, to);
    if (!file)
        return sc_fail(SC_ERR_IO, "%s: no such file", from);
    if (replaced)
        replaced->exists = false;
    snprintf(file->path, sizeof file->path, "%s", to);
    folder_soil(self->id);
    return SC_OK;
}

static sc_status disk_remove(void *user, const char *path)
{
    const sim_process *self = (const sim_process *)user;
    stored *file = file_find(self->id, path);
    if (!file)
        return sc_fail(SC_MISS, "%s: no such file", path);
    file->exists = false;
    folder_soil(self->id);
    return SC_OK;
}

static sc_status disk_sync_folder(void *user, const char *path)
{
    const sim_process *self = (const sim_process *)user;
    (void)path;
    folder_dirty_ns[self->id] = SIM_NEVER;
    for (int i = 0; i < FILES_MAX; i++) {
        stored *file = &files[i];
        if (file->server != self->id)
            continue;
        memset(file->durable_path, 0, sizeof file->durable_path);
        if (file->exists)
            memcpy(file->durable_path, file->path, sizeof file->durable_path);
    }
    return SC_OK;
}

void sim_disk_tables(sim_process *process)
{
    sc_files *table = &process->files;
    table->user = process;
    table->open = disk_open;
    table->size = disk_size;
    table->fetch = disk_fetch;
    table->append = disk_append;
    table->cut = disk_cut;
    table->sync = disk_sync;
    table->hold = disk_hold;
    table->shut = disk_shut;
    table->rename = disk_rename;
    table->remove = disk_remove;
    table->sync_folder = disk_sync_folder;
}

void sim_disk_process_gone(const sim_process *process)
{
    for (int i = 0; i < FILES_MAX; i++)
        if (files[i].holder == process)
            files[i].holder = NULL;
}

/* The folder is as it was when it was synced. True when that is another. */
static bool folder_go_back(int server)
{
    bool is_other = false;
    for (int i = 0; i < FILES_MAX; i++) {
        stored *file = &files[i];
        bool was_there = file->durable_path[0] != '\0';
        if (file->server != server || (!file->exists && !was_there))
            continue;
        is_other |= file->exists != was_there || strcmp(file->path, file->durable_path) != 0;
        file->exists = was_there;
        memcpy(file->path, file->durable_path, sizeof file->path);
    }
    return is_other;
}

int64_t sim_disk_crash(int server, sim_random *random)
{
    int64_t since_ns = SIM_NEVER;
    if (sim_chance(random, 0.5) && folder_go_back(server))
        since_ns = folder_dirty_ns[server];
    for (int i = 0; i < FILES_MAX; i++) {
        stored *file = &files[i];
        if (!file->exists || file->server != server || file->synced >= file->len)
            continue;
        file->len = (size_t)sim_between(random, (int64_t)file->synced, (int64_t)file->len);
        if (file->dirty_ns < since_ns)
            since_ns = file->dirty_ns;
    }
    return since_ns;
}

void sim_disk_erase(int server)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].server != server)
            continue;
        files[i].exists = false;
        files[i].durable_path[0] = '\0';
    }
}

void sim_disk_keep_old(int server)
{
    for (int i = 0; i < FILES_MAX; i++) {
        stored *file = &files[i];
        if (!file->exists || file->server != server || file->len == 0)
            continue;
        free(file->old);
        file->old = (char *)malloc(file->len);
        memcpy(file->old, file->bytes, file->len);
        file->old_len = file->len;
        file->old_ns = sim.now_ns;
    }
}

int64_t sim_disk_bring_old(int server)
{
    int64_t since_ns = SIM_NEVER;
    for (int i = 0; i < FILES_MAX; i++) {
        stored *file = &files[i];
        if (!file->exists || file->server != server || !file->old)
            continue;
        memcpy(file->bytes, file->old, file->old_len);
        file->len = file->synced = file->old_len;
        if (file->old_ns < since_ns)
            since_ns = file->old_ns;
    }
    return since_ns;
}
