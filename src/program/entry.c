/*
 * Kernels around entries (cl/entry.h). Mostly an entry is the kernel. But some drivers make several
 * functions of a kernel, a copy of its body in each: there the kernel is written here, from the
 * launch's arguments, and only calls the entry, which is compiled once.
 */
#include "device/devices.h"
#include "program/arguments.h"
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

/* Sizes that a kernel may rely on are part of it; those that are a wish are not. */
static bool is_one_item(const clg__launch *launch)
{
    for (cl_uint i = 0; i < launch->dims; i++)
        if (launch->local[i] != 1) return false;
    return !launch->any_local;
}

const char *clg__kernel_name(char text[CLG__KERNEL_NAME], const char *kernel, int number)
{
    snprintf(text, CLG__KERNEL_NAME, number ? "%s_%d" : "%s", kernel, number);
    return text;
}

void clg__entry_kernel(clg__str *out, const clg__launch *launch, int number,
                       const clg__slots *slots)
{
    clg__argument_list parameters = {.out = out, .separator = "", .form = CLG__AS_PARAMETERS};
    clg__argument_list arguments = {.out = out, .separator = ", ", .form = CLG__AS_NAMES};
    char name[CLG__KERNEL_NAME];
    clg__kernel_name(name, launch->kernel, number);
    if (is_one_item(launch)) clg__str_add(out, "__attribute__((reqd_work_group_size(1, 1, 1)))\n");
    clg__str_addf(out, "__kernel void %s(", name);
    clg__list_own_arguments(&parameters, launch);
    if (launch->epilogue) clg__list_shared_arguments(&parameters, slots);
    clg__str_addf(out,
                  ")\n{\n%s_entry(get_global_id(0), get_global_id(1), get_global_id(2), "
                  "get_global_size(0)",
                  name);
    clg__list_own_arguments(&arguments, launch);
    if (launch->epilogue) clg__list_shared_arguments(&arguments, slots);
    clg__str_add(out, ");\n}\n\n");
}
