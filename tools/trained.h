/*
 * A trained model ready for use: what eval and predict share.
 */
#ifndef CLTRAIN_TRAINED_H
#define CLTRAIN_TRAINED_H

#include "evaluate.h"
#include "model_file.h"

struct trained {
    struct model_file file;
    struct network network;
    clg_context *context;
    char *schema; /* of the run's data; NULL: none is known */
};

/**
 * Loads the configuration of a run or checkpoint, opens the device and builds the network. Its
 * weights come with trained_restore, once a program exists. DONE, or an exit code; clear it in both
 * cases.
 */
int trained_load(struct trained *trained, const char *path, const char *device);
/** The same with network_build_stepwise. */
int trained_load_stepwise(struct trained *trained, const char *path, const char *device);
int trained_restore(struct trained *trained, const char *path);
void trained_clear(struct trained *trained);

#endif
