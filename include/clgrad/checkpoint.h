/*
 * Saving and restoring a graph: its variables - parameters, running statistics, optimizer state -
 * and how far training got. A run that restores a checkpoint continues to the bit as if never
 * stopped.
 */
#ifndef CLGRAD_CHECKPOINT_H
#define CLGRAD_CHECKPOINT_H

#include "clgrad/data.h"
#include "clgrad/program.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct clg_graph_save_params {
    uint64_t epoch; /* where the loader continues: clg_loader_seek(epoch, batch) */
    int64_t batch;  /* of that epoch, from 0 */
    uint64_t seed;  /* of the run */
    const char
        *settings; /* text kept with it, for example the resolved configuration; NULL: none */
    const clg_metadata *metadata; /* further pairs; keys other than those of clg_graph_state */
    size_t metadata_count;
    bool best; /* the directory's `best` points here from now on */
    int keep;  /* as in clg_checkpoint_params */
} clg_graph_save_params;
#define clg_graph_save_options(...) CLG_OPTIONS(clg_graph_save_params, __VA_ARGS__)

/**
 * Saves all variables of the graph as a checkpoint of step clg_graph_steps(graph) in `directory`
 * (see clg_checkpoint_save), under their names. Waits for the runs enqueued so far. `params` may be
 * NULL.
 */
CLG_API clg_status clg_graph_save(const clg_graph *graph, const char *directory,
                                  const clg_graph_save_params *params);

typedef struct clg_graph_restore_params {
    /* Take what fits, to start from another network's weights: variables that the file lacks, or
     * has in another shape, keep their values, the file's other arrays are ignored, and the graph's
     * step stays. */
    bool partial;
    /* Variables take the file's moving averages "ema.<name>" where it has them (ema_decay of
     * clg_minimize): for graphs that evaluate. */
    bool averaged;
} clg_graph_restore_params;
#define clg_graph_restore_options(...) CLG_OPTIONS(clg_graph_restore_params, __VA_ARGS__)

/* What a checkpoint said about the run (keys step, accumulated, epoch, batch,
 * seed), and how much was used. */
typedef struct clg_graph_state {
    uint64_t step, epoch;
    int64_t batch;
    uint64_t seed;
    uint64_t accumulated; /* clg_graph_accumulated */
    size_t restored;      /* variables that got values */
    size_t kept;          /* variables that kept theirs (partial) */
    size_t ignored;       /* arrays of the file that were not used */
} clg_graph_state;

/**
 * Writes the file's arrays into the graph's variables of the same names and sets the graph's step.
 * Unless `partial`, both must match in names, types and shapes, or the first difference is
 * CLG_ERROR_FORMAT and names the variable and both shapes; state of optimizers that the graph does
 * not have (a graph for inference) may be left over. Everything is checked before the first
 * variable changes. The file may come from elsewhere (PyTorch): what its metadata does not say is
 * 0. `params` and `out` may be NULL. The settings are clg_safetensors_metadata(file, "settings").
 */
CLG_API clg_status clg_graph_restore(clg_graph *graph, const clg_safetensors *file,
                                     const clg_graph_restore_params *params, clg_graph_state *out);

/** clg_checkpoint_load(path, "latest") and clg_graph_restore in one call. */
CLG_API clg_status clg_graph_load(clg_graph *graph, const char *path,
                                  const clg_graph_restore_params *params, clg_graph_state *out);

#ifdef __cplusplus
}
#endif
#endif
