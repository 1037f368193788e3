/*
 * Model files: a network and the settings of its training, in YAML (docs/model-files.md).
 *
 * Three tables hold every key: SETTING_ROWS for `training`, DATA_ROWS for `data`, LAYER_OPTION_ROWS
 * for the entries of `model.layers`. Struct fields, libcyaml schema, defaults, ranges, command-line
 * overrides and the saved file come from them. All values are pointers: NULL says "not given", so
 * that an option that does not belong to a kind of layer or optimizer can be refused.
 */
#ifndef CLTRAIN_MODEL_FILE_H
#define CLTRAIN_MODEL_FILE_H

#include "yaml_source.h"

/* Of a file: entries of one list and layers after repeating; blocks; parameters of a block. */
enum { MAX_LAYERS = 10000, MAX_BLOCKS = 64, MAX_PARAMETERS = 32 };
enum { MAX_NAME = 200, MAX_FULL_NAME = 190 }; /* characters of a word; of a layer's whole name */

/*
 * TEXT(name, default, of), FLAG(name, default, of), WHOLE and REAL(name, default, lowest, highest,
 * of). `of` lists the optimizers or schedules that take the setting; "" is for all. Defaults of -1
 * depend on the optimizer (optimizer_settings.c).
 */
#define ADAM_FAMILY "adam adamax nadam radam adamw lamb"
#define SETTING_ROWS(TEXT, WHOLE, REAL, FLAG)                                                      \
    REAL(validation, 0.1, 0, 0.9, "")                                                              \
    WHOLE(epochs, 5, 1, 1000000, "")                                                               \
    WHOLE(batch, 64, 1, 1 << 24, "")                                                               \
    WHOLE(seed, 1, 0, INT64_MAX, "")                                                               \
    TEXT(optimizer, "adam", "")                                                                    \
    REAL(lr, -1, 0, 1e6, "")                                                                       \
    REAL(momentum, -1, 0, 0.999999, "sgd rmsprop lars")                                            \
    REAL(dampening, 0, 0, 1, "sgd")                                                                \
    FLAG(nesterov, false, "sgd rmsprop lars")                                                      \
    REAL(beta1, -1, 0, 0.999999, ADAM_FAMILY)                                                      \
    REAL(beta2, -1, 0, 0.999999, ADAM_FAMILY)                                                      \
    REAL(rho, -1, 0, 0.999999, "adadelta rmsprop")                                                 \
    REAL(epsilon, -1, 1e-30, 1, "adagrad adadelta rmsprop " ADAM_FAMILY)                           \
    REAL(lr_decay, 0, 0, 1e6, "adagrad")                                                           \
    REAL(momentum_decay, -1, 0, 1, "nadam")                                                        \
    FLAG(amsgrad, false, "adam adamw")                                                             \
    FLAG(centered, false, "rmsprop")                                                               \
    REAL(trust, -1, 1e-30, 1e6, "lars")                                                            \
    REAL(weight_decay, -1, 0, 1e6, "")                                                             \
    FLAG(decoupled_decay, false, "sgd adam nadam radam")                                           \
    FLAG(decay_weights_only, false, "")                                                            \
    REAL(clip_value, 0, 0, 1e30, "")                                                               \
    REAL(clip_tensor_norm, 0, 0, 1e30, "")                                                         \
    REAL(clip_norm, 0, 0, 1e30, "")                                                                \
    WHOLE(accumulate, 1, 1, 65536, "")                                                             \
    WHOLE(memory_budget, 0, 0, 1 << 30, "")                                                        \
    REAL(ema, 0, 0, 0.999999999, "")                                                               \
    TEXT(schedule, "cosine", "")                                                                   \
    REAL(lr_min, 0, 0, 1e6, "polynomial cosine cosine_restarts")                                   \
    REAL(every, 1, 1e-6, 1e6, "step exponential power cosine_restarts")                            \
    TEXT(milestones, "30 60 80", "multi_step")                                                     \
    REAL(gamma, 0.1, 1e-6, 1, "step multi_step exponential")                                       \
    REAL(power, 1, 0.01, 100, "power polynomial")                                                  \
    WHOLE(growth, 1, 1, 1000, "cosine_restarts")                                                   \
    REAL(up, 0.3, 0.001, 0.999, "one_cycle")                                                       \
    REAL(start_divisor, 25, 1, 1e9, "one_cycle")                                                   \
    REAL(end_divisor, 10000, 1, 1e12, "one_cycle")                                                 \
    WHOLE(plateau, 0, 0, 1000000, "")                                                              \
    REAL(plateau_factor, 0.1, 1e-6, 0.999999, "")                                                  \
    WHOLE(warmup, 0, 0, 1000000000, "")                                                            \
    WHOLE(checkpoint_every, 0, 0, 1000000000, "")                                                  \
    WHOLE(keep, 3, 1, 1000000, "")                                                                 \
    FLAG(gradient_norms, true, "")                                                                 \
    REAL(label_smoothing, 0, 0, 1, "")                                                             \
    TEXT(class_weights, NULL, "")                                                                  \
    REAL(l1, 0, 0, 1e6, "")                                                                        \
    WHOLE(patience, 0, 0, 1000000, "")                                                             \
    TEXT(init_from, NULL, "")                                                                      \
    TEXT(fresh, NULL, "")                                                                          \
    TEXT(freeze, NULL, "")                                                                         \
    TEXT(lr_factors, NULL, "")

/* The same for the keys of `data`. NULL: no default. */
#define DATA_ROWS(TEXT, WHOLE, REAL, FLAG)                                                         \
    TEXT(path, "builtin", "")                                                                      \
    TEXT(format, NULL, "")                                                                         \
    TEXT(target, NULL, "")                                                                         \
    TEXT(ignore, NULL, "")                                                                         \
    TEXT(classes, NULL, "")                                                                        \
    WHOLE(per_class, 0, 0, 1000000000, "")                                                         \
    TEXT(missing, "refuse", "")                                                                    \
    TEXT(fit, "crop", "")                                                                          \
    FLAG(words, false, "")                                                                         \
    REAL(test, 0.2, 0.001, 0.9, "")                                                                \
    WHOLE(folds, 0, 0, 100000, "")                                                                 \
    WHOLE(fold, 0, 0, 100000, "")                                                                  \
    WHOLE(memory, 1024, 1, 1 << 30, "")

/*
 * Options of layers; which kind takes which, and the defaults, is said in layers.c. `repeat`,
 * `share` and `activity_l1` go with every kind.
 */
#define LAYER_OPTION_ROWS(TEXT, WHOLE, REAL, FLAG)                                                 \
    TEXT(name)                                                                                     \
    WHOLE(repeat)                                                                                  \
    TEXT(share)                                                                                    \
    TEXT(projection)                                                                               \
    REAL(activity_l1)                                                                              \
    WHOLE(pieces)                                                                                  \
    WHOLE(channels)                                                                                \
    WHOLE(units)                                                                                   \
    WHOLE(rows)                                                                                    \
    TEXT(activation)                                                                               \
    FLAG(last)                                                                                     \
    TEXT(kernel)                                                                                   \
    TEXT(size)                                                                                     \
    TEXT(stride)                                                                                   \
    TEXT(padding)                                                                                  \
    TEXT(padding_mode)                                                                             \
    TEXT(output_padding)                                                                           \
    TEXT(dilation)                                                                                 \
    WHOLE(groups)                                                                                  \
    WHOLE(axes)                                                                                    \
    REAL(alpha)                                                                                    \
    REAL(beta)                                                                                     \
    REAL(k)                                                                                        \
    FLAG(bias)                                                                                     \
    TEXT(init)                                                                                     \
    REAL(init_value)                                                                               \
    REAL(init_gain)                                                                                \
    REAL(init_slope)                                                                               \
    REAL(rate)                                                                                     \
    REAL(a)                                                                                        \
    REAL(b)                                                                                        \
    FLAG(per_channel)                                                                              \
    REAL(lower)                                                                                    \
    REAL(upper)                                                                                    \
    REAL(momentum)                                                                                 \
    REAL(epsilon)                                                                                  \
    REAL(horizontal)                                                                               \
    REAL(vertical)                                                                                 \
    REAL(rotate)                                                                                   \
    REAL(zoom)                                                                                     \
    REAL(shift)                                                                                    \
    TEXT(border)                                                                                   \
    REAL(brightness)                                                                               \
    REAL(contrast)                                                                                 \
    REAL(saturation)                                                                               \
    REAL(sigma)

#define FIELD_TEXT(name, ...) char *name;
#define FIELD_WHOLE(name, ...) int64_t *name;
#define FIELD_REAL(name, ...) double *name;
#define FIELD_FLAG(name, ...) bool *name;

/* Of `training` and of `data`. */
struct settings {
    SETTING_ROWS(FIELD_TEXT, FIELD_WHOLE, FIELD_REAL, FIELD_FLAG)
    DATA_ROWS(FIELD_TEXT, FIELD_WHOLE, FIELD_REAL, FIELD_FLAG)
};

/* The options of one layer as values, parameters of blocks put in. Borrowed by its builder. */
struct layer_spec {
    const char *kind;
    LAYER_OPTION_ROWS(FIELD_TEXT, FIELD_WHOLE, FIELD_REAL, FIELD_FLAG)
};

#define OPTION_NUMBER(name) OPTION_##name,
enum { LAYER_OPTION_ROWS(OPTION_NUMBER, OPTION_NUMBER, OPTION_NUMBER, OPTION_NUMBER) N_OPTIONS };
#undef OPTION_NUMBER

/*
 * An entry of `layers` as written: options stay text, because "$channels" stands for what a block
 * is used with. layer_options.c makes a layer_spec of it.
 */
struct layer_text {
    char *kind;
    char *option[N_OPTIONS];     /* NULL: not given */
    char **with;                 /* values of a block's parameters */
    struct layer_text *layers;   /* of kinds that hold layers */
    struct layer_text *shortcut; /* of residual */
    unsigned with_count, layers_count, shortcut_count;
};

/* A named list of layers with parameters: "stride", or "stride=1" with a default. */
struct block_text {
    char *name;
    char **parameters;
    struct layer_text *layers;
    unsigned parameters_count, layers_count;
};

#undef FIELD_TEXT
#undef FIELD_WHOLE
#undef FIELD_REAL
#undef FIELD_FLAG

struct model_spec {
    char *name;
    int64_t *input; /* shape of one sample: (H, W, C), or (features) */
    unsigned input_count;
    int64_t *classes, *outputs; /* NULL: not given */
    char *loss, *target;        /* NULL: softmax_cross_entropy, data */
    struct block_text *blocks;
    struct layer_text *layers;
    unsigned blocks_count, layers_count;
};

/* What libcyaml fills. */
struct model_content {
    struct model_spec model;
    struct settings training;
};

struct model_file {
    struct yaml_source source;
    struct model_content *content;
};

/**
 * Loads "lenet", "mlp" (the models that come with the tool) or a file. DONE, or an exit code after
 * a message with line and column; clear it in both cases.
 */
int model_file_load(struct model_file *file, const char *name);
void model_file_clear(struct model_file *file);
/** Whether a model of this name comes with the tool. */
bool model_file_is_builtin(const char *name);

/**
 * Replaces a setting by the text of an option (its name, a constant), which is named from then on
 * where the setting does not fit. BAD_USAGE if the text is not one of its values.
 */
int model_file_override(struct model_file *file, const char *setting, const char *text,
                        const char *option);

/** Checks ranges and fills in the defaults, after all overrides. */
int model_file_resolve(struct model_file *file);

/** The resolved file as text (free it); loading it gives the same values to the bit. NULL: no
 * memory. */
char *model_file_text(const struct model_file *file);

/* One row of SETTING_ROWS or LAYER_OPTION_ROWS, for code that goes over all of them. */
enum key_type { KEY_TEXT, KEY_WHOLE, KEY_REAL, KEY_FLAG };
struct key_row {
    const char *name;
    enum key_type type;
    size_t offset; /* of the pointer in struct settings or layer_spec */
    const char *text;
    double number, low, high; /* default (TEXT: `text`), range */
    const char *of;
    const char *section; /* of the file: "training", "data" */
};
extern const struct key_row setting_rows[], layer_option_rows[];
extern const size_t n_settings, n_layer_options;

/** Reads a number or a truth value; *value is an int64_t, double or bool. False if it is none. */
bool key_parse(enum key_type type, const char *text, void *value);
/** What such a value is called: "a whole number". */
const char *key_wanted(enum key_type type);

/** True if the words of `list` (separated by blanks) contain `word`. */
bool word_in(const char *list, const char *word);

#endif
