/*
 * Settings of optimizers and schedules. In the library 0 asks for a default and a negative number
 * for 0; in a model file all defaults are filled in and 0 is 0.
 */
#include "optimizer_settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"

/* Settings that are fields of clg_optimizer_params of the same name. */
#define NUMBERS(X)                                                                                 \
    X(momentum)                                                                                    \
    X(dampening)                                                                                   \
    X(beta1)                                                                                       \
    X(beta2)                                                                                       \
    X(rho)                                                                                         \
    X(epsilon)                                                                                     \
    X(lr_decay)                                                                                    \
    X(momentum_decay)                                                                              \
    X(trust)                                                                                       \
    X(weight_decay)
#define FLAGS(X) X(nesterov) X(amsgrad) X(centered) X(decoupled_decay) X(decay_weights_only)

static clg_optimizer_kind kind_of(const struct settings *settings)
{
    clg_optimizer_kind kind = CLG_SGD;
    clg_optimizer_find(settings->optimizer, &kind);
    return kind;
}

/* What people usually take for sgd, which has no defaults in the library. */
static clg_optimizer_params defaults_of(clg_optimizer_kind kind)
{
    clg_optimizer_params standard = clg_optimizer_defaults(kind);
    if (kind == CLG_SGD) standard.momentum = 0.9;
    if (standard.lr == 0) standard.lr = kind == CLG_LARS ? 0.1 : 0.01;
    return standard;
}

void optimizer_settings_resolve(struct settings *settings)
{
    clg_optimizer_params standard = defaults_of(kind_of(settings));
    if (*settings->lr < 0) *settings->lr = standard.lr;
#define RESOLVE(name)                                                                              \
    if (settings->name && *settings->name < 0) *settings->name = standard.name;
    NUMBERS(RESOLVE)
#undef RESOLVE
}

/* 0 as the library wants it said where it has a default. */
static double said(double value, double standard)
{
    return value == 0 && standard != 0 ? -1 : value;
}

clg_optimizer_params optimizer_params(const struct settings *settings)
{
    clg_optimizer_kind kind = kind_of(settings);
    clg_optimizer_params standard = clg_optimizer_defaults(kind), p = {.kind = kind};
#define NUMBER(name)                                                                               \
    if (settings->name) p.name = said(*settings->name, standard.name);
    NUMBERS(NUMBER)
#undef NUMBER
#define FLAG(name)                                                                                 \
    if (settings->name) p.name = *settings->name;
    FLAGS(FLAG)
#undef FLAG
    p.clip_value = *settings->clip_value;
    p.clip_tensor_norm = *settings->clip_tensor_norm;
    p.clip_norm = *settings->clip_norm;
    p.ema_decay = *settings->ema;
    p.accumulate = *settings->accumulate > 1 ? CLG_ACCUMULATE_MEAN : CLG_ACCUMULATE_NONE;
    return p;
}

/* ---- schedules ---- */

/* Reads ascending positive numbers, separated by blanks; their count, or -1. */
static int read_milestones(const char *text, double epochs[CLG_MAX_MILESTONES])
{
    int count = 0;
    double last = 0;
    char word[32];
    for (; *(text += strspn(text, " ")); text += strcspn(text, " ")) {
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " "), text);
        if (count == CLG_MAX_MILESTONES || !key_parse(KEY_REAL, word, &epochs[count]) ||
            epochs[count] <= last)
            return -1;
        last = epochs[count++];
    }
    return count;
}

int milestones_check(struct model_file *file)
{
    double epochs[CLG_MAX_MILESTONES];
    const char *text = file->content->training.milestones;
    if (!text || read_milestones(text, epochs) > 0) return DONE;
    return yaml_source_error(&file->source, "training.milestones",
                             "milestones are 1 to %d growing numbers of epochs: \"30 60 80\"",
                             CLG_MAX_MILESTONES);
}

static uint64_t in_steps(double epochs, int64_t steps_per_epoch)
{
    return (uint64_t)fmax(1.0, round(epochs * (double)steps_per_epoch));
}

clg_schedule schedule_of(const struct settings *settings, int64_t steps_per_epoch)
{
    double milestones[CLG_MAX_MILESTONES];
    clg_schedule s = {.lr = *settings->lr,
                      .warmup = (uint64_t)*settings->warmup,
                      .total = (uint64_t)(*settings->epochs * steps_per_epoch)};
    clg_schedule_find(settings->schedule, &s.kind);
    if (settings->lr_min) s.lr_min = *settings->lr_min;
    if (settings->every) s.every = in_steps(*settings->every, steps_per_epoch);
    if (settings->gamma) s.gamma = *settings->gamma;
    if (settings->power) s.power = *settings->power;
    if (settings->growth) s.growth = (uint64_t)*settings->growth;
    if (settings->up) s.up = *settings->up;
    if (settings->start_divisor) s.start_divisor = *settings->start_divisor;
    if (settings->end_divisor) s.end_divisor = *settings->end_divisor;
    int count = settings->milestones ? read_milestones(settings->milestones, milestones) : 0;
    for (int i = 0; i < count; i++) s.milestones[i] = in_steps(milestones[i], steps_per_epoch);
    return s;
}

bool schedule_spans_run(const struct settings *settings)
{
    return word_in("polynomial cosine one_cycle", settings->schedule);
}
