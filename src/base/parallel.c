/*
 * A parallel for-loop over independent jobs of milliseconds to seconds: building programs, drawing
 * digits. So threads are started per call and no pool is kept.
 *
 * How much it helps a build is the driver's matter. Some build under one lock: safe (900 cold
 * builds in 2 and 4 threads, none failed or computed wrongly) but not faster, 12 programs took 3.6
 * s CPU time and 4-7 s in 1, 2 and 4 threads alike. The threads are for drivers that compile in
 * parallel.
 *
 * The caller's thread works too, and threads that cannot be started are done without: there is no
 * "no thread" error.
 */
#ifdef __linux__
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/parallel.h"

enum { MAX_THREADS = 64 };

typedef struct parallel_loop {
    clg_status (*work)(void *user, size_t index);
    void *user;
    size_t count;
    atomic_size_t next;
    pthread_mutex_t mutex; /* of status and message */
    clg_status status;
    char message[4096]; /* the failing thread's message dies with it: kept here */
} parallel_loop;

static void record_failure(parallel_loop *loop, clg_status status)
{
    loop->next = loop->count; /* nobody starts another one */
    pthread_mutex_lock(&loop->mutex);
    if (loop->status == CLG_OK) {
        loop->status = status;
        snprintf(loop->message, sizeof loop->message, "%s", clg_last_error());
    }
    pthread_mutex_unlock(&loop->mutex);
}

static void *run(void *argument)
{
    parallel_loop *loop = argument;
    for (;;) {
        size_t index = atomic_fetch_add(&loop->next, 1);
        if (index >= loop->count) return NULL;
        clg_status status = loop->work(loop->user, index);
        if (status != CLG_OK) record_failure(loop, status);
    }
}

/* The processors that this process may use: taskset and containers give fewer than there are. */
static long usable_cpus(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return sysconf(_SC_NPROCESSORS_ONLN);
}

static size_t thread_limit(size_t count)
{
    long cpus = usable_cpus();
    size_t limit = cpus < 1 ? 1 : cpus > MAX_THREADS ? MAX_THREADS : (size_t)cpus;
    return count < limit ? count : limit;
}

clg_status clg__parallel(size_t count, clg_status (*work)(void *user, size_t index), void *user)
{
    parallel_loop loop = {.work = work, .user = user, .count = count};
    pthread_t threads[MAX_THREADS];
    size_t started = 0, wanted = thread_limit(count);
    pthread_mutex_init(&loop.mutex, NULL);
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, run, &loop) == 0)
        started++;
    run(&loop);
    while (started) pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&loop.mutex);
    if (loop.status == CLG_OK) return CLG_OK;
    return clg__fail(loop.status, "%s", loop.message);
}
