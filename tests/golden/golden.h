/*
 * Golden files: results of PyTorch that the suite compares with, without Python. generate.py writes
 * them, docs/golden-files.md says how. A group is NAME.json, an array of cases, beside
 * NAME.safetensors with their results.
 */
#ifndef CLG_GOLDEN_H
#define CLG_GOLDEN_H

#include <jansson.h>

#include "clgrad/clgrad.h"
#include "ops/op.h"
#include "testing_context.h"

typedef struct golden_group {
    json_t *cases;
    clg_safetensors *results;
} golden_group;

/** Opens a group of tests/golden; fails the test if it is not there or damaged. */
golden_group golden_open(const char *name);
void golden_close(golden_group *group);
/** Number of cases, without keeping anything open. */
int golden_count(const char *name);
json_t *golden_at(const golden_group *group, size_t index);
/** A string that every case has. */
const char *golden_text(const json_t *object, const char *key);
/** The result "<case's name>/<part>" (just the name if part is NULL) of exactly `count` numbers. */
const float *golden_result(const golden_group *group, const json_t *golden, const char *part,
                           int64_t count);
/** The same, or NULL if there is none. */
const float *golden_optional(const golden_group *group, const json_t *golden, const char *part,
                             int64_t count);

/* Attributes of a case of operations; `at` counts within a list. What is missing is `otherwise`. */
double golden_number(const json_t *golden, const char *key, size_t at, double otherwise);
int golden_int(const json_t *golden, const char *key, size_t at, int otherwise);
/** Length of a list; 0 if there is none. */
size_t golden_length(const json_t *golden, const char *key);

/**
 * got and want agree within tolerance * (largest |want|); where that largest is 0, got is 0 too.
 * Else prints the first element that does not, and goes on.
 */
void golden_compare(const json_t *golden, const char *what, const float *got, const float *want,
                    int64_t count, double tolerance);
/** Fails the test if anything differed since the last call. The last line of a test: see above. */
void golden_verdict(void);

/* ---- operations ---- */

enum { GOLDEN_MAX_INPUTS = 8 };

/** How an operation of the files is built; one row per builder. */
typedef struct golden_builder {
    const char *op;
    clg_tensor *(*build)(const json_t *golden, clg_tensor *const *x);
} golden_builder;

/* Why a row of the table has no case. */
typedef struct golden_exemption {
    const char *op;
    const char *through; /* checked as a part of this operation's gradient, or NULL */
    const char *reason;
} golden_exemption;

extern const golden_builder golden_builders[]; /* operations.c; ended by op NULL */
extern const golden_exemption golden_exemptions[];

#endif
