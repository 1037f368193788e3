/*
 * Kernels around entries (cl/entry.h). Mostly an entry is the kernel. But some drivers make several
 * functions of a kernel, a copy of its body in each: there the kernel is written here, from the
 * launch's arguments, and only calls the entry, which is compiled once.
 */
#include "device/devices.h"
#include "program/program.h"

enum { LONGEST_OPENING = 96 };

bool clg__entry_in(const char *text, const char *kernel)
{
    char opening[LONGEST_OPENING + 16];
    snprintf(opening, sizeof opening, "ENTRY void %s(", kernel);
    return strstr(text, opening) != NULL;
}

bool clg__entry_apart(const clg_context *ctx)
{
    return clg__platform_copies_kernels(&ctx->info);
}

void clg__entry_define(clg__str *out, const clg_context *ctx)
{
    clg__str_addf(out, "#define ENTRY %sstatic\n",
                  clg__entry_apart(ctx) ? "__attribute__((noinline)) " : "");
}

int clg__own_arguments(const clg__launch *launch)
{
    return launch->epilogue ? launch->own_args : launch->n_args;
}

/* The i-th parameter, and, with `call`, the argument that it becomes. */
static void add_parameter(clg__str *out, const clg__arg *arg, int i, bool call)
{
    const char *type = "";
    switch (arg->kind) {
    case CLG__ARG_BUFFER:
        clg__str_addf(out, call ? "a%d, a%d_at" : "__global void *a%d, ulong a%d_at", i, i);
        return;
    case CLG__ARG_BYTES:
        type = arg->is_pair     ? "int2 "
               : arg->size == 8 ? "ulong "
               : arg->is_float  ? "float "
                                : "int ";
        break;
    case CLG__ARG_LOCAL:
        type = "__local void *";
        break;
    case CLG__ARG_STEP:
        type = "ulong ";
        break;
    }
    clg__str_addf(out, "%sa%d", call ? "" : type, i);
}

static void add_parameters(clg__str *out, const clg__launch *launch, bool call)
{
    for (int i = 0; i < clg__own_arguments(launch); i++) {
        clg__str_add(out, i ? ", " : "");
        add_parameter(out, &launch->args[i], i, call);
    }
}

/* The arguments that epilogue.c declares as EPILOGUE_PARAMS. */
static void add_epilogue_arguments(clg__str *out, const clg__slots *slots)
{
    clg__str_add(out, ", e_chosen");
    for (int i = 0; i < slots->longs; i++) clg__str_addf(out, ", EL%d", i);
    for (int i = 0; i < slots->floats; i++) clg__str_addf(out, ", EF%d", i);
    for (int i = 0; i < slots->buffers; i++) clg__str_addf(out, ", EB%d, EB%d_at", i, i);
    for (int i = 0; i < slots->steps; i++) clg__str_addf(out, ", ES%d", i);
}

/* Sizes that a kernel may rely on are part of it; those that are a wish are not. */
static bool is_one_item(const clg__launch *launch)
{
    for (cl_uint i = 0; i < launch->dims; i++)
        if (launch->local[i] != 1) return false;
    return !launch->any_local;
}

void clg__entry_kernel(clg__str *out, const clg__launch *launch, const clg__slots *slots)
{
    if (is_one_item(launch)) clg__str_add(out, "__attribute__((reqd_work_group_size(1, 1, 1)))\n");
    clg__str_addf(out, "__kernel void %s(", launch->kernel);
    add_parameters(out, launch, false);
    clg__str_addf(out,
                  "%s)\n{\n%s_entry(get_global_id(0), get_global_id(1), get_global_id(2), "
                  "get_global_size(0)%s",
                  launch->epilogue ? " EPILOGUE_PARAMS" : "", launch->kernel,
                  clg__own_arguments(launch) ? ", " : "");
    add_parameters(out, launch, true);
    if (launch->epilogue) add_epilogue_arguments(out, slots);
    clg__str_add(out, ");\n}\n\n");
}
