/*
 * cltrain cache: where compiled kernels are kept, and removing them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clgrad/device.h"
#include "cltrain.h"
#include "options.h"

struct cache_options {
    bool json;
};

static const struct option_row options[] = {OPTION_JSON(struct cache_options), OPTION_ROWS_END};

static int show(const struct cache_options *given)
{
    clg_cache_info info;
    clg_status status = clg_cache_query(NULL, &info);
    if (status != CLG_OK) return report_status(status, NULL);
    if (given->json)
        return print_json(json_pack("{so ss sI sI sI}", "directory", json_text(info.directory),
                                    "note", info.note, "entries", (json_int_t)info.entries, "bytes",
                                    (json_int_t)info.bytes, "limit_bytes",
                                    (json_int_t)info.limit_bytes));
    if (*info.note)
        printf("The kernel cache is off: %s\n", info.note);
    else
        printf("%s: %" PRIu64 " programs, %.1f of %.0f MiB\n", info.directory, info.entries,
               (double)info.bytes / (1 << 20), (double)info.limit_bytes / (1 << 20));
    if (!*info.note && info.entries == 0 && !getenv("CLGRAD_CACHE_DIR"))
        printf("Drivers that keep compiled kernels themselves are left to it, unless "
               "CLGRAD_CACHE_DIR names a folder.\n");
    return DONE;
}

static int clear(const struct cache_options *given)
{
    uint64_t removed = 0;
    clg_status status = clg_cache_clear(NULL, &removed);
    if (status != CLG_OK) return report_error(FAILED, "%s", clg_last_error());
    if (given->json) return print_json(json_pack("{sI}", "removed", (json_int_t)removed));
    printf("%" PRIu64 " programs removed\n", removed);
    return DONE;
}

static const struct {
    const char *name;
    int (*run)(const struct cache_options *given);
} actions[] = {{"info", show}, {"clear", clear}};

static int run(const void *values, int argc, char **argv)
{
    const char *names[] = {actions[0].name, actions[1].name}, *word = argc ? argv[0] : "info";
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (!strcmp(actions[i].name, word)) return actions[i].run(values);
    return report_error(BAD_USAGE, "cache: unknown action '%s'%s: there are info and clear", word,
                        suggestion(word, names, 2));
}

const struct command command_cache = {
    .name = "cache",
    .arguments = "info|clear",
    .summary = "Shows or empties the cache of compiled kernels.",
    .details = "Without an action: info, which says where they are, how many and how large.",
    .options = options,
    .values_size = sizeof(struct cache_options),
    .max_arguments = 1,
    .run = run,
};
