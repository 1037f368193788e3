/*
 * Enumerating devices and asking them what they can do.
 *
 * Drivers are installed by other people: one that fails must not hide the rest. A failing platform
 * is logged and left out, a failing device is listed as unusable with the reason; only running out
 * of memory ends the search. Device strings are made printable ASCII: some carry NULs.
 */
#include <stdlib.h>
#include <strings.h>

#include "device/devices.h"

typedef struct entry_list {
    clg__device_entry *items;
    size_t count, capacity;
} entry_list;

/* ---- single values and strings ---- */

/* A platform or a device: the two info calls differ in nothing but the type of the handle. */
typedef struct info_object {
    cl_platform_id platform;
    cl_device_id device; /* NULL: ask the platform */
} info_object;

static clg_status query(info_object o, cl_uint param, size_t size, void *value, size_t *needed)
{
    if (o.device) return CLG__CL(clGetDeviceInfo(o.device, param, size, value, needed));
    return CLG__CL(clGetPlatformInfo(o.platform, param, size, value, needed));
}

/* Printable ASCII only, runs of anything else as one blank, trimmed, cut to fit. */
static void clean_text(char *out, size_t out_size, const char *raw, size_t raw_size)
{
    size_t length = 0;
    for (size_t i = 0; i < raw_size && length + 1 < out_size; i++) {
        bool visible = raw[i] > ' ' && raw[i] < 0x7f;
        if (visible)
            out[length++] = raw[i];
        else if (length && out[length - 1] != ' ')
            out[length++] = ' ';
    }
    while (length && out[length - 1] == ' ') length--;
    out[length] = '\0';
}

static clg_status query_raw(info_object o, cl_uint param, char **out, size_t *size)
{
    CLG_TRY(query(o, param, 0, NULL, size));
    char *raw = clg__calloc(*size + 1, 1);
    if (!raw) return CLG_ERROR_MEMORY;
    clg_status status = query(o, param, *size, raw, NULL);
    if (status == CLG_OK)
        *out = raw;
    else
        clg__free(raw);
    return status;
}

static clg_status query_text(info_object o, cl_uint param, char *out, size_t out_size)
{
    char *raw;
    size_t size;
    CLG_TRY(query_raw(o, param, &raw, &size));
    clean_text(out, out_size, raw, size);
    clg__free(raw);
    return CLG_OK;
}

#define QUERY_TEXT(object, param, field) query_text(object, param, field, sizeof(field))
#define QUERY(object, param, variable) query(object, param, sizeof(variable), &(variable), NULL)

/* ---- one device ---- */

static clg_status describe_platform(clg_device_info *info, cl_platform_id platform)
{
    info_object o = {platform, NULL};
    CLG_TRY(QUERY_TEXT(o, CL_PLATFORM_NAME, info->platform));
    return QUERY_TEXT(o, CL_PLATFORM_VERSION, info->platform_version);
}

static clg_status describe_names(clg_device_info *info, info_object o)
{
    CLG_TRY(QUERY_TEXT(o, CL_DEVICE_NAME, info->name));
    CLG_TRY(QUERY_TEXT(o, CL_DEVICE_VENDOR, info->vendor));
    CLG_TRY(QUERY_TEXT(o, CL_DEVICE_VERSION, info->version));
    CLG_TRY(QUERY_TEXT(o, CL_DRIVER_VERSION, info->driver));
    cl_device_type type;
    CLG_TRY(QUERY(o, CL_DEVICE_TYPE, type));
    info->type = type & CL_DEVICE_TYPE_GPU   ? CLG_DEVICE_GPU
                 : type & CL_DEVICE_TYPE_CPU ? CLG_DEVICE_CPU
                                             : CLG_DEVICE_ACCELERATOR;
    return CLG_OK;
}

static clg_status describe_sizes(clg_device_info *info, info_object o)
{
    cl_uint align_bits, dimensions;
    CLG_TRY(QUERY(o, CL_DEVICE_MAX_COMPUTE_UNITS, info->compute_units));
    CLG_TRY(QUERY(o, CL_DEVICE_MAX_CLOCK_FREQUENCY, info->clock_mhz));
    CLG_TRY(QUERY(o, CL_DEVICE_GLOBAL_MEM_SIZE, info->global_memory));
    CLG_TRY(QUERY(o, CL_DEVICE_MAX_MEM_ALLOC_SIZE, info->max_allocation));
    CLG_TRY(QUERY(o, CL_DEVICE_LOCAL_MEM_SIZE, info->local_memory));
    CLG_TRY(QUERY(o, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, info->cache_memory));
    CLG_TRY(QUERY(o, CL_DEVICE_MAX_WORK_GROUP_SIZE, info->max_work_group));
    CLG_TRY(QUERY(o, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, info->float_vector_width));
    cl_device_fp_config floats = 0;
    CLG_TRY(QUERY(o, CL_DEVICE_SINGLE_FP_CONFIG, floats));
    info->fma = (floats & CL_FP_FMA) != 0;
    CLG_TRY(QUERY(o, CL_DEVICE_MEM_BASE_ADDR_ALIGN, align_bits));
    info->base_align_bytes = align_bits / 8;
    CLG_TRY(QUERY(o, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, dimensions));
    size_t items[16] = {0}; /* the standard guarantees 3; nobody has more */
    if (dimensions > CLG__COUNT(items))
        return clg__fail(CLG_ERROR_OPENCL, "claims %u work-item dimensions", dimensions);
    CLG_TRY(query(o, CL_DEVICE_MAX_WORK_ITEM_SIZES, dimensions * sizeof items[0], items, NULL));
    memcpy(info->max_work_item, items, sizeof info->max_work_item);
    return CLG_OK;
}

static clg_status describe_features(clg_device_info *info, info_object o)
{
    cl_bool unified;
    char *extensions;
    size_t size;
    CLG_TRY(QUERY(o, CL_DEVICE_HOST_UNIFIED_MEMORY, unified));
    CLG_TRY(query_raw(o, CL_DEVICE_EXTENSIONS, &extensions, &size));
    info->unified_memory = unified;
    info->has_fp16 = strstr(extensions, "cl_khr_fp16") != NULL;
    info->has_fp64 = strstr(extensions, "cl_khr_fp64") != NULL;
    clg__free(extensions);
    return CLG_OK;
}

/* What makes a device useless for us whatever the user asks for; NULL if nothing does. */
static clg_status find_fault(const clg_device_info *info, info_object o, const char **fault)
{
    cl_bool available, compiler, little_endian;
    CLG_TRY(QUERY(o, CL_DEVICE_AVAILABLE, available));
    CLG_TRY(QUERY(o, CL_DEVICE_COMPILER_AVAILABLE, compiler));
    CLG_TRY(QUERY(o, CL_DEVICE_ENDIAN_LITTLE, little_endian));
    int major = 0, minor = 0;
    bool versioned = sscanf(info->version, "OpenCL %d.%d", &major, &minor) == 2;
    *fault = !available                              ? "the driver says it is not available"
             : !compiler                             ? "it has no OpenCL C compiler"
             : !little_endian                        ? "it is big-endian"
             : !versioned || major * 10 + minor < 12 ? "it is older than OpenCL 1.2"
                                                     : NULL;
    return CLG_OK;
}

static clg_status describe_all(clg__device_entry *entry)
{
    clg_device_info *info = &entry->info;
    info_object o = {NULL, entry->id};
    const char *fault;
    CLG_TRY(describe_names(info, o));
    CLG_TRY(describe_sizes(info, o));
    CLG_TRY(describe_features(info, o));
    CLG_TRY(find_fault(info, o, &fault));
    entry->broken = fault != NULL;
    snprintf(info->note, sizeof info->note, "%s", fault ? fault : "");
    return CLG_OK;
}

clg_status clg__device_describe(clg__device_entry *out, cl_device_id id)
{
    clg__device_entry entry = {.id = id};
    cl_platform_id platform;
    CLG_TRY(QUERY(((info_object){NULL, id}), CL_DEVICE_PLATFORM, platform));
    CLG_TRY(describe_platform(&entry.info, platform));
    CLG_TRY(describe_all(&entry));
    entry.info.platform_index = entry.info.device_index = -1;
    clg__device_rank(&entry);
    *out = entry;
    return CLG_OK;
}

/* ---- all devices ---- */

static clg_status add_device(entry_list *list, const clg_device_info *platform, cl_device_id id,
                             int index)
{
    CLG_TRY(
        clg__grow((void **)&list->items, &list->capacity, list->count + 1, sizeof *list->items));
    clg__device_entry *entry = &list->items[list->count];
    *entry = (clg__device_entry){.info = *platform, .id = id};
    entry->info.device_index = index;
    clg_status status = describe_all(entry);
    if (status == CLG_ERROR_MEMORY) return status;
    if (status != CLG_OK) {
        entry->broken = true;
        clean_text(entry->info.note, sizeof entry->info.note, clg_last_error(),
                   strlen(clg_last_error()));
    }
    clg__device_rank(entry);
    list->count++;
    return CLG_OK;
}

static clg_status add_platform(entry_list *list, cl_platform_id platform, int index)
{
    clg_device_info info = {.platform_index = index};
    cl_device_id ids[64]; /* more devices on one platform than this are not listed */
    cl_uint count = 0;
    CLG_TRY(describe_platform(&info, platform));
    CLG_TRY(CLG__CL(
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, (cl_uint)CLG__COUNT(ids), ids, &count)));
    for (cl_uint i = 0; i < count && i < CLG__COUNT(ids); i++)
        CLG_TRY(add_device(list, &info, ids[i], (int)i));
    return CLG_OK;
}

static clg_status find_in_platforms(entry_list *list, const cl_platform_id *platforms,
                                    cl_uint count)
{
    for (cl_uint i = 0; i < count; i++) {
        clg_status status = add_platform(list, platforms[i], (int)i);
        if (status == CLG_ERROR_MEMORY) return status;
        if (status == CLG_ERROR_NO_DEVICE) continue; /* a platform without devices is no failure */
        if (status != CLG_OK)
            clg__log(CLG_LOG_WARNING, "OpenCL platform %u is left out: %s", i, clg_last_error());
    }
    if (list->count) return CLG_OK;
    return clg__fail(CLG_ERROR_NO_DEVICE,
                     "none of the %u OpenCL platforms has a device; install a driver for one "
                     "(pocl-opencl-icd serves any CPU), or make PoCL's cache directory writable "
                     "(POCL_CACHE_DIR, else ~/.cache/pocl): PoCL disappears when it is not",
                     count);
}

static int best_first(const void *a, const void *b)
{
    const clg_device_info *x = &((const clg__device_entry *)a)->info;
    const clg_device_info *y = &((const clg__device_entry *)b)->info;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    if (x->platform_index != y->platform_index) return x->platform_index - y->platform_index;
    return x->device_index - y->device_index;
}

clg_status clg__devices_find(clg__device_entry **out, size_t *count)
{
    cl_platform_id platforms[32];
    cl_uint platform_count = 0;
    clg_status status =
        CLG__CL(clGetPlatformIDs((cl_uint)CLG__COUNT(platforms), platforms, &platform_count));
    if (status == CLG_ERROR_NO_DEVICE || (status == CLG_OK && platform_count == 0))
        return clg__fail(
            CLG_ERROR_NO_DEVICE,
            "no OpenCL platform found (clGetPlatformIDs: -1001): either no driver (ICD) is "
            "installed - pocl-opencl-icd serves any CPU, GPUs need their vendor's -, or PoCL's "
            "cache directory is not writable (POCL_CACHE_DIR, else ~/.cache/pocl), which makes "
            "PoCL disappear; OCL_ICD_VENDORS, if set, must name an existing driver");
    CLG_TRY(status);
    if (platform_count > CLG__COUNT(platforms)) platform_count = CLG__COUNT(platforms);
    entry_list list = {0};
    status = find_in_platforms(&list, platforms, platform_count);
    if (status != CLG_OK) {
        clg__free(list.items);
        return status;
    }
    qsort(list.items, list.count, sizeof *list.items, best_first);
    *out = list.items;
    *count = list.count;
    return CLG_OK;
}

clg_status clg_device_list(clg_device_info **out, size_t *count)
{
    clg__device_entry *entries;
    size_t found;
    if (!out || !count) return clg__fail(CLG_ERROR_ARGUMENT, "clg_device_list: NULL result");
    CLG_TRY(clg__devices_find(&entries, &found));
    clg_device_info *list = clg__calloc(found, sizeof *list);
    if (list) {
        for (size_t i = 0; i < found; i++) list[i] = entries[i].info;
        *out = list;
        *count = found;
    }
    clg__free(entries);
    return list ? CLG_OK : CLG_ERROR_MEMORY;
}

void clg_device_list_free(clg_device_info *list)
{
    clg__free(list);
}
