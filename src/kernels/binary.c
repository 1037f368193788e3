/*
 * Getting a program's binary.
 *
 * A program can belong to several devices (the caller's own cl_context); OpenCL hands out the
 * binaries of all of them in one call, and we want the one of ours.
 */
#include "kernels/build.h"

enum { MAX_DEVICES = 64 };

/* Some drivers leave kernels out of the binary that were never created. */
static clg_status create_all_kernels(cl_program program)
{
    cl_uint count = 0;
    CLG_TRY(CLG__CL(clCreateKernelsInProgram(program, 0, NULL, &count)));
    cl_kernel *kernels = clg__calloc(count, sizeof *kernels);
    if (!kernels) return CLG_ERROR_MEMORY;
    clg_status status = CLG__CL(clCreateKernelsInProgram(program, count, kernels, NULL));
    for (cl_uint i = 0; i < count; i++)
        if (kernels[i]) clReleaseKernel(kernels[i]);
    clg__free(kernels);
    return status;
}

/* Index of the context's device among the program's, whose number goes to *count. */
static clg_status find_device(const clg_context *ctx, cl_program program, size_t *index,
                              size_t *count)
{
    cl_device_id ids[MAX_DEVICES];
    size_t bytes;
    CLG_TRY(CLG__CL(clGetProgramInfo(program, CL_PROGRAM_DEVICES, sizeof ids, ids, &bytes)));
    *count = bytes / sizeof ids[0];
    for (*index = 0; *index < *count; ++*index)
        if (ids[*index] == ctx->device) return CLG_OK;
    return clg__fail(CLG_ERROR_INTERNAL, "a program without the context's device");
}

clg_status clg__program_binary(void **out, size_t *size, const clg_context *ctx, cl_program program)
{
    size_t sizes[MAX_DEVICES] = {0}, index, count;
    unsigned char *binaries[MAX_DEVICES] = {0}; /* NULL: not wanted */
    CLG_TRY(create_all_kernels(program));
    CLG_TRY(find_device(ctx, program, &index, &count));
    CLG_TRY(CLG__CL(
        clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof sizes[0], sizes, NULL)));
    if (sizes[index] == 0) return clg__fail(CLG_ERROR_OPENCL, "the driver gives no binaries");
    binaries[index] = clg__alloc(sizes[index]);
    if (!binaries[index]) return CLG_ERROR_MEMORY;
    clg_status status = CLG__CL(
        clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof binaries[0], binaries, NULL));
    if (status != CLG_OK) {
        clg__free(binaries[index]);
        return status;
    }
    *out = binaries[index];
    *size = sizes[index];
    return CLG_OK;
}
