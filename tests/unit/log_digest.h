#pragma once
/* What a server has, as a number: the same for the same data, however it lies in memory. For tests
   that have the implementation in them. */

typedef struct log_digest {
    sci_dump dump; /* first */
    uint64_t sum;
    const sci_db *db;
    sci_entry *entry;
    uint64_t list; /* of the entry's elements, in order */
    uint64_t bag;  /* or in none */
} log_digest;

static uint64_t log_digest_add(uint64_t before, sc_slice word)
{
    sci_hash_seed seed;
    seed.k0 = before;
    seed.k1 = 42;
    return sci_hash(&seed, word);
}

static sc_status log_digest_command(sci_dump *dump, const sc_slice *argv, size_t argc)
{
    log_digest *digest = (log_digest *)(void *)dump;
    bool is_pairs = digest->entry->type == SCI_HASH || digest->entry->type == SCI_ZSET;
    if (digest->entry->type != SCI_SET && !is_pairs) {
        for (size_t i = 2; i < argc; i++)
            digest->list = log_digest_add(digest->list, argv[i]);
    } else if (sci_word_is(argv[0], "pexpireat")) {
        digest->list = log_digest_add(digest->list, argv[2]);
    } else {
        for (size_t i = 2; i < argc; i += is_pairs ? 2 : 1)
            digest->bag += log_digest_add(is_pairs ? log_digest_add(1, argv[i + 1]) : 1, argv[i]);
    }
    return SC_OK;
}

static void log_digest_visit(void *user, sci_entry *entry)
{
    log_digest *digest = (log_digest *)user;
    char type = (char)entry->type;
    digest->entry = entry;
    digest->bag = 0;
    digest->list =
        log_digest_add(log_digest_add(digest->db->index, sci_entry_key(entry)), sc_bytes(&type, 1));
    (void)sci_entry_dump(digest->db, entry, &digest->dump);
    digest->sum += log_digest_add(digest->list, sc_bytes(&digest->bag, sizeof digest->bag));
}

static inline uint64_t log_digest_of(sc_server *server)
{
    log_digest digest;
    memset(&digest, 0, sizeof digest);
    digest.dump.command = log_digest_command;
    for (int i = 0; i < server->db_count; i++) {
        uint64_t cursor = 0;
        digest.db = &server->dbs[i];
        do
            cursor = sci_db_walk(&server->dbs[i], cursor, log_digest_visit, &digest);
        while (cursor != 0);
    }
    return digest.sum;
}
