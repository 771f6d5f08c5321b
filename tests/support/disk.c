/* A disk in memory. */
#include "disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 64 /* what a crash loses or keeps */

typedef struct disk_file {
    sc_memory memory;
    disk *on;
    disk_node *node;
    bool can_write;
} disk_file;

/* xorshift64* (S. Vigna, 2016): the same numbers in every run. */
static uint64_t disk_random(disk *self)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return self->random * UINT64_C(2685821657736338717);
}

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "disk: %s\n", what);
    abort();
}

/* --- nodes and names; locked */

static void disk_drop(disk *self, disk_node *node)
{
    if (!node || --node->links > 0)
        return;
    self->room += node->allocated;
    free(node->bytes);
    free(node);
}

static disk_name *disk_find(disk *self, const char *text)
{
    for (size_t i = 0; i < DISK_NAMES; i++)
        if (strcmp(self->names[i].text, text) == 0)
            return &self->names[i];
    return NULL;
}

static disk_name *disk_name_for(disk *self, const char *text)
{
    disk_name *name = disk_find(self, text);
    if (name)
        return name;
    name = disk_find(self, "");
    must(name != NULL && strlen(text) < DISK_NAME_BYTES, "too many names, or a long one");
    strcpy(name->text, text);
    return name;
}

static void disk_point(disk *self, disk_node **at, disk_node *node)
{
    if (node)
        node->links++;
    disk_drop(self, *at);
    *at = node;
}

static disk_node *disk_node_new(void)
{
    disk_node *node = (disk_node *)calloc(1, sizeof *node);
    must(node != NULL, "no memory");
    return node;
}

/* As much of `more` as there is room for, after `size`. */
static size_t disk_allocate(disk *self, disk_node *node, size_t size, size_t more)
{
    size_t end = size + more;
    if (end <= node->allocated)
        return more;
    size_t needed = end - node->allocated;
    size_t taken = needed < self->room ? needed : self->room;
    self->room -= taken;
    node->allocated += taken;
    return node->allocated - size < more ? node->allocated - size : more;
}

static void disk_write(disk_node *node, const void *data, size_t len)
{
    if (node->size + len > node->cap) {
        node->cap = 2 * (node->size + len);
        node->bytes = (char *)realloc(node->bytes, node->cap);
        must(node->bytes != NULL, "no memory");
    }
    if (len > 0)
        memcpy(node->bytes + node->size, data, len);
    node->size += len;
}

static void disk_cut_node(disk *self, disk_node *node, size_t size)
{
    node->size = size;
    if (node->durable > size)
        node->durable = size;
    if (node->forgotten_end > size)
        node->forgotten_end = size;
    if (node->allocated > size) {
        self->room += node->allocated - size;
        node->allocated = size;
    }
}

/* --- the table. Each call locks, counts, and may have to fail. */

static bool disk_begin(disk *self, disk_op op)
{
    pthread_mutex_lock(&self->lock);
    self->count[op]++;
    if (self->is_dead)
        return false;
    if (!self->fail_at || !(self->fail_mask & (1u << op)))
        return true;
    self->calls++;
    return self->calls < self->fail_at || (self->calls > self->fail_at && !self->fails_for_good);
}

static sc_status disk_end(disk *self, sc_status status)
{
    pthread_mutex_unlock(&self->lock);
    return status == SC_ERR_IO ? self->fail(status, "the disk failed as it was asked to") : status;
}

static sc_status disk_open(void *user, const sc_memory *memory, const char *path, sc_file_mode mode,
                           void **file)
{
    disk *self = (disk *)user;
    *file = NULL;
    if (!disk_begin(self, DISK_OPEN))
        return disk_end(self, SC_ERR_IO);
    disk_name *name = disk_find(self, path);
    if (mode == SC_FILE_READ && (!name || !name->node)) {
        disk_end(self, SC_OK);
        return self->fail(SC_MISS, "there is no %s", path);
    }
    disk_file *made = (disk_file *)memory->resize(memory->user, NULL, 0, sizeof *made);
    if (!made) {
        disk_end(self, SC_OK);
        return self->fail(SC_ERR_MEMORY, "out of memory: no file");
    }
    name = disk_name_for(self, path);
    if (!name->node)
        disk_point(self, &name->node, disk_node_new());
    if (mode == SC_FILE_CREATE)
        disk_cut_node(self, name->node, 0);
    made->memory = *memory;
    made->on = self;
    made->node = name->node;
    made->can_write = mode != SC_FILE_READ;
    made->node->links++;
    self->handles++;
    *file = made;
    return disk_end(self, SC_OK);
}

static void disk_shut(void *user)
{
    disk_file *file = (disk_file *)user;
    disk *self = file->on;
    sc_memory memory = file->memory;
    pthread_mutex_lock(&self->lock);
    if (file->node->holder == file)
        file->node->holder = NULL;
    disk_drop(self, file->node);
    self->handles--;
    pthread_mutex_unlock(&self->lock);
    memory.resize(memory.user, file, sizeof *file, 0);
}

static sc_status disk_size(void *user, uint64_t *bytes)
{
    const disk_file *file = (const disk_file *)user;
    bool works = disk_begin(file->on, DISK_SIZE);
    *bytes = works ? file->node->size : 0;
    return disk_end(file->on, works ? SC_OK : SC_ERR_IO);
}

/* Gives no more than asked, and sometimes less. */
static sc_status disk_fetch(void *user, uint64_t offset, void *buffer, size_t cap, size_t *count)
{
    const disk_file *file = (const disk_file *)user;
    const disk_node *node = file->node;
    bool works = disk_begin(file->on, DISK_FETCH);
    *count = 0;
    if (works && offset < node->size) {
        size_t rest = node->size - (size_t)offset;
        *count = cap < rest ? cap : rest;
        if (*count > 1 && disk_random(file->on) % 4 == 0)
            *count /= 2;
        memcpy(buffer, node->bytes + offset, *count);
    }
    return disk_end(file->on, works ? SC_OK : SC_ERR_IO);
}

static sc_status disk_append(void *user, const void *data, size_t len, size_t *count)
{
    const disk_file *file = (const disk_file *)user;
    disk *self = file->on;
    bool works = disk_begin(self, DISK_APPEND) && file->can_write;
    bool is_full = false;
    *count = 0;
    if (!self->is_dead) {
        size_t may = works ? len : len / 2;
        if (may > self->life) {
            may = (size_t)self->life;
            self->is_dead = true;
            works = false;
        }
        size_t fits = disk_allocate(self, file->node, file->node->size, may);
        is_full = fits < may;
        disk_write(file->node, data, fits);
        self->life -= self->life == UINT64_MAX ? 0 : fits;
        *count = fits;
    }
    sc_status status = disk_end(self, works && !is_full ? SC_OK : SC_ERR_IO);
    return is_full ? self->fail(SC_ERR_IO, "no space left on the disk") : status;
}

static sc_status disk_reserve(void *user, uint64_t bytes)
{
    const disk_file *file = (const disk_file *)user;
    disk *self = file->on;
    bool works = disk_begin(self, DISK_RESERVE);
    if (!works || self->has_no_reserve)
        return disk_end(self, works ? SC_ERR_UNSUPPORTED : SC_ERR_IO);
    size_t before = file->node->allocated;
    bool is_full = disk_allocate(self, file->node, file->node->size, (size_t)bytes) < bytes;
    if (is_full) {
        self->room += file->node->allocated - before;
        file->node->allocated = before;
    }
    (void)disk_end(self, SC_OK);
    return is_full ? self->fail(SC_ERR_IO, "no space left on the disk") : SC_OK;
}

static sc_status disk_cut(void *user, uint64_t bytes)
{
    const disk_file *file = (const disk_file *)user;
    bool works = disk_begin(file->on, DISK_CUT);
    must(bytes <= file->node->size, "cut to more than there is");
    if (works)
        disk_cut_node(file->on, file->node, (size_t)bytes);
    return disk_end(file->on, works ? SC_OK : SC_ERR_IO);
}

static sc_status disk_sync(void *user)
{
    const disk_file *file = (const disk_file *)user;
    disk *self = file->on;
    bool works = disk_begin(self, DISK_SYNC);
    size_t size = file->node->size;
    self->syncs_waiting++;
    pthread_cond_broadcast(&self->changed);
    while (self->is_sync_stopped)
        pthread_cond_wait(&self->changed, &self->lock);
    self->syncs_waiting--;
    /* It may have been cut meanwhile. */
    if (size > file->node->size)
        size = file->node->size;
    if (!works && !self->is_dead && file->node->durable < size) {
        if (file->node->forgotten_end <= file->node->forgotten)
            file->node->forgotten = file->node->durable;
        file->node->forgotten_end = size;
    }
    if (works && file->node->durable < size)
        file->node->durable = size;
    return disk_end(self, works ? SC_OK : SC_ERR_IO);
}

static sc_status disk_hold(void *user)
{
    disk_file *file = (disk_file *)user;
    disk *self = file->on;
    bool works = disk_begin(self, DISK_HOLD);
    bool is_held = file->node->holder && file->node->holder != file;
    if (works && !is_held)
        file->node->holder = file;
    (void)disk_end(self, SC_OK);
    if (works && is_held)
        return self->fail(SC_HELD, "another server has it");
    return works ? SC_OK : self->fail(SC_ERR_IO, "the disk failed as it was asked to");
}

static sc_status disk_rename(void *user, const char *from, const char *to)
{
    disk *self = (disk *)user;
    bool works = disk_begin(self, DISK_RENAME);
    disk_name *name = disk_find(self, from);
    if (works && name && name->node) {
        disk_point(self, &disk_name_for(self, to)->node, name->node);
        disk_point(self, &name->node, NULL);
    }
    return disk_end(self, works && name ? SC_OK : SC_ERR_IO);
}

static sc_status disk_remove(void *user, const char *path)
{
    disk *self = (disk *)user;
    bool works = disk_begin(self, DISK_REMOVE);
    disk_name *name = disk_find(self, path);
    bool is_there = name && name->node;
    if (works && is_there)
        disk_point(self, &name->node, NULL);
    return disk_end(self, !works ? SC_ERR_IO : is_there ? SC_OK : SC_MISS);
}

static sc_status disk_sync_folder(void *user, const char *path)
{
    disk *self = (disk *)user;
    bool works = disk_begin(self, DISK_SYNC_FOLDER);
    (void)path;
    for (size_t i = 0; i < DISK_NAMES && works; i++)
        disk_point(self, &self->names[i].durable, self->names[i].node);
    return disk_end(self, works ? SC_OK : SC_ERR_IO);
}

/* --- for tests */

void disk_init(disk *self, size_t room, disk_fails fail)
{
    memset(self, 0, sizeof *self);
    self->fail = fail;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    self->room = room;
    self->life = UINT64_MAX;
    self->random = 88172645463325252u;
    self->table.user = self;
    self->table.open = disk_open;
    self->table.size = disk_size;
    self->table.fetch = disk_fetch;
    self->table.append = disk_append;
    self->table.reserve = disk_reserve;
    self->table.cut = disk_cut;
    self->table.sync = disk_sync;
    self->table.hold = disk_hold;
    self->table.shut = disk_shut;
    self->table.rename = disk_rename;
    self->table.remove = disk_remove;
    self->table.sync_folder = disk_sync_folder;
}

bool disk_free(disk *self)
{
    size_t handles = self->handles;
    if (handles)
        fprintf(stderr, "disk: %zu files are still open\n", handles);
    for (size_t i = 0; i < DISK_NAMES; i++) {
        disk_point(self, &self->names[i].node, NULL);
        disk_point(self, &self->names[i].durable, NULL);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    return handles == 0;
}

void disk_fail(disk *self, unsigned mask, size_t call, bool for_good)
{
    pthread_mutex_lock(&self->lock);
    self->fail_mask = mask;
    self->calls = 0;
    self->fail_at = call;
    self->fails_for_good = for_good;
    pthread_mutex_unlock(&self->lock);
}

void disk_die_after(disk *self, uint64_t bytes)
{
    pthread_mutex_lock(&self->lock);
    self->life = bytes;
    pthread_mutex_unlock(&self->lock);
}

void disk_restart(disk *self)
{
    pthread_mutex_lock(&self->lock);
    must(self->handles == 0, "a process is gone, but its files are open");
    self->life = UINT64_MAX;
    self->is_dead = false;
    self->fail_at = 0;
    for (size_t i = 0; i < DISK_NAMES; i++)
        if (self->names[i].node)
            self->names[i].node->forgotten_end = 0;
    pthread_mutex_unlock(&self->lock);
}

/* What was not synced: some blocks are there, some are zeros, and the end is anywhere. */
static void disk_crash_node(disk *self, disk_node *node, bool by_chance)
{
    size_t size = node->durable;
    if (by_chance && node->size > node->durable) {
        size += (size_t)(disk_random(self) % (node->size - node->durable + 1));
        for (size_t at = node->durable; at < size; at += BLOCK_BYTES)
            if (disk_random(self) % 2)
                memset(node->bytes + at, 0, size - at < BLOCK_BYTES ? size - at : BLOCK_BYTES);
    }
    disk_cut_node(self, node, size);
    node->durable = size;
    if (node->forgotten < node->forgotten_end)
        memset(node->bytes + node->forgotten, 0, node->forgotten_end - node->forgotten);
    node->forgotten_end = 0;
}

void disk_crash(disk *self, uint64_t seed)
{
    pthread_mutex_lock(&self->lock);
    if (seed)
        self->random = seed;
    for (size_t i = 0; i < DISK_NAMES; i++) {
        disk_name *name = &self->names[i];
        if (seed == 0 || disk_random(self) % 2)
            disk_point(self, &name->node, name->durable);
        if (name->node)
            disk_crash_node(self, name->node, seed != 0);
    }
    pthread_mutex_unlock(&self->lock);
    disk_restart(self);
}

void disk_set_room(disk *self, size_t room)
{
    pthread_mutex_lock(&self->lock);
    self->room = room;
    pthread_mutex_unlock(&self->lock);
}

size_t disk_room(disk *self)
{
    pthread_mutex_lock(&self->lock);
    size_t room = self->room;
    pthread_mutex_unlock(&self->lock);
    return room;
}

void disk_stop_syncs(disk *self, bool stopped)
{
    pthread_mutex_lock(&self->lock);
    self->is_sync_stopped = stopped;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

size_t disk_syncs_waiting(disk *self)
{
    pthread_mutex_lock(&self->lock);
    size_t waiting = self->syncs_waiting;
    pthread_mutex_unlock(&self->lock);
    return waiting;
}

size_t disk_calls(disk *self, disk_op op)
{
    pthread_mutex_lock(&self->lock);
    size_t calls = self->count[op];
    pthread_mutex_unlock(&self->lock);
    return calls;
}

const char *disk_look(disk *self, const char *name, size_t *size)
{
    const disk_name *found = disk_find(self, name);
    *size = 0;
    if (!found || !found->node)
        return NULL;
    *size = found->node->size;
    return found->node->bytes ? found->node->bytes : "";
}

void disk_put(disk *self, const char *name, const char *bytes, size_t size)
{
    disk_name *at = disk_name_for(self, name);
    disk_point(self, &at->node, disk_node_new());
    must(disk_allocate(self, at->node, 0, size) == size, "no room");
    disk_write(at->node, bytes, size);
    at->node->durable = size;
    disk_point(self, &at->durable, at->node);
}

void disk_flip(disk *self, const char *name, size_t at, int bits)
{
    disk_node *node = disk_find(self, name)->node;
    must(at < node->size, "no such byte");
    node->bytes[at] = (char)(node->bytes[at] ^ bits);
}
