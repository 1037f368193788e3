/*
 * What a waiting person sees on stderr: a bar on a terminal, a line now and then elsewhere.
 */
#ifndef CLTRAIN_PROGRESS_H
#define CLTRAIN_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, color, unicode;
    double shown;   /* when something was last written */
    double started; /* of the epoch, or after its first step */
    int64_t images; /* since then */
    bool dirty;     /* the bar is on the screen */
};

struct progress_state {
    int64_t epoch, epochs;  /* from 1 */
    int64_t batch, batches; /* done so far, of the epoch */
    int64_t batch_size;
    double loss; /* mean so far */
};

void progress_start(struct progress *progress);
/** A new epoch begins: rates count from here. */
void progress_epoch(struct progress *progress);
/** Images per second since the epoch began. */
double progress_rate(const struct progress *progress);
/** Shows the state if it is time to. */
void progress_show(struct progress *progress, const struct progress_state *state);
/** Removes the bar, so that a line can be printed. */
void progress_clear(struct progress *progress);

/** Says `text` on stderr if slow_end does not follow within a second. */
struct slow_notice {
    const char *text;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool running, over;
};
void slow_begin(struct slow_notice *notice, const char *text);
void slow_end(struct slow_notice *notice);

/** True if the user's character set is UTF-8. */
bool terminal_is_unicode(void);

#endif
