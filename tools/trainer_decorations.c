/*
 * Curves, pictures and events of a run: nothing is trained with them, so that a full disk or a name
 * that is taken must not end a training that can still write its checkpoints.
 */
#include "cltrain.h"
#include "run_events.h"
#include "run_report.h"
#include "trainer.h"

static int append_event(const struct trainer *trainer)
{
    return run_append_event(&trainer->run);
}

static int rewrite_events(const struct trainer *trainer)
{
    return run_rewrite_events(&trainer->run);
}

static int draw_chart(const struct trainer *trainer)
{
    return run_draw(&trainer->run);
}

/* The page is about the records, the weights as they are and the part that was measured last. */
static int write_report(const struct trainer *trainer)
{
    return run_report_write(&(struct run_report){
        .run = &trainer->run,
        .file = trainer->file,
        .settings = trainer->settings,
        .network = &trainer->network,
        .context = trainer->context,
        .review = trainer->review.samples ? &trainer->review : NULL,
        .data = trainer->data.train,
    });
}

static int (*const writers[N_DECORATIONS])(const struct trainer *trainer) = {
    [WITH_EVENT] = append_event,
    [WITH_ALL_EVENTS] = rewrite_events,
    [WITH_CHART] = draw_chart,
    [WITH_REPORT] = write_report,
};

void trainer_decorate(struct trainer *trainer, enum decoration decoration)
{
    bool *missing = &trainer->missing[decoration];
    report_errors(*missing ? AS_NOTHING : AS_WARNING);
    if (writers[decoration](trainer) != DONE) *missing = true;
    report_errors(AS_ERROR);
}
