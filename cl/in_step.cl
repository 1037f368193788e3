/*
 * How strands go in step (src/program/strands.h): they share the work-groups of each launch, and
 * none begins the next one before all have finished this one.
 *
 * Nothing says that all strands run at the same time: a device may start one when another has
 * ended, or be busy with something else. So a share is taken before it is carried out, by its own
 * strand at once, and by one that has waited for a while if nobody has. Nobody waits for what does
 * not run, and who carries out a share makes no difference to its results.
 *
 *   counters   of each strand two, in cache lines of their own: launches whose share is taken, and
 *              those whose share is done; before them one of the strands that have left. All are
 *              zero between runs.
 *
 * The standard promises work-groups no sight of each other's results before a kernel ends. The
 * devices of the CPU engine have one memory; what puts accesses to it in order is the compiler's
 * full barrier, where it has one, as drivers may take mem_fence() for a matter of one work-item.
 */
#if defined(__has_builtin)
#if __has_builtin(__sync_synchronize)
#define FULL_BARRIER __sync_synchronize()
#endif
#endif
#ifndef FULL_BARRIER
#define FULL_BARRIER mem_fence(CLK_GLOBAL_MEM_FENCE)
#endif
#ifndef LINE
#define LINE 32 // ints from one counter to the next
#endif
#ifndef PATIENCE
#define PATIENCE 300 // looks at a share that nobody takes: 1 to 3 us
#endif

/* True: the caller has to carry out the strand's share of the launch. False: it is done. */
static int share_taken(volatile __global int *counters, int strand, int launch, int patience)
{
    volatile __global int *taken = counters + (2 * strand + 1) * LINE, *done = taken + LINE;
#pragma clang loop vectorize(disable) unroll(disable)
    while (*done <= launch) {
        if (patience > 0)
            patience--;
        else if (*taken == launch && atomic_cmpxchg(taken, launch, launch + 1) == launch)
            return 1;
    }
    FULL_BARRIER;
    return 0;
}

static int own_share_taken(volatile __global int *counters, int strand, int launch)
{
    return share_taken(counters, strand, launch, 0);
}

static int other_share_taken(volatile __global int *counters, int strand, int launch)
{
    return share_taken(counters, strand, launch, PATIENCE);
}

static void share_done(volatile __global int *counters, int strand, int launch)
{
    FULL_BARRIER;
    atomic_xchg(counters + (2 * strand + 2) * LINE, launch + 1);
}

/* The last strand clears the counters for the next run. */
static void strand_leaves(volatile __global int *counters, int strands)
{
    if (atomic_inc(counters) < strands - 1) return;
    for (int i = 0; i <= 2 * strands; i++) counters[i * LINE] = 0;
}
