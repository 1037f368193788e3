/*
 * Matrix product by CLBlast, which knows the tile sizes of some hundred GPUs.
 *
 * What it takes to call it safely (version 1.5.3):
 * - it is not thread-safe: one lock in this process;
 * - its caches are keyed by the raw cl_context, whose address may be used again: they are cleared
 *   before the context is released;
 * - it would allocate temporary buffers in every call: one per context is handed to it instead,
 *   as large as the largest product that was lowered. It has no offset (and sub-buffers are not to
 *   be trusted), so it cannot lie in the program's arena;
 * - some of its kernels give wrong results with some devices' parameters: nothing is used before
 *   products of several shapes were compared with the host's.
 */
#include <clblast_c.h>
#include <math.h>
#include <pthread.h>

#include "base/random.h"
#include "memory/buffer.h"
#include "ops/algorithms_gpu.h"
#include "ops/clblast.h"

static pthread_mutex_t clblast_lock = PTHREAD_MUTEX_INITIALIZER;

typedef enum trust { UNKNOWN, TRUSTED, BROKEN } trust;

/* ctx->blas */
typedef struct blas {
    trust trust;
    unsigned tested;   /* the state of CLBlast's parameters (clg__clblast_apply_sets) it is about */
    char reason[256];  /* why BROKEN */
    clg__buffer *temp; /* shared by all calls on the queue; NULL until one needs it */
} blas;

static void release_blas(clg_context *ctx)
{
    blas *state = ctx->blas;
    pthread_mutex_lock(&clblast_lock);
    CLBlastClearCache();
    pthread_mutex_unlock(&clblast_lock);
    clg__buffer_destroy(state->temp);
    clg__free(state);
    ctx->blas = NULL;
}

static clg_status get_blas(clg_context *ctx, blas **out)
{
    if (!ctx->blas) {
        blas *state = clg__calloc(1, sizeof *state);
        clg_status status = state ? clg__context_on_release(ctx, release_blas) : CLG_ERROR_MEMORY;
        if (status != CLG_OK) clg__free(state);
        CLG_TRY(status);
        ctx->blas = state;
    }
    *out = ctx->blas;
    return CLG_OK;
}

/* ---- calls ---- */

static CLBlastTranspose transposed(bool yes)
{
    return yes ? CLBlastTransposeYes : CLBlastTransposeNo;
}

static size_t a_line(const clg__gemm *g)
{
    return (size_t)(g->transpose_a ? g->m : g->k);
}

static size_t b_line(const clg__gemm *g)
{
    return (size_t)(g->transpose_b ? g->k : g->n);
}

/*
 * Bytes of temporary memory at any offsets; 0: CLBlast takes its kernel for small matrices. Enough
 * for every set of parameters, should a context with other choices come to use the device.
 */
static clg_status temp_size(clg_context *ctx, const clg__gemm *g, size_t *out)
{
    const size_t any_offset = 1;
    pthread_mutex_lock(&clblast_lock);
    clg_status status =
        CLG__BLAS(CLBlastSGemmTempBufferSize, CLBlastLayoutRowMajor, transposed(g->transpose_a),
                  transposed(g->transpose_b), (size_t)g->m, (size_t)g->n, (size_t)g->k, any_offset,
                  a_line(g), any_offset, b_line(g), any_offset, (size_t)g->n, &ctx->queue, out);
    pthread_mutex_unlock(&clblast_lock);
    const size_t m = (size_t)clg__round_up(g->m, CLG__XGEMM_MULTIPLE);
    const size_t n = (size_t)clg__round_up(g->n, CLG__XGEMM_MULTIPLE);
    const size_t k = (size_t)clg__round_up(g->k, CLG__XGEMM_MULTIPLE);
    const size_t most = (m * k + k * n + m * n) * sizeof(float);
    if (status == CLG_OK && *out > 0 && *out < most) *out = most;
    return status;
}

static clg_status reserve_temp(clg_context *ctx, blas *state, size_t size)
{
    if (size == 0 || (state->temp && state->temp->size >= size)) return CLG_OK;
    clg__buffer *larger = NULL;
    CLG_TRY(clg__buffer_create(&larger, ctx, size, "matrix products (CLBlast)"));
    clg__buffer_give_to_context(larger);
    clg__buffer_destroy(state->temp);
    state->temp = larger;
    return CLG_OK;
}

/* Product `i` of the batch alone. */
static clg_status multiply_one(clg_context *ctx, const clg__gemm *g, const clg__address *at,
                               int64_t i)
{
    const blas *state = ctx->blas;
    return CLG__BLAS(CLBlastSgemmWithTempBuffer, CLBlastLayoutRowMajor, transposed(g->transpose_a),
                     transposed(g->transpose_b), (size_t)g->m, (size_t)g->n, (size_t)g->k, 1.0f,
                     at[0].mem, at[0].offset + (size_t)(i * g->a_stride), a_line(g), at[1].mem,
                     at[1].offset + (size_t)(i * g->b_stride), b_line(g), 0.0f, at[2].mem,
                     at[2].offset + (size_t)(i * g->m * g->n), (size_t)g->n, &ctx->queue, NULL,
                     state->temp ? state->temp->mem : NULL);
}

static clg_status multiply_batch(clg_context *ctx, const clg__gemm *g, const clg__address *at)
{
    return CLG__BLAS(CLBlastSgemmStridedBatched, CLBlastLayoutRowMajor, transposed(g->transpose_a),
                     transposed(g->transpose_b), (size_t)g->m, (size_t)g->n, (size_t)g->k, 1.0f,
                     at[0].mem, at[0].offset, a_line(g), (size_t)g->a_stride, at[1].mem,
                     at[1].offset, b_line(g), (size_t)g->b_stride, 0.0f, at[2].mem, at[2].offset,
                     (size_t)g->n, (size_t)(g->m * g->n), (size_t)g->batch, &ctx->queue, NULL);
}

/* at: A, B, C. The batched call allocates unless the matrices are small (`needs_temp` is false). */
static clg_status multiply(clg_context *ctx, const clg__gemm *g, bool needs_temp,
                           const clg__address *at)
{
    clg_status status = CLG_OK;
    pthread_mutex_lock(&clblast_lock);
    if (g->batch > 1 && !needs_temp)
        status = multiply_batch(ctx, g, at);
    else
        for (int64_t i = 0; i < g->batch && status == CLG_OK; i++)
            status = multiply_one(ctx, g, at, i);
    pthread_mutex_unlock(&clblast_lock);
    return status;
}

/* ---- self-test ---- */

/* One product on host and device. */
typedef struct trial {
    clg__gemm g;
    int64_t count[3];   /* elements of A, B, C, batches together */
    size_t offset;      /* of each in its buffer */
    float *host[3];     /* from the buffer's start */
    double *sign, *sum; /* n, k */
    clg__buffer *device[3];
} trial;

static void free_trial(trial *t)
{
    for (int i = 0; i < 3; i++) {
        clg__free(t->host[i]);
        clg__buffer_destroy(t->device[i]);
    }
    clg__free(t->sign);
    clg__free(t->sum);
}

static clg_status fill_trial(trial *t, clg_context *ctx)
{
    const clg__gemm *g = &t->g;
    t->count[0] = g->a_stride ? g->a_stride * g->batch : g->m * g->k;
    t->count[1] = g->b_stride ? g->b_stride * g->batch : g->k * g->n;
    t->count[2] = g->m * g->n * g->batch;
    t->sign = clg__calloc((size_t)g->n, sizeof(double));
    t->sum = clg__calloc((size_t)g->k, sizeof(double));
    if (!t->sign || !t->sum) return CLG_ERROR_MEMORY;
    for (int i = 0; i < 3; i++) {
        const size_t count = (size_t)t->count[i] + t->offset, bytes = count * sizeof(float);
        t->host[i] = clg__calloc(count, sizeof(float));
        if (!t->host[i]) return CLG_ERROR_MEMORY;
        uint32_t words[4];
        for (size_t j = 0; j < count; j++) {
            if (j % 4 == 0) clg__philox(0, j / 4, (uint64_t)i, words);
            t->host[i][j] = 2 * clg__uniform(words[j % 4]) - 1;
        }
        CLG_TRY(clg__buffer_create(&t->device[i], ctx, bytes, "CLBlast self-test"));
        CLG_TRY(clg__buffer_write(t->device[i], 0, t->host[i], bytes));
    }
    return CLG_OK;
}

/*
 * Whether C s = A (B s) for a vector s of signs: finds a wrong element of C anywhere for the cost
 * of reading the matrices. Rounding in C stays far below the tolerance, a missing product far
 * above.
 */
static bool trial_is_right(trial *t, int64_t batch)
{
    const clg__gemm *g = &t->g;
    const float *a = t->host[0] + t->offset + batch * g->a_stride;
    const float *b = t->host[1] + t->offset + batch * g->b_stride;
    const float *c = t->host[2] + t->offset + batch * g->m * g->n;
    const double tolerance = 1e-6 * (double)g->k * sqrt((double)g->n) + 1e-5;
    for (int64_t j = 0; j < g->n; j++) t->sign[j] = j * j % 7 < 3 ? -1 : 1;
    for (int64_t p = 0; p < g->k; p++) {
        t->sum[p] = 0;
        for (int64_t j = 0; j < g->n; j++)
            t->sum[p] += t->sign[j] * b[g->transpose_b ? j * g->k + p : p * g->n + j];
    }
    for (int64_t i = 0; i < g->m; i++) {
        double difference = 0;
        for (int64_t j = 0; j < g->n; j++) difference += t->sign[j] * c[i * g->n + j];
        for (int64_t p = 0; p < g->k; p++)
            difference -= t->sum[p] * a[g->transpose_a ? p * g->m + i : i * g->k + p];
        if (!(fabs(difference) <= tolerance)) return false;
    }
    return true;
}

static clg_status run_trial(trial *t, clg_context *ctx, blas *state, bool *right)
{
    size_t temp;
    CLG_TRY(fill_trial(t, ctx));
    CLG_TRY(temp_size(ctx, &t->g, &temp));
    CLG_TRY(reserve_temp(ctx, state, temp));
    clg__address at[3];
    for (int i = 0; i < 3; i++) at[i] = (clg__address){t->device[i]->mem, t->offset};
    CLG_TRY(multiply(ctx, &t->g, temp > 0, at));
    CLG_TRY(clg__buffer_read(t->device[2], 0, t->host[2], t->device[2]->size));
    *right = true;
    for (int64_t i = 0; i < t->g.batch; i++) *right = *right && trial_is_right(t, i);
    return CLG_OK;
}

/* Tests one shape with all transpositions; BROKEN and a reason at the first wrong product. */
static clg_status try_shape(clg_context *ctx, blas *state, clg__gemm g, size_t offset)
{
    for (int i = 0; i < 4; i++) {
        bool right = false;
        g.transpose_a = i & 1;
        g.transpose_b = i & 2;
        trial t = {.g = g, .offset = offset};
        clg_status status = run_trial(&t, ctx, state, &right);
        free_trial(&t);
        CLG_TRY(status);
        if (right) continue;
        state->trust = BROKEN;
        snprintf(state->reason, sizeof state->reason,
                 "wrong product of %lldx%lld%s and %lldx%lld%s, batch %lld", (long long)g.m,
                 (long long)g.k, g.transpose_a ? " transposed" : "", (long long)g.k, (long long)g.n,
                 g.transpose_b ? " transposed" : "", (long long)g.batch);
        return CLG_OK;
    }
    return CLG_OK;
}

/*
 * The least doubled shape for which CLBlast takes its kernel for large matrices (the one with the
 * device's parameters). Its known bug needs tiles that are not square: so is the shape.
 */
static clg_status large_shape(clg_context *ctx, clg__gemm *g)
{
    for (int64_t s = 128; s <= 2048; s *= 2) {
        size_t temp;
        *g = (clg__gemm){.batch = 1, .m = s + 1, .n = 2 * s + 3, .k = s / 2 + 5};
        CLG_TRY(temp_size(ctx, g, &temp));
        if (temp > 0) break;
    }
    return CLG_OK;
}

static clg_status try_all_shapes(clg_context *ctx, blas *state)
{
    const clg__gemm small[] = {
        {.batch = 1, .m = 1, .n = 1, .k = 1},
        {.batch = 1, .m = 7, .n = 33, .k = 5},
        {.batch = 1, .m = 64, .n = 10, .k = 513},
        {.batch = 3, .m = 33, .n = 17, .k = 20, .a_stride = 33 * 20, .b_stride = 17 * 20},
        {.batch = 2, .m = 16, .n = 8, .k = 64, .a_stride = 16 * 64},
    };
    clg__gemm large, flat;
    CLG_TRY(large_shape(ctx, &large));
    flat = large;
    flat.m = large.n;
    flat.n = large.m;
    state->trust = TRUSTED;
    for (size_t i = 0; i < CLG__COUNT(small) && state->trust == TRUSTED; i++)
        CLG_TRY(try_shape(ctx, state, small[i], i));
    if (state->trust == TRUSTED) CLG_TRY(try_shape(ctx, state, large, 0));
    if (state->trust == TRUSTED) CLG_TRY(try_shape(ctx, state, flat, 4));
    return CLG_OK;
}

/*
 * Settles the trust once per context. Out of memory settles nothing and is the caller's error; all
 * other failures of CLBlast (kernels that do not compile, for instance) are verdicts.
 */
static clg_status self_test(clg_context *ctx, blas **out)
{
    blas *state = NULL;
    CLG_TRY(get_blas(ctx, &state));
    *out = state;
    pthread_mutex_lock(&clblast_lock);
    const unsigned parameters = clg__clblast_apply_sets(ctx);
    pthread_mutex_unlock(&clblast_lock);
    if (state->trust != UNKNOWN && state->tested == parameters) return CLG_OK;
    state->tested = parameters;
    clg_status status = try_all_shapes(ctx, state);
    if (status != CLG_OK) state->trust = UNKNOWN;
    if (status == CLG_ERROR_MEMORY) return status;
    if (status != CLG_OK) {
        state->trust = BROKEN;
        snprintf(state->reason, sizeof state->reason, "%s", clg_last_error());
    }
    if (state->trust == BROKEN)
        clg__log(CLG_LOG_WARNING, "CLBlast failed its self-test on %s (%s): not used there",
                 ctx->info.name, state->reason);
    return CLG_OK;
}

/* ---- the algorithm ---- */

bool clg__matmul_clblast_by_default(const clg_context *ctx)
{
    return ctx->info.type != CLG_DEVICE_CPU;
}

bool clg__matmul_clblast_trusted(const clg_context *ctx)
{
    blas *state = NULL;
    /* The verdict is kept in the context, which is const here only by courtesy. When it cannot be
     * had, lowering meets the same failure and reports it. */
    return self_test((clg_context *)ctx, &state) != CLG_OK || state->trust == TRUSTED;
}

static clg_status run_matmul(clg_context *ctx, const clg__address *buffers, const int64_t *numbers)
{
    const clg__gemm g = {.batch = numbers[0],
                         .m = numbers[1],
                         .n = numbers[2],
                         .k = numbers[3],
                         .a_stride = numbers[4],
                         .b_stride = numbers[5],
                         .transpose_a = numbers[6],
                         .transpose_b = numbers[7]};
    return multiply(ctx, &g, numbers[8] != 0, buffers);
}

static clg_status record_matmul(clg__lowering *lo, const clg__gemm *g, size_t temp)
{
    const int64_t numbers[] = {g->batch,    g->m,           g->n,           g->k,    g->a_stride,
                               g->b_stride, g->transpose_a, g->transpose_b, temp > 0};
    clg__launch *launch = clg__lower_call(lo, run_matmul);
    clg__launch_buffer(launch, lo->in[0]);
    clg__launch_buffer(launch, lo->in[1]);
    clg__launch_buffer(launch, lo->out);
    if (launch) memcpy(launch->numbers, numbers, sizeof numbers);
    const double mn = (double)g->m * g->n, mk = (double)g->m * g->k, kn = (double)g->k * g->n;
    clg__launch_work(launch, 2 * mn * g->k * g->batch, 4 * (mn + mk + kn) * g->batch);
    return lo->status;
}

clg_status clg__matmul_clblast(clg__lowering *lo)
{
    blas *state = NULL;
    size_t temp = 0;
    const clg__gemm g = clg__gemm_of(lo);
    if (lo->status != CLG_OK) return lo->status;
    lo->status = self_test(lo->ctx, &state);
    if (lo->status == CLG_OK && state->trust == BROKEN)
        lo->status = clg__fail(CLG_ERROR_UNSUPPORTED,
                               "matmul: CLBlast failed its self-test on %s (%s): choose another "
                               "algorithm than CLGRAD_MATMUL=clblast",
                               lo->ctx->info.name, state->reason);
    if (lo->status == CLG_OK) lo->status = temp_size(lo->ctx, &g, &temp);
    if (lo->status == CLG_OK) lo->status = reserve_temp(lo->ctx, state, temp);
    return lo->status == CLG_OK ? record_matmul(lo, &g, temp) : lo->status;
}
