/*
 * The search for a learning rate. Each step waits for its loss: a hundred steps are few.
 */
#include "lr_find.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "progress.h"
#include "signals.h"

enum { STEPS = 100 };

struct search {
    clg_lr_range range;
    double lr[STEPS], log_lr[STEPS], loss[STEPS], smooth[STEPS];
    size_t count;
};

/* One optimizer step, of several batches if gradients are accumulated; *loss is their mean. */
static clg_status one_step(struct trainer *trainer, double lr, double *loss)
{
    double sum = 0, samples = 0;
    clg_status status = CLG_OK;
    do {
        clg_batch batch = {0};
        float value = NAN;
        status = clg_loader_next(trainer->loader, &batch);
        if (status == CLG_OK) status = trainer_step(trainer, &batch, lr);
        if (status == CLG_OK)
            status = clg_program_read(trainer->train, trainer->network.loss, &value, sizeof value);
        sum += (double)value * (double)batch.count;
        samples += (double)batch.count;
        trainer->batch = (trainer->batch + 1) % trainer->batches;
    } while (status == CLG_OK && clg_graph_accumulated(trainer->network.graph) > 0);
    *loss = sum / samples;
    return status;
}

static int run_steps(struct trainer *trainer, struct search *search)
{
    bool exploded = false;
    while (search->count < STEPS && !exploded && !signal_received()) {
        size_t i = search->count;
        search->lr[i] = clg_lr_range_rate(&search->range, i);
        search->log_lr[i] = log10(search->lr[i]);
        clg_status status = one_step(trainer, search->lr[i], &search->loss[i]);
        if (status != CLG_OK) return report_status(status, NULL);
        if (!isfinite(search->loss[i])) break;
        search->count++;
        exploded = clg_lr_range_smooth(search->loss, search->count, search->smooth);
    }
    return signal_received() ? SIGNALLED + signal_received() : DONE;
}

static int print_steps(const struct search *search, bool json)
{
    char *text = NULL;
    clg_chart_series series[] = {{.name = "smoothed loss",
                                  .x = search->log_lr,
                                  .y = search->smooth,
                                  .count = search->count}};
    if (!json && isatty(STDOUT_FILENO) && terminal_is_unicode() &&
        clg_chart_text(&text, clg_chart_options(.series = series, .count = 1,
                                                .title = "loss over the learning rate",
                                                .x_label = "log10 of the rate")) == CLG_OK) {
        fputs(text, stdout);
        clg_free(text);
        return DONE;
    }
    for (size_t i = 0; i < search->count; i++) {
        if (!json)
            printf("rate %-10.3g loss %-10.4g smoothed %.4g\n", search->lr[i], search->loss[i],
                   search->smooth[i]);
        else if (print_json(json_pack("{so so so}", "lr", json_number(search->lr[i]), "loss",
                                      json_number(search->loss[i]), "smoothed",
                                      json_number(search->smooth[i]))) != DONE)
            return NO_MEMORY;
    }
    return DONE;
}

static int print_result(const struct search *search, bool json)
{
    double lr = clg_lr_range_suggest(&search->range, search->smooth, search->count);
    if (lr == 0)
        return report_error(FAILED, "lr-find: the loss fell at no rate between %g and %g",
                            search->lr[0], search->lr[search->count ? search->count - 1 : 0]);
    if (json)
        return print_json(json_pack("{sb so sI}", "done", 1, "suggested_lr", json_number(lr),
                                    "steps", (json_int_t)search->count));
    printf("the loss falls fastest at a rate of %.2g: --lr %.2g\n", lr, lr);
    return DONE;
}

int lr_find(struct trainer *trainer)
{
    struct search search = {.range = {.steps = STEPS}};
    clg_status status = clg_loader_seek(trainer->loader, 0, 0);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = run_steps(trainer, &search);
    if (code == DONE) code = print_steps(&search, trainer->json);
    return code == DONE ? print_result(&search, trainer->json) : code;
}
