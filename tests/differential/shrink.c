/* Delta debugging: parts are left out, first halves, then smaller ones, as long as the same
   difference remains (Zeller, "Yesterday, my program worked", ESEC/FSE 1999). */
#include "shrink.h"

#include "wait.h"

#include <stdlib.h>
#include <string.h>

#define SHRINK_MS 60000
#define PATIENCE_MS 500 /* hundreds of runs may each wait so long */
#define LONG_WORD 12
#define WHERE_COMPARED 12 /* bytes of the words that must stay the same */

typedef struct target {
    char where[WHERE_COMPARED + 1];
    command_name name;
} target;

static target target_of(const difference *found)
{
    target wanted;
    memset(&wanted, 0, sizeof wanted);
    snprintf(wanted.where, sizeof wanted.where, "%.*s", WHERE_COMPARED, found->where);
    if (found->after && strncmp(found->where, "the reply", 9) == 0)
        wanted.name = name_of_step(found->after);
    return wanted;
}

static bool still_differs(run *runner, const target *wanted, const step *const *list, size_t count)
{
    target got;
    if (run_steps(runner, list, count))
        return false;
    got = target_of(&runner->found);
    return memcmp(&got, wanted, sizeof got) == 0;
}

/* Leave out parts of this size; returns the new count. */
static size_t leave_out(run *runner, const target *wanted, const step **list, size_t count,
                        size_t part, int64_t end_ms)
{
    const step **shorter = (const step **)malloc((count + 1) * sizeof *shorter);
    size_t at = 0;
    if (!shorter)
        die("no memory");
    while (at < count && wait_now_ms() < end_ms) {
        size_t out = part < count - at ? part : count - at;
        memcpy((void *)shorter, (const void *)list, at * sizeof *list);
        memcpy((void *)(shorter + at), (const void *)(list + at + out),
               (count - at - out) * sizeof *list);
        if (still_differs(runner, wanted, shorter, count - out)) {
            count -= out;
            memcpy((void *)list, (const void *)shorter, count * sizeof *list);
        } else {
            at += out;
        }
    }
    free((void *)shorter);
    return count;
}

/* Long words that a few bytes would do for. The shorter steps are made in `memory`. */
static void shorten_words(run *runner, const target *wanted, const step **list, size_t count,
                          arena *memory, int64_t end_ms)
{
    size_t i;
    size_t k;
    for (i = 0; i < count && wait_now_ms() < end_ms; i++) {
        for (k = 1; k < list[i]->argc; k++) {
            const step *before = list[i];
            step *made;
            word *words;
            if (before->argv[k].len <= LONG_WORD)
                continue;
            made = (step *)arena_take(memory, sizeof *made);
            words = (word *)arena_take(memory, before->argc * sizeof *words);
            memcpy(words, before->argv, before->argc * sizeof *words);
            words[k] = arena_word(memory, "v", 1);
            *made = *before;
            made->argv = words;
            list[i] = made;
            if (!still_differs(runner, wanted, list, count))
                list[i] = before;
        }
    }
}

size_t shrink(run *runner, const step **list, size_t count, arena *memory)
{
    target wanted = target_of(&runner->found);
    int64_t end_ms = wait_now_ms() + SHRINK_MS;
    size_t part;
    size_t before;
    int patience_ms = runner->patience_ms;
    runner->patience_ms = PATIENCE_MS;
    if (runner->found.done < count)
        count = runner->found.done;
    for (part = (count + 1) / 2; part > 1; part /= 2)
        count = leave_out(runner, &wanted, list, count, part, end_ms);
    do {
        before = count;
        count = leave_out(runner, &wanted, list, count, 1, end_ms);
    } while (count < before);
    shorten_words(runner, &wanted, list, count, memory, end_ms);
    if (!still_differs(runner, &wanted, list, count))
        fprintf(stderr, "the difference does not always come\n");
    runner->patience_ms = patience_ms;
    return count;
}
