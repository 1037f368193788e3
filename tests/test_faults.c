/*
 * Failing on purpose: one whole life - context, graph, compile, two training steps, save, load - is
 * repeated while the n-th allocation, OpenCL call or file operation fails, once or from then on.
 *
 * Demanded each time: a status other than OK with a message (or a success, if the failure could be
 * mended, as the kernel cache's are), nothing leaked, and the checkpoint saved before still
 * loadable. CLGRAD_TEST_EXHAUSTIVE=1 visits every point; by default points are visited in steps
 * that bound the number of lives, always including the first and the last ones.
 */
#include <CL/cl.h>
#include <unistd.h>

#include "clgrad/checkpoint.h"
#include "clgrad/clgrad.h"
#include "scratch.h"

enum { BATCH = 4, LIVES = 90 };

static char directory[256];

typedef struct life {
    clg_context *ctx;
    clg_graph *graph;
    clg_tensor *x, *labels, *loss;
    clg_program *program;
} life;

static clg_status build(life *l)
{
    CLG_TRY(clg_context_create(&l->ctx, NULL));
    l->graph = clg_graph_create(clg_graph_options(.batch = BATCH, .seed = 3));
    if (!l->graph) return CLG_ERROR_MEMORY;
    l->x = clg_input(l->graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 6, 6, 1));
    l->labels = clg_input(l->graph, "labels", CLG_I32, CLG_SHAPE(CLG_BATCH));
    clg_tensor *h = clg_relu(clg_conv2d_layer(l->x, "conv", 3, 3, NULL));
    clg_tensor *logits = clg_linear_layer(clg_flatten(clg_max_pool2d(h, NULL)), "fc", 5, NULL);
    l->loss = clg_softmax_cross_entropy(logits, l->labels, NULL);
    return clg_minimize(l->loss, clg_optimizer_options(.kind = CLG_ADAM, .lr = 1e-2), NULL);
}

static clg_status train(life *l)
{
    float x[BATCH * 36], loss;
    int32_t labels[BATCH];
    for (int i = 0; i < BATCH * 36; i++) x[i] = (float)(i % 7) * 0.1f;
    for (int i = 0; i < BATCH; i++) labels[i] = i;
    CLG_TRY(clg_program_compile(
        &l->program, l->ctx, l->graph,
        clg_program_options(.outputs = &l->loss, .n_outputs = 1, .mode = CLG_TRAINING)));
    for (int step = 0; step < 2; step++) {
        CLG_TRY(clg_program_feed(l->program, l->x, x, sizeof x));
        CLG_TRY(clg_program_feed(l->program, l->labels, labels, sizeof labels));
        CLG_TRY(clg_program_run(l->program));
    }
    CLG_TRY(clg_program_set_batch(l->program, BATCH - 1));
    CLG_TRY(clg_program_set_batch(l->program, BATCH));
    CLG_TRY(clg_program_feed(l->program, l->x, x, sizeof x));
    CLG_TRY(clg_program_feed(l->program, l->labels, labels, sizeof labels));
    CLG_TRY(clg_program_run(l->program));
    return clg_program_read(l->program, l->loss, &loss, sizeof loss);
}

static clg_status live(life *l)
{
    CLG_TRY(build(l));
    CLG_TRY(train(l));
    CLG_TRY(clg_graph_save(l->graph, directory, NULL));
    return clg_graph_load(l->graph, directory, NULL, NULL);
}

static void end(life *l)
{
    clg_program_destroy(l->program);
    clg_graph_destroy(l->graph);
    clg_context_destroy(l->ctx);
    *l = (life){0};
}

/* The directory still holds a whole checkpoint. */
static void check_saved(void)
{
    life l = {0};
    TEST_OK(build(&l));
    TEST_OK(clg_graph_load(l.graph, directory, NULL, NULL));
    end(&l);
}

static void fail_at(clg__fault_kind kind, uint64_t point, bool sticky, int code)
{
    life l = {0};
    clg__fault_set(kind, point, sticky, code);
    clg_status status = live(&l);
    bool reached = clg__fault_passed(kind) >= point;
    char message[512];
    snprintf(message, sizeof message, "%s", clg_last_error());
    end(&l);
    clg__fault_set(kind, 0, false, 0);
    ck_assert_msg(reached, "point %" PRIu64 " was not reached", point);
    ck_assert_msg(status == CLG_OK || message[0], "point %" PRIu64 ": no message", point);
    ck_assert_msg(clg__live_objects() == 0 && clg__live_allocations() == 0,
                  "point %" PRIu64 "%s (%s): %" PRId64 " objects, %" PRId64 " allocations leaked",
                  point, sticky ? " and later" : "", message, clg__live_objects(),
                  clg__live_allocations());
}

/* Every point that an undisturbed life passes, or a sample of them. */
static void fail_everywhere(clg__fault_kind kind, bool sticky, const int *codes, int n_codes)
{
    life l = {0};
    TEST_OK(live(&l)); /* caches are warm from here on: the number of points is settled */
    end(&l);
    clg__fault_set(kind, 0, false, 0);
    TEST_OK(live(&l));
    end(&l);
    uint64_t points = clg__fault_passed(kind);
    ck_assert_uint_gt(points, 10);
    bool all = getenv("CLGRAD_TEST_EXHAUSTIVE") != NULL;
    uint64_t step = all ? 1 : 1 + points / LIVES;
    for (uint64_t point = 1; point <= points; point += step)
        fail_at(kind, point, sticky, codes[point / step % (uint64_t)n_codes]);
    for (uint64_t back = 0; back < 3; back++) fail_at(kind, points - 3 - back, sticky, codes[0]);
    check_saved();
}

static const int no_code[] = {0};
static const int cl_codes[] = {
    CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES,      CL_OUT_OF_HOST_MEMORY,
    CL_BUILD_PROGRAM_FAILURE,         CL_INVALID_COMMAND_QUEUE, CL_INVALID_BUFFER_SIZE};

START_TEST(allocations_fail)
{
    fail_everywhere(CLG__FAULT_ALLOC, _i == 1, no_code, 1);
}
END_TEST

START_TEST(opencl_calls_fail)
{
    fail_everywhere(CLG__FAULT_OPENCL, _i == 1, cl_codes, (int)CLG__COUNT(cl_codes));
}
END_TEST

START_TEST(file_operations_fail)
{
    fail_everywhere(CLG__FAULT_FILE, _i == 1, no_code, 1);
}
END_TEST

int main(void)
{
    snprintf(directory, sizeof directory, "%s/clgrad-faults-XXXXXX", scratch_place());
    if (!mkdtemp(directory)) return EXIT_FAILURE;
    Suite *suite = suite_create("faults");
    TCase *faults = testing_case(suite, "faults");
    tcase_set_timeout(faults, 0);
    tcase_add_loop_test(faults, allocations_fail, 0, 2);
    tcase_add_loop_test(faults, opencl_calls_fail, 0, 2);
    tcase_add_loop_test(faults, file_operations_fail, 0, 2);
    int result = testing_run(suite);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command) == 0 ? result : EXIT_FAILURE;
}
