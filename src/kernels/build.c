/*
 * Making a cl_program from source, with the compiler's words in the error, or from a binary.
 */
#include "kernels/build.h"

/* Kernels are OpenCL C 1.2; without this a driver picks its own default. */
#define LANGUAGE_OPTION "-cl-std=CL1.2 "
enum {
    LOG_LIMIT = 2000, /* of the build log in an error message, in bytes */
    TRIES = 3         /* of a build */
};

static clg_status read_build_log(const clg_context *ctx, cl_program program, char **out)
{
    size_t size;
    CLG_TRY(
        CLG__CL(clGetProgramBuildInfo(program, ctx->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size)));
    char *text = clg__calloc(size + 1, 1);
    if (!text) return CLG_ERROR_MEMORY;
    clg_status status = CLG__CL(
        clGetProgramBuildInfo(program, ctx->device, CL_PROGRAM_BUILD_LOG, size, text, NULL));
    if (status == CLG_OK)
        *out = text;
    else
        clg__free(text);
    return status;
}

/* The build itself failed (`failure`, its message is recorded): says of which kernel and why. */
static clg_status explain_failure(const clg_context *ctx, cl_program program, const char *name,
                                  clg_status failure)
{
    char reason[256], *text;
    snprintf(reason, sizeof reason, "%s", clg_last_error());
    if (failure != CLG_ERROR_BUILD || read_build_log(ctx, program, &text) != CLG_OK)
        return clg__fail(failure, "building the kernels \"%s\" for %s: %s", name, ctx->info.name,
                         reason);
    clg__fail(failure, "the kernels \"%s\" do not compile on %s (%s): %s\n%.*s%s", name,
              ctx->info.name, ctx->info.driver, reason, (int)LOG_LIMIT, text,
              strlen(text) > LOG_LIMIT ? "\n[cut off]" : "");
    clg__free(text);
    return failure;
}

static clg_status build(const clg_context *ctx, cl_program program, const char *options)
{
    clg__str all = {0};
    clg__str_add(&all, LANGUAGE_OPTION);
    clg__str_add(&all, options);
    clg_status status = CLG_ERROR_MEMORY;
    if (!all.failed)
        status = CLG__CL(clBuildProgram(program, 1, &ctx->device, all.text, NULL, NULL));
    clg__str_free(&all);
    return status;
}

static clg_status compile_once(cl_program *out, const clg_context *ctx,
                               const clg__module_request *request)
{
    cl_int error;
    cl_program program = NULL;
    const char *source = request->source;
    CLG_TRY(CLG__CL_CREATE(program, error,
                           clCreateProgramWithSource(ctx->cl, 1, &source, NULL, &error)));
    clg_status status = build(ctx, program, request->options);
    if (status != CLG_OK) {
        explain_failure(ctx, program, request->name, status);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return CLG_OK;
}

/*
 * A driver that keeps a cache of its own for all processes may refuse good source when others fill
 * that cache at the same time (measured: cold, 16 processes: one build in a thousand).
 * So a failed build is tried again; bad source fails as often as it is tried.
 */
clg_status clg__program_compile(cl_program *out, const clg_context *ctx,
                                const clg__module_request *request)
{
    clg_status status = CLG_ERROR_BUILD;
    for (int i = 0; i < TRIES && status == CLG_ERROR_BUILD; i++)
        status = compile_once(out, ctx, request);
    return status;
}

clg_status clg__program_load(cl_program *out, const clg_context *ctx,
                             const clg__module_request *request, const void *binary, size_t size)
{
    cl_int error;
    cl_program program = NULL;
    const unsigned char *bytes = binary;
    CLG_TRY(CLG__CL_CREATE(
        program, error,
        clCreateProgramWithBinary(ctx->cl, 1, &ctx->device, &size, &bytes, NULL, &error)));
    /* The standard asks for a build after a binary, too. */
    clg_status status = build(ctx, program, request->options);
    if (status == CLG_OK)
        *out = program;
    else
        clReleaseProgram(program);
    return status;
}
