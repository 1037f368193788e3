/*
 * What was found by `cltrain tune --full` on devices at hand, for all devices like them: the only
 * place outside of the device layer that names makers. An untuned device that no row matches gets
 * what the library judges by the device's sizes. Rows are compared in order, the first that
 * matches counts; a user's file overrides it choice by choice.
 */
#include "device/devices.h"
#include "ops/tuning.h"

typedef struct device_defaults {
    const char *platform, *name; /* parts of the names, in any case */
    const char *choices;         /* as $CLGRAD_TUNING */
} device_defaults;

static const device_defaults rows[] = {
    {"portable computing", "avx512-amd", "conv2d_backward_weights.split/pointwise=1"},
    {"", "", ""},
};

const char *clg__tuning_defaults(const clg_device_info *info)
{
    const device_defaults *row = rows;
    while (!clg__contains(info->platform, row->platform) || !clg__contains(info->name, row->name))
        row++;
    return row->choices;
}
