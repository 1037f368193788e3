/*
 * Inside the device layer: enumerated devices, what is known about platforms, and selection.
 */
#ifndef CLG_DEVICES_INTERNAL_H
#define CLG_DEVICES_INTERNAL_H

#include "device/context.h"

typedef struct clg__device_entry {
    clg_device_info info;
    cl_device_id id;
    bool broken; /* cannot run our kernels at all: `info.note` says why */
} clg__device_entry;

/**
 * Finds all devices, best first. *out is one block (clg__free). A platform that fails is logged and
 * left out, a device that fails is listed as broken; no device at all is CLG_ERROR_NO_DEVICE.
 */
clg_status clg__devices_find(clg__device_entry **out, size_t *count);

/** Describes one device; `info` gets indices of -1, because a sub-device has none. */
clg_status clg__device_describe(clg__device_entry *out, cl_device_id id);

/* What somebody asks for. */
typedef struct clg__device_wish {
    const char *selector; /* NULL or "": the best usable device */
    const char *origin;   /* where that comes from, for messages: "CLGRAD_DEVICE" */
} clg__device_wish;

/** Picks from `entries`, which are best first. */
clg_status clg__device_select(const clg__device_entry **out, const clg__device_entry *entries,
                              size_t count, const clg__device_wish *wish);
/** One line about the one of `count` devices that was selected, and why. */
void clg__device_choice(char *text, size_t size, const clg__device_entry *selected, size_t count,
                        const clg__device_wish *wish);

/** True if `text` contains `part`, ignoring case. */
bool clg__contains(const char *text, const char *part);

/** Sets usable, note, broken and score from what is known about the platform and the type. */
void clg__device_rank(clg__device_entry *entry);

/** The engine whose kernels suit a device. */
clg_engine clg__platform_engine(const clg_device_info *info);

/** True if the platform keeps compiled kernels itself, so that ours is more trouble than help. */
bool clg__platform_caches(const clg_device_info *info);

/** True if the platform must not build programs in several threads at a time. */
bool clg__platform_builds_serially(const clg_device_info *info);

/** True if the platform compiles a kernel's body several times, and that of a function once. */
bool clg__platform_copies_kernels(const clg_device_info *info);

#endif
