/*
 * What is known about OpenCL platforms beyond what they say of themselves: beside tuning data the
 * only place with vendor names. Gives the default ranking of devices and decides who needs our
 * kernel cache.
 *
 * The score only has to order the devices of one machine: type first, a GPU with its own memory
 * before one that shares the host's, then a rough peak of lanes x units x clock. "Compute unit" is
 * 8 lanes to one vendor and 128 to another, hence the column.
 */
#include "device/devices.h"

typedef struct platform_quirk {
    const char *platform;  /* substring of the platform's name */
    uint32_t lanes;        /* f32 lanes of one GPU compute unit */
    bool caches;           /* the driver keeps compiled kernels on disk itself, and well */
    bool never, never_cpu; /* not picked unless asked for: every device, the CPU device */
    double cpu_factor;     /* of the score of its CPU device */
    bool gpu_kernels;      /* its CPU device is built like a GPU: serve it with the GPU engine */
    bool serial;           /* crashes when two threads build programs */
    bool copies_kernels; /* compiles the body of a kernel several times, that of a function once */
    const char *note;    /* for the devices that never, never_cpu or cpu_factor concern */
} platform_quirk;

/* NVIDIA: the binary is PTX, which the driver compiles again, through a cache of its own.
 * PoCL: its cache takes 20 ms a program where ours takes 2; but asked for a program's binary it
 * compiles each kernel once more, which doubles a first run (LeNet: 5.3 s to the first step, 12 to
 * the end of the process; without our cache 5.4). It makes three functions of a kernel. rusticl's
 * CPU device (llvmpipe) needs 400 us a launch where PoCL needs 2-25, and takes minutes to compile
 * vectors of 16, which its compiler splits into scalars. Oclgrind (an interpreter that checks
 * memory accesses): its compiler shares state between threads.
 */
static const platform_quirk quirks[] = {
    {.platform = "nvidia", .lanes = 128, .caches = true, .cpu_factor = 1},
    {.platform = "amd", .lanes = 64, .cpu_factor = 1},
    {.platform = "intel", .lanes = 8, .cpu_factor = 1},
    {.platform = "arm platform", .lanes = 16, .cpu_factor = 1},
    {.platform = "qualcomm", .lanes = 128, .cpu_factor = 1},
    {.platform = "clover",
     .lanes = 64,
     .never = true,
     .cpu_factor = 1,
     .note = "Clover is unmaintained: picked only when asked for"},
    {.platform = "apple",
     .lanes = 128,
     .never_cpu = true,
     .cpu_factor = 1,
     .note = "Apple's CPU device allows work-groups of 1 only: picked only when asked for"},
    {.platform = "rusticl",
     .lanes = 64,
     .cpu_factor = 0.1,
     .gpu_kernels = true,
     .note = "slow to launch kernels: ranked low"},
    {.platform = "oclgrind", .lanes = 32, .cpu_factor = 1, .serial = true},
    {.platform = "portable computing",
     .lanes = 32,
     .caches = true,
     .cpu_factor = 1,
     .copies_kernels = true},
    {.platform = "", .lanes = 32, .cpu_factor = 1}, /* any other */
};

static const platform_quirk *quirk_of(const clg_device_info *info)
{
    const platform_quirk *quirk = quirks;
    while (!clg__contains(info->platform, quirk->platform)) quirk++;
    return quirk;
}

bool clg__platform_caches(const clg_device_info *info)
{
    return quirk_of(info)->caches;
}

bool clg__platform_builds_serially(const clg_device_info *info)
{
    return quirk_of(info)->serial;
}

bool clg__platform_copies_kernels(const clg_device_info *info)
{
    return quirk_of(info)->copies_kernels;
}

clg_engine clg__platform_engine(const clg_device_info *info)
{
    bool cpu = info->type == CLG_DEVICE_CPU && !quirk_of(info)->gpu_kernels;
    return cpu ? CLG_ENGINE_CPU : CLG_ENGINE_GPU;
}

static double score_of(const clg_device_info *info, const platform_quirk *quirk)
{
    static const double by_type[] = {
        [CLG_DEVICE_CPU] = 1e9, [CLG_DEVICE_ACCELERATOR] = 2e9, [CLG_DEVICE_GPU] = 3e9};
    bool cpu = info->type == CLG_DEVICE_CPU;
    double lanes = cpu ? (info->float_vector_width ? info->float_vector_width : 1) : quirk->lanes;
    double clock = info->clock_mhz ? info->clock_mhz : 1000;
    double score = by_type[info->type] + info->compute_units * lanes * clock;
    if (info->type == CLG_DEVICE_GPU && !info->unified_memory) score += 5e8;
    return cpu ? score * quirk->cpu_factor : score;
}

void clg__device_rank(clg__device_entry *entry)
{
    clg_device_info *info = &entry->info;
    const platform_quirk *quirk = quirk_of(info);
    bool cpu = info->type == CLG_DEVICE_CPU;
    bool never = quirk->never || (quirk->never_cpu && cpu);
    info->usable = !entry->broken && !never;
    info->score = score_of(info, quirk);
    if (!info->usable) info->score -= 1e10; /* behind all usable ones */
    if (entry->broken) info->score -= 1e10;
    if (!entry->broken && (never || (cpu && quirk->cpu_factor < 1)))
        snprintf(info->note, sizeof info->note, "%s", quirk->note);
}
