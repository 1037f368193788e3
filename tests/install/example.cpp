/*
 * The interface from C++20 (tests/house/cxx.sh): options by name, shapes, initial values. Fits the
 * line t = 2 x - 1.
 */
#include <clgrad/clgrad.h>

#include <cmath>
#include <cstdio>

int main()
{
    const float x_values[] = {0, 1, 2, 3}, t_values[] = {-1, 1, 3, 5};
    const clg_init zeros = CLG_INIT(.kind = CLG_INIT_ZEROS);
    clg_graph *graph = clg_graph_create(clg_graph_options(.batch = 4, .seed = 1));
    clg_tensor *x = clg_input(graph, "x", CLG_F32, CLG_SHAPE(CLG_BATCH, 1));
    clg_tensor *t = clg_input(graph, "t", CLG_F32, CLG_SHAPE(CLG_BATCH, 1));
    clg_tensor *y = clg_linear_layer(x, "line", 1, clg_linear_options(.weight_init = &zeros));
    clg_tensor *loss = clg_mse(y, t, clg_loss_options());
    clg_minimize(loss, clg_optimizer_options(.kind = CLG_SGD, .lr = 0.1), nullptr);

    clg_context *context = nullptr;
    clg_program *step = nullptr;
    clg_status status = clg_context_create(&context, clg_context_options());
    if (status == CLG_OK)
        status = clg_program_compile(
            &step, context, graph,
            clg_program_options(.outputs = &loss, .n_outputs = 1, .mode = CLG_TRAINING));
    if (status == CLG_OK) status = clg_program_feed(step, x, x_values, sizeof x_values);
    if (status == CLG_OK) status = clg_program_feed(step, t, t_values, sizeof t_values);
    for (int i = 0; status == CLG_OK && i < 200; i++) status = clg_program_run(step);
    float error = INFINITY;
    if (status == CLG_OK) status = clg_program_read(step, loss, &error, sizeof error);
    if (status != CLG_OK) std::fprintf(stderr, "%s\n", clg_last_error());
    std::printf("loss %g\n", static_cast<double>(error));
    clg_program_destroy(step);
    clg_graph_destroy(graph);
    clg_context_destroy(context);
    return error < 1e-3F ? 0 : 1;
}
