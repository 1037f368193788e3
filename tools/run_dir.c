/*
 * Making, reading and extending run directories. metrics.jsonl is the memory of a run: curves and
 * the best epoch come from it, so that a resumed run needs nothing else.
 */
#include "run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clgrad/data.h"
#include "cltrain.h"
#include "model_file.h"
#include "output_file.h"
#include "progress.h"

enum { MAX_RUNS = 100000 };

static struct run_path join(const char *directory, const char *file)
{
    struct run_path path;
    snprintf(path.text, sizeof path.text, "%s/%s", directory, file);
    return path;
}

struct run_path run_file(const struct run_dir *run, const char *file)
{
    return join(run->path, file);
}

/* ---- creation ---- */

static int make_parents(const char *path)
{
    struct run_path part;
    snprintf(part.text, sizeof part.text, "%s", path);
    for (char *slash = part.text; (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(part.text, 0777) && errno != EEXIST)
            return report_error(FAILED, "%s: %s", part.text, strerror(errno));
        *slash = '/';
    }
    return DONE;
}

static int refuse_long_name(void)
{
    return report_error(BAD_USAGE, "the name of the run directory is too long");
}

static int set_path(struct run_dir *run, const char *path)
{
    *run = (struct run_dir){0};
    if (strlen(path) > RUN_PATH_SIZE - 100) return refuse_long_name();
    run->path = strdup(path);
    return run->path ? DONE : report_error(NO_MEMORY, "out of memory");
}

/*
 * One process at a time trains a run. The lock is on the directory itself, so that it leaves no
 * file and ends with the process, however that ends. Some file systems have no such locks.
 */
static int lock(struct run_dir *run)
{
    int directory = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) run->lock = directory;
    if (directory >= 0 && !flock(directory, LOCK_EX | LOCK_NB)) return DONE;
    if (directory >= 0 && errno == EWOULDBLOCK)
        return report_error(FAILED, "%s is being trained by another process", run->path);
    report_warning("%s cannot be locked (%s): nothing keeps another process from training it too",
                   run->path, strerror(errno));
    return DONE;
}

/* A folder, or a name in one, that can be written. */
static int check_place(const char *out)
{
    struct run_path place;
    struct stat info;
    snprintf(place.text, sizeof place.text, "%s", out);
    while (stat(place.text, &info)) {
        if (errno != ENOENT) return report_error(FAILED, "%s: %s", out, strerror(errno));
        char *slash = strrchr(place.text, '/');
        if (slash == place.text) slash++;
        snprintf(slash ? slash : place.text, 2, "%s", slash ? "" : ".");
    }
    if (!S_ISDIR(info.st_mode)) errno = ENOTDIR;
    if (S_ISDIR(info.st_mode) && !access(place.text, W_OK | X_OK)) return DONE;
    return report_error(FAILED, "%s: %s", place.text, strerror(errno));
}

static int refuse_run(const char *out)
{
    if (access(join(out, "config.yaml").text, F_OK)) return DONE;
    return report_error(BAD_USAGE,
                        "%s already holds a run: go on with --resume %s, or choose another --out",
                        out, out);
}

int run_check(const char *out)
{
    if (!out) return check_place("runs");
    if (strlen(out) > RUN_PATH_SIZE - 100) return refuse_long_name();
    int code = check_place(out);
    if (code != DONE || access(join(out, "config.yaml").text, F_OK)) return code;
    struct run_dir run = {.path = (char *)out};
    code = lock(&run); /* that it is being trained says more */
    if (run.lock) close(run.lock);
    return code == DONE ? refuse_run(out) : code;
}

static int create_named(struct run_dir *run, const char *out)
{
    int code = set_path(run, out);
    if (code == DONE) code = make_parents(out);
    if (code != DONE) return code;
    if (mkdir(out, 0777) && errno != EEXIST)
        return report_error(FAILED, "%s: %s", out, strerror(errno));
    code = lock(run);
    return code == DONE ? refuse_run(out) : code;
}

int run_create(struct run_dir *run, const char *out, const char *name)
{
    *run = (struct run_dir){0};
    if (out) return create_named(run, out);
    char stem[64];
    snprintf(stem, sizeof stem, "%s", name);
    for (char *at = stem; *at; at++)
        if (*at == '/' || *at == '.' || (unsigned char)*at <= ' ') *at = '_';
    if (mkdir("runs", 0777) && errno != EEXIST)
        return report_error(FAILED, "runs: %s", strerror(errno));
    for (int i = 1; i < MAX_RUNS; i++) {
        char path[96];
        snprintf(path, sizeof path, "runs/%s-%d", stem, i);
        if (!mkdir(path, 0777)) {
            int code = set_path(run, path);
            return code == DONE ? lock(run) : code;
        }
        if (errno != EEXIST) return report_error(FAILED, "%s: %s", path, strerror(errno));
    }
    return report_error(FAILED, "runs: no free name for %s", stem);
}

static void drop_records(struct run_dir *run, size_t count)
{
    while (run->count > count) json_decref(run->records[--run->count].gradient_norms);
}

void run_close(struct run_dir *run)
{
    drop_records(run, 0);
    if (run->lock) close(run->lock);
    free(run->path);
    free(run->records);
    *run = (struct run_dir){0};
}

int run_write(const struct run_dir *run, const char *file, const char *text)
{
    return write_file(run_file(run, file).text, text);
}

/* ---- metrics ---- */

json_t *record_json(const struct epoch_record *record)
{
    json_t *object =
        json_pack("{sI sI sI so so so so so so so}", "epoch", (json_int_t)record->epoch, "epochs",
                  (json_int_t)record->epochs, "step", (json_int_t)record->step, "train_loss",
                  json_number(record->train_loss), "val_loss", json_number(record->val_loss),
                  "val_accuracy", json_number(record->val_accuracy), "lr", json_number(record->lr),
                  "images_per_second", json_number(record->images_per_second), "seconds",
                  json_number(record->seconds), "time", json_number(record->time));
    if (record->gradient_norms) json_object_set(object, "gradient_norms", record->gradient_norms);
    return object;
}

static double read_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static struct epoch_record read_record(const json_t *object)
{
    return (struct epoch_record){
        .epoch = json_integer_value(json_object_get(object, "epoch")),
        .epochs = json_integer_value(json_object_get(object, "epochs")),
        .step = (uint64_t)json_integer_value(json_object_get(object, "step")),
        .train_loss = read_number(object, "train_loss"),
        .val_loss = read_number(object, "val_loss"),
        .val_accuracy = read_number(object, "val_accuracy"),
        .lr = read_number(object, "lr"),
        .images_per_second = read_number(object, "images_per_second"),
        .seconds = read_number(object, "seconds"),
        .time = read_number(object, "time"),
        .gradient_norms = json_incref(json_object_get(object, "gradient_norms")),
    };
}

static int keep_record(struct run_dir *run, const struct epoch_record *record)
{
    void *grown = realloc(run->records, (run->count + 1) * sizeof *run->records);
    if (!grown) {
        json_decref(record->gradient_norms);
        return report_error(NO_MEMORY, "out of memory");
    }
    run->records = grown;
    run->records[run->count++] = *record;
    return DONE;
}

static int metrics_error(const char *path)
{
    return report_error(FAILED, "%s: %s", path, strerror(errno));
}

/* From record `first` on; false: something could not be written. */
static bool print_records(FILE *file, const struct run_dir *run, size_t first)
{
    bool printed = true;
    for (size_t i = first; i < run->count; i++) {
        json_t *object = record_json(&run->records[i]);
        char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        if (!text || fprintf(file, "%s\n", text) < 0) printed = false;
        free(text);
        json_decref(object);
    }
    return printed;
}

int run_add(struct run_dir *run, const struct epoch_record *record)
{
    struct run_path path = run_file(run, "metrics.jsonl");
    int code = keep_record(run, record);
    if (code != DONE) return code;
    FILE *file = fopen(path.text, "a");
    if (!file) return metrics_error(path.text);
    bool printed = print_records(file, run, run->count - 1);
    if (fclose(file)) printed = false;
    return printed ? DONE : metrics_error(path.text);
}

static int open_existing(struct run_dir *run, const char *path)
{
    int code = set_path(run, path);
    if (code == DONE && access(run_file(run, "config.yaml").text, R_OK))
        code = report_error(BAD_INPUT, "%s is not a run: config.yaml: %s", path, strerror(errno));
    return code;
}

static int read_records(struct run_dir *run)
{
    int code = DONE;
    FILE *file = fopen(run_file(run, "metrics.jsonl").text, "r");
    if (!file) return DONE; /* stopped in the first epoch */
    /* A torn last line is what a crash leaves: it ends the reading, and the epoch is made again. */
    for (json_t *object;
         code == DONE && (object = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL));) {
        struct epoch_record record = read_record(object);
        json_decref(object);
        code = keep_record(run, &record);
    }
    fclose(file);
    return code;
}

int run_open(struct run_dir *run, const char *path)
{
    int code = open_existing(run, path);
    return code == DONE ? read_records(run) : code;
}

/* What a killed process was writing: nobody else writes here, since the run is locked. */
static void remove_temporaries(const char *path)
{
    static const char hex[] = "[0-9a-f]";
    char pattern[80] = "*.tmp-";
    for (int i = 0; i < 6; i++) strcat(pattern, hex);
    DIR *directory = opendir(path);
    for (struct dirent *item; directory && (item = readdir(directory));)
        if (!fnmatch(pattern, item->d_name, 0) || !fnmatch("*.temporary", item->d_name, 0))
            unlinkat(dirfd(directory), item->d_name, 0);
    if (directory) closedir(directory);
}

int run_open_to_train(struct run_dir *run, const char *path)
{
    int code = open_existing(run, path);
    if (code == DONE) code = lock(run);
    if (code != DONE) return code;
    remove_temporaries(run->path);
    remove_temporaries(run_file(run, "checkpoints").text);
    return read_records(run);
}

int run_truncate(struct run_dir *run, int64_t epochs)
{
    size_t count = 0;
    while (count < run->count && run->records[count].epoch <= epochs) count++;
    drop_records(run, count);
    struct output_file file;
    int code = output_open(&file, run_file(run, "metrics.jsonl").text);
    if (code != DONE) return code;
    bool printed = print_records(file.out, run, 0);
    code = output_close(&file);
    return printed || code != DONE ? code : report_error(NO_MEMORY, "out of memory");
}

int run_best(const struct run_dir *run)
{
    int best = -1;
    for (size_t i = 0; i < run->count; i++) {
        double loss = run->records[i].val_loss;
        if (!isnan(loss) && (best < 0 || loss < run->records[best].val_loss)) best = (int)i;
    }
    return best;
}

/* ---- charts ---- */

/* The two curves over the epochs, as columns of one block that the caller frees. */
static double *curves(const struct run_dir *run, clg_chart_series series[2])
{
    size_t n = run->count;
    double *columns = malloc((3 * n + 1) * sizeof *columns);
    for (size_t i = 0; columns && i < n; i++) {
        columns[i] = (double)run->records[i].epoch;
        columns[n + i] = run->records[i].train_loss;
        columns[2 * n + i] = run->records[i].val_loss;
    }
    if (!columns) return NULL;
    series[0] = (clg_chart_series){"training", columns, columns + n, n};
    series[1] = (clg_chart_series){"validation", columns, columns + 2 * n, n};
    return columns;
}

static clg_chart_params chart_of(const struct run_dir *run, const clg_chart_series *series)
{
    bool validated = run_best(run) >= 0;
    return (clg_chart_params){.title = run->path,
                              .x_label = "epoch",
                              .y_label = "loss",
                              .series = series,
                              .count = validated ? 2 : 1};
}

int run_draw(const struct run_dir *run)
{
    clg_chart_series series[2];
    double *columns = curves(run, series);
    if (!columns) return report_error(NO_MEMORY, "out of memory");
    clg_chart_params chart = chart_of(run, series);
    clg_status status = clg_chart_write_svg(run_file(run, "loss.svg").text, &chart);
    free(columns);
    return status == CLG_OK ? DONE : report_error(FAILED, "%s", clg_last_error());
}

void run_show_chart(const struct run_dir *run)
{
    clg_chart_series series[2];
    if (run->count < 2 || !isatty(STDERR_FILENO) || !terminal_is_unicode()) return;
    double *columns = curves(run, series);
    char *text = NULL;
    clg_chart_params chart = columns ? chart_of(run, series) : (clg_chart_params){0};
    if (columns && clg_chart_text(&text, &chart) == CLG_OK) fputs(text, stderr);
    clg_free(text);
    free(columns);
}

/* ---- finding ---- */

int run_find_config(const char *path, struct run_path *config)
{
    struct run_path place;
    struct stat info;
    if (strlen(path) > RUN_PATH_SIZE - 100 || stat(path, &info)) {
        if (model_file_is_builtin(path))
            return report_error(BAD_INPUT,
                                "%s is a model; what is wanted is a run or a checkpoint, such as "
                                "'cltrain train %s' makes",
                                path, path);
        return report_error(BAD_INPUT, "%.200s: %s", path, strerror(errno));
    }
    snprintf(place.text, sizeof place.text, "%s", S_ISDIR(info.st_mode) ? path : ".");
    const char *slash = strrchr(path, '/');
    if (!S_ISDIR(info.st_mode) && slash)
        snprintf(place.text, sizeof place.text, "%.*s/.", (int)(slash - path), path);
    for (int level = 0; level < 2; level++) {
        *config = join(place.text, "config.yaml");
        if (!access(config->text, R_OK)) return DONE;
        place = join(place.text, "..");
    }
    return report_error(BAD_INPUT, "%s: no config.yaml of a run here or one level up", path);
}

int run_schema(const char *config, char **out)
{
    struct run_path path;
    const char *slash = strrchr(config, '/');
    snprintf(path.text, sizeof path.text, "%.*sdata.json", slash ? (int)(slash - config) + 1 : 0,
             config);
    *out = NULL;
    FILE *file = fopen(path.text, "r");
    if (!file && errno == ENOENT) return DONE;
    size_t size = 0;
    bool failed = !file || getdelim(out, &size, 0, file) < 0; /* JSON has no NUL: the whole file */
    if (file) fclose(file);
    json_error_t problem = {.text = ""};
    json_t *schema = failed ? NULL : json_loads(*out, 0, &problem);
    json_decref(schema);
    if (schema) return DONE;
    free(*out);
    *out = NULL;
    return failed ? report_error(BAD_INPUT, "%s: %s", path.text, strerror(errno))
                  : report_error(BAD_INPUT, "%s is damaged: %s", path.text, problem.text);
}
