/*
 * cltrain devices: what OpenCL offers on this machine, best first.
 */
#include <inttypes.h>

#include "clgrad/device.h"
#include "cltrain.h"
#include "options.h"

struct devices_options {
    bool json;
};

static const struct option_row options[] = {OPTION_JSON(struct devices_options), OPTION_ROWS_END};

static const char *const type_names[] = {
    [CLG_DEVICE_CPU] = "cpu", [CLG_DEVICE_GPU] = "gpu", [CLG_DEVICE_ACCELERATOR] = "accelerator"};

static json_t *device_json(const clg_device_info *device, bool picked)
{
    json_t *object =
        json_pack("{sb ss ss ss ss ss ss si si}", "default", picked, "platform", device->platform,
                  "type", type_names[device->type], "name", device->name, "vendor", device->vendor,
                  "version", device->version, "driver", device->driver, "platform_index",
                  device->platform_index, "device_index", device->device_index);
    json_t *numbers = json_pack(
        "{sI sI sI sI sI sI sI sb sb sb sb ss so}", "compute_units",
        (json_int_t)device->compute_units, "clock_mhz", (json_int_t)device->clock_mhz,
        "global_memory", (json_int_t)device->global_memory, "max_allocation",
        (json_int_t)device->max_allocation, "local_memory", (json_int_t)device->local_memory,
        "cache_memory", (json_int_t)device->cache_memory, "max_work_group",
        (json_int_t)device->max_work_group, "unified_memory", device->unified_memory, "fp16",
        device->has_fp16, "fp64", device->has_fp64, "usable", device->usable, "note", device->note,
        "score", json_number(device->score));
    json_object_update(object, numbers);
    json_decref(numbers);
    return object;
}

static void print_device(const clg_device_info *device, bool picked)
{
    printf("%c %s\n", picked ? '*' : ' ', device->name);
    printf("    platform  %s (%s)\n", device->platform, device->platform_version);
    printf("    device    %s, %s, driver %s\n", type_names[device->type], device->version,
           device->driver);
    printf("    compute   %" PRIu32 " units at %" PRIu32 " MHz, work-groups up to %zu\n",
           device->compute_units, device->clock_mhz, device->max_work_group);
    printf("    memory    %.1f GiB, %.1f GiB in one buffer, %.0f KiB local\n",
           (double)device->global_memory / (1 << 30), (double)device->max_allocation / (1 << 30),
           (double)device->local_memory / 1024);
    if (*device->note) printf("    note      %s\n", device->note);
}

static int run(const void *values, int argc, char **argv)
{
    const struct devices_options *given = values;
    clg_device_info *list = NULL;
    size_t count = 0;
    clg_status status = clg_device_list(&list, &count);
    if (status != CLG_OK) return report_status(status, NULL);
    int code = DONE;
    for (size_t i = 0; i < count && code == DONE; i++) {
        bool picked = i == 0 && list[i].usable;
        if (given->json)
            code = print_json(device_json(&list[i], picked));
        else
            print_device(&list[i], picked);
    }
    clg_device_list_free(list);
    return code;
}

const struct command command_devices = {
    .name = "devices",
    .arguments = "",
    .summary = "Lists the OpenCL devices, best first.",
    .details = "The one marked * is used unless --device or CLGRAD_DEVICE says otherwise.",
    .options = options,
    .values_size = sizeof(struct devices_options),
    .max_arguments = 0,
    .run = run,
};
