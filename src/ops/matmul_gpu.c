/*
 * Matrix product on GPUs through local memory (cl/matmul_gpu.cl): where CLBlast is not trusted, and
 * where fusing the epilogue is worth more than CLBlast's tuning. Sizes are arguments;
 * transpositions and the tile are defines.
 */
#include "ops/algorithms_gpu.h"
#include "ops/op.h"
#include "ops/tuning.h"

static clg__gemm gemm_of_shapes(const struct clg__matmul_attr *attr, const clg_shape *a,
                                const clg_shape *b, const clg_shape *c)
{
    clg__gemm g = {.batch = 1, .m = c->dim[c->ndim - 2], .n = c->dim[c->ndim - 1]};
    g.transpose_a = attr->transpose_a;
    g.transpose_b = attr->transpose_b;
    g.k = a->dim[a->ndim - (g.transpose_a ? 2 : 1)];
    for (int i = 0; i < c->ndim - 2; i++) g.batch *= c->dim[i];
    g.a_stride = a->ndim > 2 ? g.m * g.k : 0;
    g.b_stride = b->ndim > 2 ? g.k * g.n : 0;
    if (!g.b_stride && !g.transpose_a) {
        g.m *= g.batch;
        g.batch = 1;
        g.a_stride = 0;
    }
    return g;
}

clg__gemm clg__gemm_of(const clg__lowering *lo)
{
    return gemm_of_shapes(lo->node->attr, &lo->in_shape[0], &lo->in_shape[1], &lo->out_shape);
}

clg__gemm clg__gemm_typical(const clg_tensor *node)
{
    const clg_shape a = clg__gpu_typical_shape(node->inputs[0]);
    const clg_shape b = clg__gpu_typical_shape(node->inputs[1]);
    const clg_shape c = clg__gpu_typical_shape(node);
    return gemm_of_shapes(node->attr, &a, &b, &c);
}

bool clg__matmul_gpu_suits(const clg_context *ctx, const clg_tensor *node)
{
    const double small =
        1 << 22; /* multiply-adds: a few microseconds, as a call of CLBlast takes */
    const clg__gemm g = clg__gemm_typical(node);
    int splits = 1;
    clg__gpu_tile_choose_split(ctx, CLG__TUNE_MATMUL_LOCAL_TILE, node, &g, &splits);
    return splits > 1 || (double)g.batch * (double)g.m * (double)g.n * (double)g.k < small;
}

clg_status clg__matmul_gpu(clg__lowering *lo)
{
    const clg__gemm g = clg__gemm_of(lo);
    /* Neither may change with the batch size. */
    const clg__gemm typical = clg__gemm_typical(lo->node);
    int splits = 1;
    const clg__gpu_tile tile = clg__gpu_tile_choose_split(lo->ctx, CLG__TUNE_MATMUL_LOCAL_TILE,
                                                          lo->node, &typical, &splits);
    char transposed[64];
    snprintf(transposed, sizeof transposed, "#define TRANSPOSE_A %d\n#define TRANSPOSE_B %d\n",
             g.transpose_a, g.transpose_b);
    const clg_shape *y = &lo->out_shape;
    const int64_t columns = y->batched >> (y->ndim - 1) & 1 ? 0 : g.n;
    clg__launch *launch =
        clg__gpu_tile_kernel(lo, "matmul_gpu", "matmul", &tile, columns, transposed);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_int(launch, g.batch);
    clg__launch_int(launch, g.m);
    clg__launch_int(launch, g.n);
    clg__launch_int(launch, g.k);
    clg__launch_long(launch, g.a_stride);
    clg__launch_long(launch, g.b_stride);
    clg__launch_int(launch, splits);
    const clg__buffer_id parts = clg__gpu_result(lo, launch, splits, g.n);
    clg__gpu_tile_range(launch, &tile,
                        splits * g.batch * clg__ceil_div(g.m, tile.m) * clg__ceil_div(g.n, tile.n));
    const double mn = (double)g.m * g.n, mk = (double)g.m * g.k, kn = (double)g.k * g.n;
    clg__launch_work(launch, 2 * mn * g.k * g.batch, 4 * (mn + mk + kn) * g.batch);
    if (splits > 1) clg__gpu_sum_splits(lo, parts, splits, g.n);
    return lo->status;
}
