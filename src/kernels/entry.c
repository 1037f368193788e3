/*
 * Cache entries: <directory>/<32 hex digits of the key's hash>.clgk, holding
 *
 *     header (magic, format version, key length, payload length, XXH128 of the payload) | key |
 * payload
 *
 * in host byte order: the directory belongs to one machine's user, and a foreign order does not
 * survive the check. The key is echoed in full, so a file renamed to another key's name is refused.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "kernels/entry.h"

/* Raise it whenever the layout, the key, or what build.c adds to the options changes. */
enum { FORMAT_VERSION = 1 };
enum { HASH_DIGITS = 32 };
#define SUFFIX ".clgk"
static const char magic[8] = "CLGRADK";
static const size_t max_entry_size = (size_t)64 << 20;

typedef struct entry_header {
    char magic[8];
    uint32_t version, key_size;
    uint64_t payload_size;
    clg__hash128 payload_hash;
} entry_header;

void clg__entry_key(clg__str *key, const clg_context *ctx, const clg__module_request *request)
{
    const clg_device_info *info = &ctx->info;
    size_t length = strlen(request->source);
    clg__hash128 source = clg__hash(request->source, length);
    clg__str_addf(key, "clgrad %d\nplatform %s\nplatform version %s\n", FORMAT_VERSION,
                  info->platform, info->platform_version);
    clg__str_addf(key, "device %s\nvendor %s\ndevice version %s\ndriver %s\n", info->name,
                  info->vendor, info->version, info->driver);
    clg__str_addf(key, "options %s\nsource %016llx%016llx %zu\n", request->options,
                  (unsigned long long)source.hi, (unsigned long long)source.lo, length);
}

static bool entry_path(clg__str *path, const char *directory, const clg__str *key)
{
    clg__hash128 hash = clg__hash(key->text, key->length);
    clg__str_addf(path, "%s/%016llx%016llx" SUFFIX, directory, (unsigned long long)hash.hi,
                  (unsigned long long)hash.lo);
    return !path->failed;
}

bool clg__entry_is_name(const char *name, bool leftover)
{
    static const char temporary[] = SUFFIX ".tmp-";
    if (strspn(name, "0123456789abcdef") != HASH_DIGITS) return false;
    return leftover ? strncmp(name + HASH_DIGITS, temporary, sizeof temporary - 1) == 0
                    : strcmp(name + HASH_DIGITS, SUFFIX) == 0;
}

/* Every byte of the file is either compared with what we expect or covered by the hash. */
static bool verify(clg__entry *entry, size_t size, const clg__str *key)
{
    entry_header header;
    if (size < sizeof header) return false;
    memcpy(&header, entry->data, sizeof header);
    const unsigned char *rest = (const unsigned char *)entry->data + sizeof header;
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.version != FORMAT_VERSION ||
        header.key_size != key->length || size - sizeof header < key->length ||
        header.payload_size != size - sizeof header - key->length || header.payload_size == 0)
        return false;
    if (memcmp(rest, key->text, key->length) != 0) return false;
    entry->payload = rest + key->length;
    entry->payload_size = (size_t)header.payload_size;
    return clg__hash_equal(clg__hash(entry->payload, entry->payload_size), header.payload_hash);
}

static bool read_verified(clg__entry *entry, const char *path, const clg__str *key)
{
    size_t size;
    if (clg__file_read(path, max_entry_size, &entry->data, &size) != CLG_OK) return false;
    if (verify(entry, size, key)) return true;
    clg__log(CLG_LOG_INFO, "kernel cache: %s is damaged or of another version, compiling anew",
             path);
    clg__free(entry->data);
    return false;
}

bool clg__entry_read(clg__entry *out, const char *directory, const clg__str *key)
{
    clg__str path = {0};
    clg__entry entry = {0};
    bool found = entry_path(&path, directory, key) && read_verified(&entry, path.text, key);
    if (found) {
        utimensat(AT_FDCWD, path.text, NULL, 0); /* for the eviction; no harm if refused */
        *out = entry;
    }
    clg__str_free(&path);
    return found;
}

static clg_status write_parts(clg__atomic_file *file, const clg__str *key, const void *payload,
                              size_t payload_size)
{
    entry_header header = {.version = FORMAT_VERSION,
                           .key_size = (uint32_t)key->length,
                           .payload_size = payload_size,
                           .payload_hash = clg__hash(payload, payload_size)};
    memcpy(header.magic, magic, sizeof magic);
    CLG_TRY(clg__atomic_write(file, &header, sizeof header));
    CLG_TRY(clg__atomic_write(file, key->text, key->length));
    return clg__atomic_write(file, payload, payload_size);
}

clg_status clg__entry_write(const char *directory, const clg__str *key, const void *payload,
                            size_t payload_size)
{
    clg__str path = {0};
    clg__atomic_file *file;
    clg_status status = entry_path(&path, directory, key) ? CLG_OK : CLG_ERROR_MEMORY;
    if (status == CLG_OK) status = clg__atomic_open(&file, path.text, CLG__FILE_OURS);
    clg__str_free(&path);
    if (status != CLG_OK) return status;
    status = write_parts(file, key, payload, payload_size);
    if (status == CLG_OK) return clg__atomic_commit(file);
    clg__atomic_abort(file);
    return status;
}
