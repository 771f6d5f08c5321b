/* Reading replies and writing commands, side by side with hiredis: the same bytes, in one run,
   alternating. A stream of replies comes in pieces as from a socket. hiredis copies each piece into
   its own buffer; ours reads the piece where it was received. Both give every reply back.

   cc -O2 -I. bench/codec.c -lhiredis -pthread && ./a.out */

#define SMARTCACHE_IMPLEMENTATION
#include "smartcache.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 9
#define ROUND_NS 12000000
#define PIECE_BYTES ((size_t)16 * 1024)
#define STREAM_BYTES (16 * PIECE_BYTES)
#define INLINE_ITEMS 8
#define KEEP_ITEMS 256
/* Commands that gather before they are sent. */
#define BATCH_COMMANDS 64
#define VALUE_BYTES 64

/* What one round works on. */
typedef struct codec_work {
    char *stream;
    size_t stream_bytes;
    size_t replies;  /* in the stream */
    size_t elements; /* of each reply */
    const char *words[3];
    size_t lens[3];
} codec_work;

/* Does the work `times` times; returns the number of operations. */
typedef size_t codec_run(const codec_work *work, size_t times);

typedef struct codec_case {
    const char *name;
    codec_run *ours;
    codec_run *peers[2]; /* the faster counts; the second may be NULL */
    double aim;
} codec_case;

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "codec: %s\n", what);
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* --- reading */

static size_t parse_ours(const codec_work *work, size_t times)
{
    sc_item inline_items[INLINE_ITEMS];
    sc_memory memory;
    sci_reader reader;
    sci_items items;
    size_t replies = 0;
    must(sci_platform_memory(&memory), "no memory table");
    sci_items_init(&items, &memory, inline_items, INLINE_ITEMS);
    sci_reader_init(&reader, NULL);
    while (times--) {
        size_t start = 0;
        for (size_t end = 0; end < work->stream_bytes;) {
            end = sci_min_size(end + PIECE_BYTES, work->stream_bytes);
            for (;;) {
                size_t used;
                if (sci_reader_is_idle(&reader))
                    sci_reader_target(&reader, &items);
                sc_status status =
                    sci_reader_read(&reader, work->stream + start, end - start, &used);
                start += used;
                if (status == SC_AGAIN)
                    break;
                must(status == SC_OK, sc_error_text());
                must(items.at[0].span == work->elements, "a reply of another size");
                sci_items_reset(&items, KEEP_ITEMS);
                replies++;
            }
        }
    }
    must(sci_reader_is_idle(&reader), "a reply is cut short");
    sci_items_free(&items);
    return replies;
}

static size_t parse_hiredis(const codec_work *work, size_t times)
{
    redisReader *reader = redisReaderCreate();
    size_t replies = 0;
    while (times--) {
        for (size_t start = 0; start < work->stream_bytes; start += PIECE_BYTES) {
            size_t len = sci_min_size(PIECE_BYTES, work->stream_bytes - start);
            void *reply;
            must(redisReaderFeed(reader, work->stream + start, len) == REDIS_OK, "feed");
            for (;;) {
                must(redisReaderGetReply(reader, &reply) == REDIS_OK, "hiredis: a wrong reply");
                if (!reply)
                    break;
                must(((redisReply *)reply)->elements + 1 == work->elements ||
                         ((redisReply *)reply)->type != REDIS_REPLY_ARRAY,
                     "hiredis: a reply of another size");
                freeReplyObject(reply);
                replies++;
            }
        }
    }
    redisReaderFree(reader);
    return replies;
}

/* --- writing */

static size_t encode_ours(const codec_work *work, size_t times)
{
    sc_slice argv[3];
    sc_memory memory;
    sci_bytes out;
    must(sci_platform_memory(&memory), "no memory table");
    sci_bytes_init(&out, &memory);
    for (size_t i = 0; i < times; i++) {
        for (size_t j = 0; j < 3; j++)
            argv[j] = sc_bytes(work->words[j], work->lens[j]);
        must(sci_write_command(&out, argv, 3) == SC_OK, "write");
        if (i % BATCH_COMMANDS == BATCH_COMMANDS - 1)
            sci_bytes_consume(&out, sci_bytes_len(&out));
    }
    sci_bytes_free(&out);
    return times;
}

static size_t encode_hiredis(const codec_work *work, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        char *text;
        const char *argv[3];
        memcpy(argv, work->words, sizeof argv);
        must(redisFormatCommandArgv(&text, 3, argv, work->lens) > 0, "hiredis: format");
        redisFreeCommand(text);
    }
    return times;
}

static size_t encode_hiredis_sds(const codec_work *work, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        sds text;
        const char *argv[3];
        memcpy(argv, work->words, sizeof argv);
        must(redisFormatSdsCommandArgv(&text, 3, argv, work->lens) > 0, "hiredis: format");
        redisFreeSdsCommand(text);
    }
    return times;
}

/* --- measuring */

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double measure(codec_run *run, const codec_work *work, size_t times)
{
    double begin = now_ns();
    size_t operations = run(work, times);
    return (now_ns() - begin) / (double)operations;
}

/* So many times that a round takes ROUND_NS. */
static size_t calibrate(codec_run *run, const codec_work *work)
{
    for (size_t times = 1;; times *= 2) {
        double begin = now_ns();
        run(work, times);
        if (now_ns() - begin >= ROUND_NS)
            return times;
    }
}

static void compare(const codec_case *test, const codec_work *work)
{
    codec_run *runs[3];
    double results[3][ROUNDS];
    size_t times[3];
    runs[0] = test->ours;
    runs[1] = test->peers[0];
    runs[2] = test->peers[1];
    size_t count = runs[2] ? 3 : 2;
    for (size_t i = 0; i < count; i++)
        times[i] = calibrate(runs[i], work);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            results[i][round] = measure(runs[i], work, times[i]);
    for (size_t i = 0; i < count; i++)
        qsort(results[i], ROUNDS, sizeof results[i][0], compare_doubles);
    double ours = results[0][ROUNDS / 2];
    double peer = results[1][ROUNDS / 2];
    if (count == 3 && results[2][ROUNDS / 2] < peer)
        peer = results[2][ROUNDS / 2];
    printf("%s ours=%.1fns peer=hiredis:%.1fns ratio=%.2f aim=%.2f %s\n", test->name, ours, peer,
           peer / ours, test->aim, peer / ours >= test->aim ? "ok" : "short");
    fflush(stdout);
}

/* One reply over and over. */
static void compare_parse(const char *name, const char *reply, size_t len, size_t elements)
{
    codec_case test = {name, parse_ours, {parse_hiredis, NULL}, 5.0};
    codec_work work;
    memset(&work, 0, sizeof work);
    work.replies = STREAM_BYTES / len;
    work.elements = elements;
    work.stream_bytes = work.replies * len;
    work.stream = (char *)malloc(work.stream_bytes);
    must(work.stream != NULL, "no memory");
    for (size_t i = 0; i < work.replies; i++)
        memcpy(work.stream + i * len, reply, len);
    must(parse_ours(&work, 1) == work.replies, "ours: replies are missing");
    must(parse_hiredis(&work, 1) == work.replies, "hiredis: replies are missing");
    compare(&test, &work);
    free(work.stream);
}

static void compare_parse_bulks(const char *name, size_t count, size_t bulk_bytes)
{
    char *reply = (char *)malloc(64 + count * (bulk_bytes + 32));
    char *at = reply;
    must(reply != NULL, "no memory");
    if (count > 1)
        at += sprintf(at, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        at += sprintf(at, "$%zu\r\n", bulk_bytes);
        memset(at, 'v', bulk_bytes);
        at += bulk_bytes;
        at += sprintf(at, "\r\n");
    }
    compare_parse(name, reply, (size_t)(at - reply), count > 1 ? count + 1 : 1);
    free(reply);
}

static void compare_encode(void)
{
    codec_case test = {"encode_set_64", encode_ours, {encode_hiredis, encode_hiredis_sds}, 8.0};
    char value[VALUE_BYTES];
    codec_work work;
    memset(&work, 0, sizeof work);
    memset(value, 'v', sizeof value);
    work.words[0] = "SET";
    work.words[1] = "key:123";
    work.words[2] = value;
    work.lens[0] = 3;
    work.lens[1] = 7;
    work.lens[2] = sizeof value;
    compare(&test, &work);
}

int main(void)
{
    compare_parse("parse_ok", "+OK\r\n", 5, 1);
    compare_parse("parse_integer", ":123456\r\n", 9, 1);
    compare_parse_bulks("parse_bulk_64", 1, 64);
    compare_parse_bulks("parse_bulk_1024", 1, 1024);
    compare_parse_bulks("parse_array_100x16", 100, 16);
    compare_encode();
    return 0;
}
