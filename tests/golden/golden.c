/*
 * Opening golden files, looking into their cases, comparing: see golden.h.
 */
#include "golden.h"

#include <math.h>

static const char *path_of(const char *name, const char *extension)
{
    static char path[4096];
    const char *root = getenv("CLGRAD_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/%s.%s", root ? root : ".", name, extension);
    return path;
}

golden_group golden_open(const char *name)
{
    golden_group group;
    json_error_t error;
    group.cases = json_load_file(path_of(name, "json"), JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json_is_array(group.cases), "%s, line %d: %s", path_of(name, "json"), error.line,
                  error.text);
    TEST_OK(clg_safetensors_open(&group.results, path_of(name, "safetensors"), NULL));
    return group;
}

void golden_close(golden_group *group)
{
    clg_safetensors_destroy(group->results);
    json_decref(group->cases);
}

int golden_count(const char *name)
{
    json_t *cases = json_load_file(path_of(name, "json"), 0, NULL);
    int count = (int)json_array_size(cases);
    json_decref(cases);
    return count;
}

json_t *golden_at(const golden_group *group, size_t index)
{
    return json_array_get(group->cases, index);
}

const char *golden_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    ck_assert_msg(text != NULL, "a golden case has no %s", key);
    return text;
}

const float *golden_optional(const golden_group *group, const json_t *golden, const char *part,
                             int64_t count)
{
    char name[512];
    snprintf(name, sizeof name, "%s%s%s", golden_text(golden, "name"), part ? "/" : "",
             part ? part : "");
    const clg_array *array = clg_safetensors_find(group->results, name);
    if (!array) return NULL;
    ck_assert_msg(array->dtype == CLG_F32 && clg_shape_count(&array->shape) == count,
                  "%s: PyTorch has %lld numbers, clgrad %lld", name,
                  (long long)clg_shape_count(&array->shape), (long long)count);
    return array->data;
}

const float *golden_result(const golden_group *group, const json_t *golden, const char *part,
                           int64_t count)
{
    const float *data = golden_optional(group, golden, part, count);
    ck_assert_msg(data != NULL, "%s: there is no %s; run generate.py", golden_text(golden, "name"),
                  part ? part : "result");
    return data;
}

/* ---- attributes ---- */

static const json_t *attribute(const json_t *golden, const char *key)
{
    return json_object_get(json_object_get(golden, "attributes"), key);
}

double golden_number(const json_t *golden, const char *key, size_t at, double otherwise)
{
    const json_t *value = attribute(golden, key);
    if (json_is_array(value)) value = json_array_get(value, at);
    if (json_is_boolean(value)) return json_is_true(value);
    if (json_is_string(value)) return strtod(json_string_value(value), NULL); /* "inf" */
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

int golden_int(const json_t *golden, const char *key, size_t at, int otherwise)
{
    return (int)golden_number(golden, key, at, otherwise);
}

size_t golden_length(const json_t *golden, const char *key)
{
    return json_array_size(attribute(golden, key));
}

/* ---- comparing ---- */

static bool agree(float got, float want, double allowed)
{
    if (isfinite(want)) return fabs((double)got - want) <= allowed;
    return isnan(want) ? (bool)isnan(got) : got == want;
}

static int differing; /* comparisons since the last golden_verdict */

void golden_compare(const json_t *golden, const char *what, const float *got, const float *want,
                    int64_t count, double tolerance)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(want[i])) largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < count; i++) {
        if (agree(got[i], want[i], tolerance * largest)) continue;
        printf("%s: %s: element %lld of %lld is %.9g, PyTorch has %.9g (largest %.4g, tolerance "
               "%.2g)\n",
               golden_text(golden, "name"), what, (long long)i, (long long)count, (double)got[i],
               (double)want[i], largest, tolerance);
        differing++;
        return;
    }
}

void golden_verdict(void)
{
    int count = differing;
    differing = 0;
    ck_assert_msg(count == 0, "%d results differ from PyTorch's: see above", count);
}
