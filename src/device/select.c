/*
 * Picking a device by PLATFORM:TYPE:NAME-OR-INDEX.
 *
 * Every part is optional and a case-insensitive substring; a word without colons is a platform. One
 * or two digits in the third place are the index within the platform, anything longer is part of a
 * name ("1080"). Several matches: the best by score; two that are equally good are an error,
 * because a guess would train on the wrong one of two cards without anybody noticing.
 */
#include <ctype.h>
#include <strings.h>

#include "device/devices.h"

typedef struct selector {
    char part[3][256]; /* platform, type, name or index; "" matches all */
} selector;

static const char *const type_names[] = {
    [CLG_DEVICE_CPU] = "cpu", [CLG_DEVICE_GPU] = "gpu", [CLG_DEVICE_ACCELERATOR] = "accelerator"};

bool clg__contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; strlen(text) >= length; text++)
        if (strncasecmp(text, part, length) == 0) return true;
    return false;
}

static clg_status parse(selector *out, const char *text)
{
    *out = (selector){0};
    for (int i = 0; i < 3; i++) {
        size_t length = i < 2 ? strcspn(text, ":") : strlen(text);
        if (length >= sizeof out->part[i])
            return clg__fail(CLG_ERROR_NO_DEVICE, "a device selector of %zu characters is too long",
                             length);
        memcpy(out->part[i], text, length);
        text += length;
        if (*text == ':') text++;
    }
    return CLG_OK;
}

static bool matches_name(const clg_device_info *info, const char *part)
{
    size_t digits = strspn(part, "0123456789");
    if (digits == 0 || digits > 2 || part[digits]) return clg__contains(info->name, part);
    int index = 0;
    for (; *part; part++) index = index * 10 + (*part - '0');
    return info->device_index == index;
}

/* "pocl" is not in PoCL's platform name ("Portable Computing Language"), but in its version. */
static bool matches(const clg_device_info *info, const selector *s)
{
    return (clg__contains(info->platform, s->part[0]) ||
            clg__contains(info->platform_version, s->part[0])) &&
           clg__contains(type_names[info->type], s->part[1]) && matches_name(info, s->part[2]);
}

static void add_list(clg__str *text, const clg__device_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const clg_device_info *info = &entries[i].info;
        clg__str_addf(text, "\n  %s:%s:%d  %s", info->platform, type_names[info->type],
                      info->device_index, info->name);
        if (info->note[0]) clg__str_addf(text, " (%s)", info->note);
    }
}

static clg_status refuse(const char *why, const clg__device_wish *wish,
                         const clg__device_entry *entries, size_t count)
{
    clg__str list = {0};
    add_list(&list, entries, count);
    clg_status status = list.failed ? CLG_ERROR_MEMORY : CLG_ERROR_NO_DEVICE;
    if (!list.failed)
        clg__fail(status, "%s \"%s\" (%s, as PLATFORM:TYPE:NAME-OR-INDEX); there is:%s", why,
                  wish->selector, wish->origin, clg__str_text(&list));
    clg__str_free(&list);
    return status;
}

static clg_status select_by_text(const clg__device_entry **out, const clg__device_entry *entries,
                                 size_t count, const clg__device_wish *wish)
{
    selector s;
    CLG_TRY(parse(&s, wish->selector));
    const clg__device_entry *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!matches(&entries[i].info, &s)) continue;
        if (best && entries[i].info.score == best->info.score)
            return refuse("several equally good devices match", wish, entries, count);
        if (best) break; /* sorted: the rest is worse */
        best = &entries[i];
    }
    if (!best) return refuse("no device matches", wish, entries, count);
    if (best->broken)
        return clg__fail(CLG_ERROR_NO_DEVICE,
                         "the device %s (selected by \"%s\", %s) cannot be "
                         "used: %s",
                         best->info.name, wish->selector, wish->origin, best->info.note);
    *out = best;
    return CLG_OK;
}

static clg_status select_best(const clg__device_entry **out, const clg__device_entry *entries,
                              size_t count)
{
    static const clg__device_wish nothing = {"", "default"};
    if (!entries[0].info.usable) return refuse("no usable device for", &nothing, entries, count);
    *out = &entries[0];
    return CLG_OK;
}

static bool is_given(const clg__device_wish *wish)
{
    return wish->selector && wish->selector[0];
}

clg_status clg__device_select(const clg__device_entry **out, const clg__device_entry *entries,
                              size_t count, const clg__device_wish *wish)
{
    return is_given(wish) ? select_by_text(out, entries, count, wish)
                          : select_best(out, entries, count);
}

void clg__device_choice(char *text, size_t size, const clg__device_entry *selected, size_t count,
                        const clg__device_wish *wish)
{
    const clg_device_info *info = &selected->info;
    int length = snprintf(text, size, "%s on %s (%s, %u compute units): ", info->name,
                          info->platform, type_names[info->type], info->compute_units);
    if (length < 0 || (size_t)length >= size) return; /* cut off, still readable */
    if (is_given(wish))
        snprintf(text + length, size - (size_t)length, "selected by \"%s\" (%s)", wish->selector,
                 wish->origin);
    else
        snprintf(text + length, size - (size_t)length, "the best of %zu device%s", count,
                 count == 1 ? "" : "s");
}
