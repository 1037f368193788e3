/*
 * The user's tuning file: JSON, one entry per device and driver,
 *
 *     {"format": "clgrad tuning", "version": 1, "devices": [
 *       {"platform": "...", "device": "...", "driver": "...",
 *        "choices": {"matmul.tile": "14x2", "conv2d.blocks/wide": "4"}}]}
 *
 * It is never trusted: its size is capped, every part is checked, and whatever is wrong costs one
 * warning and leaves defaults in force. An entry counts only for the very driver it was measured
 * with. `platform` is name and version.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/cache_path.h"
#include "ops/tuning.h"

static const char FORMAT[] = "clgrad tuning";
enum { VERSION = 1, SIZE_LIMIT = 256 << 10, PATH_SIZE = 1024 };

/* ---- where ---- */

clg_status clg_tuning_path(char *path, size_t size)
{
    static const char name[] = "tuning.json";
    const char *file = getenv("CLGRAD_TUNING_FILE");
    char folder[PATH_SIZE];
    int length = 0;
    if (!path || size == 0) return clg__fail(CLG_ERROR_ARGUMENT, "clg_tuning_path: no result");
    path[0] = '\0';
    if (file)
        length = snprintf(path, size, "%s", file);
    else if ((length = clg__user_directory("XDG_CONFIG_HOME", ".config", folder, sizeof folder)))
        length =
            (size_t)length < sizeof folder ? snprintf(path, size, "%s/%s", folder, name) : length;
    if (length >= 0 && (size_t)length < size && (size_t)length < PATH_SIZE) return CLG_OK;
    path[0] = '\0';
    return clg__fail(CLG_ERROR_ARGUMENT, "the path of the tuning file is longer than %zu bytes",
                     size - 1);
}

/* ---- reading ---- */

static bool is_number(const json_t *value, json_int_t number)
{
    return json_is_integer(value) && json_integer_value(value) == number;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static clg_status parse(const char *path, json_t **out)
{
    void *text;
    size_t size;
    json_error_t error;
    CLG_TRY(clg__file_read(path, SIZE_LIMIT, &text, &size));
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    clg__free(text);
    if (!root) return clg__fail(CLG_ERROR_FORMAT, "%s, line %d: %s", path, error.line, error.text);
    if (is_text(json_object_get(root, "format"), FORMAT)) {
        *out = root;
        return CLG_OK;
    }
    json_decref(root);
    return clg__fail(CLG_ERROR_FORMAT, "%s is not a tuning file", path);
}

/*
 * The file's content, checked as far as the list of devices; *out is NULL if there is no file. Of
 * another version only that it is one is known: *current is false then.
 */
static clg_status read_root(const char *path, json_t **out, bool *current)
{
    json_t *root = NULL;
    *out = NULL;
    *current = true;
    if (access(path, F_OK) != 0 && errno == ENOENT) return CLG_OK;
    CLG_TRY(parse(path, &root));
    *current = is_number(json_object_get(root, "version"), VERSION);
    if (*current && !json_is_array(json_object_get(root, "devices"))) {
        json_decref(root);
        return clg__fail(CLG_ERROR_FORMAT, "%s: \"devices\" is missing or no list", path);
    }
    *out = root;
    return CLG_OK;
}

/* How drivers are named in the file: texts that JSON can hold. */
typedef struct identity {
    char platform[256], device[128], driver[64];
} identity;

static void plain(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x7f || (unsigned char)*text < ' ') *text = '?';
}

static identity identify(const clg_device_info *info)
{
    identity id;
    snprintf(id.platform, sizeof id.platform, "%s, %s", info->platform, info->platform_version);
    snprintf(id.device, sizeof id.device, "%s", info->name);
    snprintf(id.driver, sizeof id.driver, "%s", info->driver);
    plain(id.platform);
    plain(id.device);
    plain(id.driver);
    return id;
}

static bool is_of(const json_t *entry, const identity *id)
{
    return is_text(json_object_get(entry, "platform"), id->platform) &&
           is_text(json_object_get(entry, "device"), id->device) &&
           is_text(json_object_get(entry, "driver"), id->driver);
}

/* Takes what is legal; of what is not, the first is in the thread's message. */
static size_t read_choices(clg__tuning *t, const json_t *entry)
{
    size_t wrong = 0;
    const char *key;
    json_t *value;
    char first[512] = "";
    json_t *choices = json_object_get(entry, "choices");
    if (!json_is_object(choices)) {
        clg__fail(CLG_ERROR_FORMAT, "\"choices\" is missing or no object");
        return 1;
    }
    json_object_foreach(choices, key, value)
    {
        clg_status status =
            json_is_string(value)
                ? clg__tuning_choose(t, CLG_TUNING_USER, key, json_string_value(value))
                : clg__fail(CLG_ERROR_FORMAT, "%s: the value is no text", key);
        if (status != CLG_OK && wrong++ == 0) snprintf(first, sizeof first, "%s", clg_last_error());
    }
    if (wrong) clg__fail(CLG_ERROR_FORMAT, "%s", first);
    return wrong;
}

static void read_devices(clg__tuning *t, const json_t *root, const char *path,
                         const clg_device_info *info)
{
    const identity id = identify(info);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "devices"), i, entry)
    {
        if (!is_of(entry, &id)) continue;
        size_t wrong = read_choices(t, entry);
        if (wrong)
            clg__log(CLG_LOG_WARNING, "%s: %zu entries for %s are not used, the first because: %s",
                     path, wrong, id.device, clg_last_error());
        return;
    }
}

void clg__tuning_read_file(clg__tuning *t, const clg_device_info *info)
{
    char path[PATH_SIZE];
    json_t *root = NULL;
    bool current = true;
    clg_status status = clg_tuning_path(path, sizeof path);
    if (status == CLG_OK && !path[0]) return;
    if (status == CLG_OK) status = read_root(path, &root, &current);
    if (status != CLG_OK)
        clg__log(CLG_LOG_WARNING, "the tuning file is not used: %s", clg_last_error());
    else if (!current)
        clg__log(CLG_LOG_WARNING,
                 "the tuning file %s is of another version and not used; "
                 "'cltrain tune' replaces it",
                 path);
    else if (root)
        read_devices(t, root, path, info);
    json_decref(root);
}

/* ---- writing ---- */

/* The path, and what is there: as read_root, but an error if there can be no file. */
static clg_status open_for_writing(char *path, json_t **root, bool *current)
{
    CLG_TRY(clg_tuning_path(path, PATH_SIZE));
    if (!path[0])
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "the tuning file is turned off: CLGRAD_TUNING_FILE is empty, or neither "
                         "XDG_CONFIG_HOME nor HOME names a folder");
    clg_status status = read_root(path, root, current);
    return status == CLG_OK
               ? status
               : clg__fail_context(status, "a file that is not understood is not replaced; remove "
                                           "it or let CLGRAD_TUNING_FILE name another");
}

/* The folder that a file is in exists from now on, and files can be made there. */
static clg_status make_folder(const char *path)
{
    clg__str folder = {0};
    CLG_TRY(clg__directory_of(&folder, path));
    clg_status status = clg__make_directories(folder.text, 0700);
    if (status == CLG_OK && access(folder.text, W_OK | X_OK) != 0)
        status = clg__fail(CLG_ERROR_IO, "%s: %s", folder.text, strerror(errno));
    clg__str_free(&folder);
    return status;
}

clg_status clg_tuning_check_file(void)
{
    char path[PATH_SIZE];
    json_t *root = NULL;
    bool current;
    CLG_TRY(open_for_writing(path, &root, &current));
    json_decref(root);
    return make_folder(path);
}

static json_t *entry_of(const clg__tuning *t, const identity *id)
{
    char key[CLG__TUNING_KEY];
    const char *value;
    json_t *choices = json_object();
    for (size_t i = 0; clg__tuning_item(t, CLG_TUNING_USER, i, key, &value); i++)
        if (json_object_set_new(choices, key, json_string(value)) != 0) {
            json_decref(choices);
            return NULL;
        }
    return json_pack("{ss ss ss so}", "platform", id->platform, "device", id->device, "driver",
                     id->driver, "choices", choices);
}

/* Puts the entry into the list, where the device's was. Steals it. */
static int replace_entry(json_t *devices, json_t *entry, const identity *id)
{
    for (size_t i = 0; i < json_array_size(devices); i++)
        if (is_of(json_array_get(devices, i), id)) return json_array_set_new(devices, i, entry);
    return json_array_append_new(devices, entry);
}

static clg_status write_root(const char *path, const json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    if (!text) return clg__fail(CLG_ERROR_MEMORY, "out of memory for the tuning file");
    clg_status status = make_folder(path);
    if (status == CLG_OK)
        status = clg__file_write_atomic(path, text, strlen(text), CLG__FILE_DURABLE);
    free(text);
    return status;
}

clg_status clg_tuning_save(clg_context *ctx)
{
    char path[PATH_SIZE];
    json_t *root = NULL;
    bool current;
    if (!ctx) return clg__fail(CLG_ERROR_ARGUMENT, "clg_tuning_save: the context is NULL");
    CLG_TRY(clg__tuning_load(ctx));
    CLG_TRY(open_for_writing(path, &root, &current));
    const identity id = identify(&ctx->info);
    if (!root || !current) {
        json_decref(root);
        root = json_pack("{ss si s[]}", "format", FORMAT, "version", VERSION, "devices");
    }
    json_t *devices = json_object_get(root, "devices");
    clg_status status = CLG_OK;
    if (!devices || replace_entry(devices, entry_of(ctx->tuning, &id), &id) != 0)
        status = clg__fail(CLG_ERROR_MEMORY, "out of memory for the tuning file");
    if (status == CLG_OK) status = write_root(path, root);
    json_decref(root);
    return status;
}
