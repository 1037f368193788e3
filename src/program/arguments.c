/*
 * Arguments of kernels as OpenCL C. A table says how each type of them is declared and how it is
 * found in a row of words; buffers take two, the memory and an offset.
 */
#include "program/arguments.h"

typedef struct argument_type {
    const char *declared;          /* in front of the name */
    const char *opening, *closing; /* around the word that has it; no closing: it is in none */
    bool has_offset;
} argument_type;

static const argument_type type_int = {"int ", "(int)", "", false};
static const argument_type type_long = {"ulong ", "", "", false};
static const argument_type type_pair = {"int2 ", "as_int2(", ")", false};
static const argument_type type_float = {"float ", "as_float((int)", ")", false};
static const argument_type type_local = {"__local void *", "local_memory + ", "", false};
static const argument_type type_step = {"ulong ", "step", NULL, false};
static const argument_type type_buffer = {"__global void *", "memory[", "]", true};
static const argument_type type_shared_buffer = {"__global float *", "memory[", "]", true};

static const argument_type *type_of(const clg__arg *arg)
{
    switch (arg->kind) {
    case CLG__ARG_BUFFER:
        return &type_buffer;
    case CLG__ARG_LOCAL:
        return &type_local;
    case CLG__ARG_STEP:
        return &type_step;
    case CLG__ARG_BYTES:
        break;
    }
    if (arg->is_pair) return &type_pair;
    if (arg->size == 8) return &type_long;
    return arg->is_float ? &type_float : &type_int;
}

static void add_word(clg__argument_list *list, const argument_type *type)
{
    clg__str_add(list->out, type->opening);
    if (type->closing) clg__str_addf(list->out, "t[%zu]%s", list->word++, type->closing);
    if (type->has_offset) clg__str_addf(list->out, ", t[%zu]", list->word++);
}

static void add(clg__argument_list *list, const argument_type *type, const char *name)
{
    const bool declare = list->form == CLG__AS_PARAMETERS;
    clg__str_add(list->out, list->separator);
    list->separator = ", ";
    if (list->form == CLG__AS_WORDS) {
        add_word(list, type);
        return;
    }
    clg__str_addf(list->out, "%s%s", declare ? type->declared : "", name);
    if (type->has_offset) clg__str_addf(list->out, ", %s%s_at", declare ? "ulong " : "", name);
}

static void add_numbered(clg__argument_list *list, const argument_type *type, const char *prefix,
                         int number)
{
    char name[24];
    snprintf(name, sizeof name, "%s%d", prefix, number);
    add(list, type, name);
}

int clg__own_arguments(const clg__launch *launch)
{
    return launch->epilogue ? launch->own_args : launch->n_args;
}

void clg__list_own_arguments(clg__argument_list *list, const clg__launch *launch)
{
    for (int i = 0; i < clg__own_arguments(launch); i++)
        add_numbered(list, type_of(&launch->args[i]), "a", i);
}

void clg__list_shared_arguments(clg__argument_list *list, const clg__slots *slots)
{
    add(list, &type_int, "e_chosen");
    for (int i = 0; i < slots->longs; i++) add_numbered(list, &type_long, "EL", i);
    for (int i = 0; i < slots->floats; i++) add_numbered(list, &type_float, "EF", i);
    for (int i = 0; i < slots->buffers; i++) add_numbered(list, &type_shared_buffer, "EB", i);
    for (int i = 0; i < slots->steps; i++) add_numbered(list, &type_step, "ES", i);
}
