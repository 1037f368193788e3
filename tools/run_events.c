/*
 * One event per epoch, at its last step, under the names that TensorBoard groups by. Numbers that
 * were not measured are left out.
 */
#include "run_events.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clgrad/data.h"
#include "cltrain.h"

static const char file_name[] = "events.out.tfevents.cltrain";

static const struct {
    const char *tag;
    size_t offset;
} scalars[] = {
    {"loss/training", offsetof(struct epoch_record, train_loss)},
    {"loss/validation", offsetof(struct epoch_record, val_loss)},
    {"accuracy/validation", offsetof(struct epoch_record, val_accuracy)},
    {"learning_rate", offsetof(struct epoch_record, lr)},
    {"images_per_second", offsetof(struct epoch_record, images_per_second)},
};
enum { N_SCALARS = sizeof scalars / sizeof *scalars };

/* "gradient_norm/conv1.weight" for each; false without memory. Texts are to be freed. */
static bool add_norms(clg_event_scalar *values, size_t *count, json_t *norms)
{
    const char *name;
    json_t *number;
    json_object_foreach(norms, name, number)
    {
        if (!json_is_number(number)) continue;
        size_t size = strlen(name) + sizeof "gradient_norm/";
        char *tag = malloc(size);
        if (!tag) return false;
        snprintf(tag, size, "gradient_norm/%s", name);
        values[(*count)++] = (clg_event_scalar){tag, json_number_value(number)};
    }
    return true;
}

static int append(const char *path, const struct epoch_record *record)
{
    clg_event_scalar *values =
        calloc(N_SCALARS + json_object_size(record->gradient_norms), sizeof *values);
    size_t count = 0;
    for (size_t i = 0; values && i < N_SCALARS; i++) {
        double value = *(const double *)((const char *)record + scalars[i].offset);
        if (isfinite(value)) values[count++] = (clg_event_scalar){scalars[i].tag, value};
    }
    size_t fixed = count;
    bool complete = values && add_norms(values, &count, record->gradient_norms);
    clg_status status = CLG_OK;
    if (complete)
        status = clg_events_append(path, record->time, (int64_t)record->step, values, count);
    for (size_t i = fixed; i < count; i++) free((char *)values[i].tag);
    free(values);
    if (!complete) return report_error(NO_MEMORY, "out of memory");
    return status == CLG_OK ? DONE : report_error(FAILED, "%s", clg_last_error());
}

int run_append_event(const struct run_dir *run)
{
    return append(run_file(run, file_name).text, &run->records[run->count - 1]);
}

int run_rewrite_events(const struct run_dir *run)
{
    struct run_path path = run_file(run, file_name);
    if (truncate(path.text, 0) && errno != ENOENT)
        return report_error(FAILED, "%s: %s", path.text, strerror(errno));
    int code = DONE;
    for (size_t i = 0; i < run->count && code == DONE; i++)
        code = append(path.text, &run->records[i]);
    return code;
}
