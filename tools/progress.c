/*
 * The progress bar and the "this takes a while" notice. Both go to stderr only. Colour is for
 * terminals, and off with NO_COLOR (no-color.org) or TERM=dumb.
 */
#include "progress.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cltrain.h"

static const double BAR_INTERVAL = 0.2, LINE_INTERVAL = 10; /* seconds */
enum { BAR_WIDTH = 24 };

bool terminal_is_unicode(void)
{
    return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

void progress_start(struct progress *progress)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    *progress = (struct progress){.terminal = terminal,
                                  .color = terminal && !(no_color && *no_color),
                                  .unicode = terminal_is_unicode()};
    progress_epoch(progress);
}

void progress_epoch(struct progress *progress)
{
    progress->started = progress->shown = seconds_now();
    progress->images = 0;
}

double progress_rate(const struct progress *progress)
{
    double elapsed = seconds_now() - progress->started;
    return elapsed > 0 && progress->images > 0 ? (double)progress->images / elapsed : 0;
}

static void draw_bar(const struct progress *progress, double fraction)
{
    int filled = (int)(fraction * BAR_WIDTH + 0.5);
    const char *full = progress->unicode ? "\u2501" : "=",
               *empty = progress->unicode ? "\u2500" : "-";
    if (progress->color) fputs("\033[32m", stderr);
    for (int i = 0; i < BAR_WIDTH; i++) {
        if (i == filled && progress->color) fputs("\033[90m", stderr);
        fputs(i < filled ? full : empty, stderr);
    }
    if (progress->color) fputs("\033[0m", stderr);
}

void progress_show(struct progress *progress, const struct progress_state *state)
{
    double now = seconds_now(), rate = progress_rate(progress);
    if (now - progress->shown < (progress->terminal ? BAR_INTERVAL : LINE_INTERVAL)) return;
    progress->shown = now;
    double images = (double)((state->batches - state->batch) * state->batch_size);
    long left = rate > 0 ? (long)(images / rate + 0.5) : 0;
    if (progress->terminal) {
        fputs("\r", stderr);
        draw_bar(progress, (double)state->batch / (double)state->batches);
        fputc(' ', stderr);
    }
    fprintf(stderr, "epoch %lld/%lld  step %lld/%lld  loss %.4f  %.0f images/s  ETA %ld:%02ld",
            (long long)state->epoch, (long long)state->epochs, (long long)state->batch,
            (long long)state->batches, state->loss, rate, left / 60, left % 60);
    fputs(progress->terminal ? "\033[K" : "\n", stderr);
    fflush(stderr);
    progress->dirty = progress->terminal;
}

void progress_clear(struct progress *progress)
{
    if (progress->dirty) fputs("\r\033[K", stderr);
    progress->dirty = false;
}

/* ---- notice ---- */

static void *wait_and_say(void *user)
{
    struct slow_notice *notice = user;
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 1;
    pthread_mutex_lock(&notice->lock);
    int result = 0;
    while (!notice->over && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&notice->ended, &notice->lock, &limit);
    if (!notice->over) fprintf(stderr, "%s\n", notice->text);
    pthread_mutex_unlock(&notice->lock);
    return NULL;
}

void slow_begin(struct slow_notice *notice, const char *text)
{
    *notice = (struct slow_notice){.text = text};
    pthread_mutex_init(&notice->lock, NULL);
    pthread_cond_init(&notice->ended, NULL);
    notice->running = !pthread_create(&notice->thread, NULL, wait_and_say, notice);
}

void slow_end(struct slow_notice *notice)
{
    pthread_mutex_lock(&notice->lock);
    notice->over = true;
    pthread_cond_signal(&notice->ended);
    pthread_mutex_unlock(&notice->lock);
    if (notice->running) pthread_join(notice->thread, NULL);
    pthread_mutex_destroy(&notice->lock);
    pthread_cond_destroy(&notice->ended);
}
