/*
 * Building a program's kernels. What the launches name is looked up among the kernels that the
 * context has; the rest is gathered in groups: the generated kernels together, and for each
 * hand-written file with the same knobs one group with all epilogues that it needs. A group is a
 * module, or part of one, because each costs the driver's compiler its headers again.
 *
 * Keys are hashes of what a kernel is made of: the text of a generated one, else file, defines and
 * epilogue.
 */
#include "device/devices.h"
#include "program/program.h"

enum {
    MOST_EPILOGUES = 12,     /* of a module: kernels grow with them */
    MOST_SHARED_BYTES = 512, /* of their arguments; devices take at least 1024 of a kernel's */
    MOST_GENERATED = 2       /* modules: one for each of two building threads */
};

/* Kernels of one text. */
typedef struct group {
    const char *file, *defines;  /* NULL: generated kernels */
    const clg__strands *strands; /* whose kernel it is; NULL: the kernels are to be launched */
    clg__str generated;
    clg__epilogue epilogues[MOST_EPILOGUES];
    int n_epilogues;
    clg__slots slots;
    const clg__launch **launches; /* whose kernels call entries, each kernel once */
    size_t n_launches, capacity;
    int module; /* -1: nothing to build */
    int number; /* see clg__kernel_place */
} group;

typedef struct module {
    const char *name;
    clg__str source;
} module;

typedef struct builder {
    clg_program *p;
    group *groups;
    size_t n_groups, capacity;
    clg__kernel_table *wanted; /* not in the context yet: the group and number of each */
    clg__hash128 *keys;        /* per launch */
    clg__hash128 *new_keys;    /* of those in `wanted` */
    size_t n_new;
    module *modules;
    size_t n_modules;
    clg__module_request *requests; /* one per module */
} builder;

/* ---- groups ---- */

/* Where drivers compile one program after the other, as those of CPU devices do whatever the
 * engine, a second one only costs its headers. */
static size_t generated_groups(const clg_context *ctx)
{
    return clg__platform_engine(&ctx->info) == CLG_ENGINE_CPU ? 1 : MOST_GENERATED;
}

static int most_epilogues(const clg_context *ctx)
{
    return ctx->engine == CLG_ENGINE_CPU ? MOST_EPILOGUES : 1; /* registers are dear on GPUs */
}

static clg__slots united(clg__slots a, clg__slots b)
{
    return (clg__slots){
        a.longs > b.longs ? a.longs : b.longs, a.floats > b.floats ? a.floats : b.floats,
        a.buffers > b.buffers ? a.buffers : b.buffers, a.steps > b.steps ? a.steps : b.steps};
}

static bool has_room(const builder *b, const group *g, const clg__epilogue *e)
{
    if (g->n_epilogues == 0 || g->n_epilogues == most_epilogues(b->p->ctx)) return false;
    clg__slots s = united(g->slots, e->slots);
    return 8 * (s.longs + s.steps) + 4 * s.floats + 16 * s.buffers <= MOST_SHARED_BYTES;
}

static group *add_group(builder *b, const char *file, const char *defines)
{
    if (clg__grow((void **)&b->groups, &b->capacity, b->n_groups + 1, sizeof *b->groups) != CLG_OK)
        return NULL;
    b->groups[b->n_groups] = (group){.file = file, .defines = defines};
    return &b->groups[b->n_groups++];
}

/* The group that the launch's kernel joins, with its epilogue if it has one. Kernels without stay
 * among themselves: some of them store by the file's own macros. */
static group *group_of(builder *b, const clg__launch *launch, const clg__epilogue *e)
{
    for (size_t i = 0; i < b->n_groups; i++) {
        group *g = &b->groups[i];
        if (g->file && !g->strands && strcmp(g->file, launch->file) == 0 &&
            strcmp(g->defines, launch->defines) == 0 &&
            (e ? has_room(b, g, e) : g->n_epilogues == 0))
            return g;
    }
    return add_group(b, launch->file, launch->defines);
}

/* The generated kernels' modules come first; the shortest is next. */
static group *generated_group(builder *b)
{
    group *shortest = &b->groups[0];
    for (size_t i = 1; i < generated_groups(b->p->ctx); i++)
        if (b->groups[i].generated.length < shortest->generated.length) shortest = &b->groups[i];
    return shortest;
}

/* The group's module shall have the launch's kernel. */
static clg_status add_launch(group *g, const clg__launch *launch)
{
    for (size_t i = 0; i < g->n_launches; i++)
        if (strcmp(g->launches[i]->kernel, launch->kernel) == 0) return CLG_OK;
    CLG_TRY(clg__grow((void **)&g->launches, &g->capacity, g->n_launches + 1, sizeof *g->launches));
    g->launches[g->n_launches++] = launch;
    return CLG_OK;
}

/* ---- what launches want ---- */

static clg_status want(builder *b, clg__hash128 key, const group *g, int epilogue)
{
    if (!g) return CLG_ERROR_MEMORY;
    b->new_keys[b->n_new++] = key;
    return clg__kernel_record(
        &b->wanted, key, &(clg__kernel_place){.group = (int)(g - b->groups), .epilogue = epilogue});
}

static bool is_known(const builder *b, clg__hash128 key)
{
    return clg__kernel_find(b->p->ctx->kernels, key) || clg__kernel_find(b->wanted, key);
}

static clg_status want_generated(builder *b, const clg__step *step)
{
    if (is_known(b, step->key)) return CLG_OK;
    group *g = generated_group(b);
    clg__codegen_kernels(&g->generated, &b->p->ir, &b->p->ir.clusters[step->cluster], step->name[0],
                         step->two_stages);
    if (g->generated.failed) return CLG_ERROR_MEMORY;
    for (size_t i = 0; i < step->lowering.n_launches; i++)
        CLG_TRY(add_launch(g, &step->lowering.launches[i]));
    return want(b, step->key, g, 0);
}

static clg__hash128 key_of(const clg__launch *launch, const clg__epilogue *e)
{
    clg__hash128 parts[4] = {clg__hash(launch->file, strlen(launch->file)),
                             clg__hash(launch->kernel, strlen(launch->kernel)),
                             clg__hash(launch->defines, strlen(launch->defines))};
    if (e) parts[3] = clg__epilogue_hash(e);
    return clg__hash(parts, sizeof parts);
}

/* e: empty where the launch has none. */
static clg_status make_epilogue(clg__epilogue *e, const clg_program *p, const clg__step *step,
                                const clg__launch *launch)
{
    *e = (clg__epilogue){0};
    if (!launch->epilogue) return CLG_OK;
    const bool fused = launch->epilogue == CLG__EPILOGUE_FUSED;
    clg__epilogue_make(e, &p->ir, fused ? &p->ir.clusters[step->cluster] : NULL);
    if (!e->parameters.failed) return CLG_OK;
    clg__epilogue_free(e);
    return CLG_ERROR_MEMORY;
}

static clg_status make_key(clg__hash128 *key, const clg_program *p, const clg__step *step,
                           const clg__launch *launch)
{
    clg__epilogue e;
    *key = step->key;
    if (!launch->file) return CLG_OK;
    CLG_TRY(make_epilogue(&e, p, step, launch));
    *key = key_of(launch, launch->epilogue ? &e : NULL);
    clg__epilogue_free(&e);
    return CLG_OK;
}

static clg_status make_keys(builder *b)
{
    for (int i = 0; i < b->p->n_steps; i++) {
        const clg__step *step = &b->p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++)
            CLG_TRY(make_key(&b->keys[step->first_kernel + (int)k], b->p, step,
                             &step->lowering.launches[k]));
    }
    return CLG_OK;
}

/* An epilogue joins the group's; *e is the group's then. Its number there. */
static int add_epilogue(group *g, clg__epilogue *e)
{
    g->slots = united(g->slots, e->slots);
    g->epilogues[g->n_epilogues] = *e;
    *e = (clg__epilogue){0};
    return g->n_epilogues++;
}

static clg_status want_file(builder *b, const clg__step *step, const clg__launch *launch,
                            clg__hash128 key)
{
    if (is_known(b, key)) return CLG_OK;
    clg__epilogue e;
    int number = 0;
    CLG_TRY(make_epilogue(&e, b->p, step, launch));
    group *g = group_of(b, launch, launch->epilogue ? &e : NULL);
    if (g && launch->epilogue) number = add_epilogue(g, &e);
    clg__epilogue_free(&e);
    if (g) CLG_TRY(add_launch(g, launch));
    return want(b, key, g, number);
}

/* A kernel that strands call as a function. */
static clg_status add_function(builder *b, group *g, const clg__strands *s, int kernel)
{
    const clg_program *p = b->p;
    const int at = s->first + s->kernels[kernel].launch;
    const clg__step *step = clg__step_of(p, at);
    const clg__launch *launch = clg__launch_at(p, at);
    if (!launch->file) {
        clg__codegen_kernels(&g->generated, &p->ir, &p->ir.clusters[step->cluster], step->name[0],
                             step->two_stages);
        return g->generated.failed ? CLG_ERROR_MEMORY : CLG_OK;
    }
    g->file = launch->file;
    g->defines = launch->defines;
    if (!launch->epilogue) return CLG_OK;
    clg__epilogue e;
    CLG_TRY(make_epilogue(&e, p, step, launch));
    add_epilogue(g, &e);
    return CLG_OK;
}

static clg_status want_strands(builder *b, const clg__strands *s)
{
    if (is_known(b, s->key)) return CLG_OK;
    group *g = add_group(b, NULL, NULL);
    if (!g) return CLG_ERROR_MEMORY;
    g->strands = s;
    for (int k = 0; k < s->n_kernels; k++) CLG_TRY(add_function(b, g, s, k));
    return want(b, s->key, g, 0);
}

static clg_status want_all(builder *b)
{
    clg_program *p = b->p;
    for (size_t i = generated_groups(p->ctx); i > 0; i--)
        if (!add_group(b, NULL, NULL)) return CLG_ERROR_MEMORY;
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++) {
            const clg__launch *launch = &step->lowering.launches[k];
            const int at = step->first_kernel + (int)k;
            if (launch->call || clg__strands_of(p, at)) continue;
            if (launch->file)
                CLG_TRY(want_file(b, step, launch, b->keys[at]));
            else
                CLG_TRY(want_generated(b, step));
        }
    }
    for (int i = 0; i < p->n_strands; i++) CLG_TRY(want_strands(b, &p->strands[i]));
    return CLG_OK;
}

/* The program's strands, which change what their launches are. */
static clg_status form_strands(builder *b)
{
    CLG_TRY(clg__strands_form(b->p, b->keys));
    if (b->p->n_strands) CLG_TRY(make_keys(b));
    for (int i = 0; i < b->p->n_strands; i++)
        b->p->strands[i].key = clg__strands_key(&b->p->strands[i], b->keys);
    return CLG_OK;
}

/* ---- modules ---- */

/* Where drivers compile one program after the other, files are one module. Generated kernels are
 * another one: they change with a loss or an optimizer, and files do not. */
static bool shares_module(const builder *b, const group *g)
{
    return g->file && !g->strands && generated_groups(b->p->ctx) == 1;
}

static void place_groups(builder *b)
{
    int shared = -1, count = 0;
    for (size_t i = 0; i < b->n_groups; i++) {
        group *g = &b->groups[i];
        const bool shares = shares_module(b, g), empty = !g->file && g->generated.length == 0;
        g->module = empty ? -1 : shares && count ? shared : (int)b->n_modules++;
        if (!shares) continue;
        shared = g->module;
        g->number = ++count;
    }
}

/* Of the group's kernels those that are to be written around entries of the text. */
static void keep_entries(group *g, const clg_context *ctx, const char *text)
{
    const size_t all = clg__entry_apart(ctx) ? g->n_launches : 0;
    g->n_launches = 0;
    for (size_t i = 0; i < all; i++)
        if (clg__entry_in(text, g->launches[i]->kernel))
            g->launches[g->n_launches++] = g->launches[i];
}

/* The text's functions get the group's number, and entries make way for kernels of their names. */
static void rename_functions(clg__str *out, const group *g, const char *const *names)
{
    char name[CLG__KERNEL_NAME];
    for (; g->number && *names; names++)
        clg__str_addf(out, "#define %s %s\n", *names, clg__kernel_name(name, *names, g->number));
    for (size_t i = 0; i < g->n_launches; i++) {
        const char *kernel = g->launches[i]->kernel;
        clg__str_addf(out, "#undef %s\n#define %s %s_entry\n", kernel, kernel,
                      clg__kernel_name(name, kernel, g->number));
    }
}

static void write_generated(clg__str *out, const group *g)
{
    const char *const none[] = {NULL};
    if (!g->file) rename_functions(out, g, none);
    clg__str_add(out, clg__str_text(&g->generated));
    for (size_t i = 0; !g->file && i < g->n_launches; i++)
        clg__str_addf(out, "#undef %s\n", g->launches[i]->kernel);
}

static void write_file(clg__str *out, const group *g, const clg__embedded_source *file)
{
    rename_functions(out, g, file->names);
    clg__str_add(out, g->defines);
    if (g->n_epilogues) clg__epilogue_define(out, g->epilogues, g->n_epilogues, &g->slots);
    clg__str_add(out, file->text);
    if (g->n_epilogues) clg__epilogue_undefine(out);
}

/* The vocabulary, if nothing is there yet; generated functions; knobs, epilogues and the file that
 * takes them. Then the kernels that call entries. */
static clg_status write_group(clg__str *out, const clg_program *p, group *g)
{
    const clg__embedded_source *file = g->file ? clg__kernel_file(g->file) : NULL;
    if (g->file && !file) return clg__fail(CLG_ERROR_INTERNAL, "no kernel file %s.cl", g->file);
    const bool first = out->length == 0;
    keep_entries(g, p->ctx, file ? file->text : clg__str_text(&g->generated));
    if (g->strands || clg__entry_apart(p->ctx)) clg__entry_define(out, p->ctx);
    if (first) clg__str_add(out, clg__kernel_file("pointwise")->text);
    write_generated(out, g);
    if (file) write_file(out, g, file);
    for (size_t i = 0; i < g->n_launches; i++)
        clg__entry_kernel(out, g->launches[i], g->number, &g->slots);
    if (g->strands) clg__strands_code(out, p, g->strands, &g->slots);
    return out->failed ? CLG_ERROR_MEMORY : CLG_OK;
}

static clg_status write_modules(builder *b)
{
    for (size_t i = 0; i < b->n_groups; i++) {
        group *g = &b->groups[i];
        if (g->module < 0) continue;
        module *m = &b->modules[g->module];
        CLG_TRY(write_group(&m->source, b->p, g));
        m->name = !g->file ? "generated kernels" : m->name ? "kernels of several files" : g->file;
    }
    return CLG_OK;
}

static clg_status build_modules(builder *b)
{
    place_groups(b);
    b->modules = clg__calloc(b->n_modules + 1, sizeof *b->modules);
    b->requests = clg__calloc(b->n_modules + 1, sizeof *b->requests);
    if (!b->modules || !b->requests) return CLG_ERROR_MEMORY;
    CLG_TRY(write_modules(b));
    for (size_t i = 0; i < b->n_modules; i++)
        b->requests[i] = (clg__module_request){
            .name = b->modules[i].name, .source = b->modules[i].source.text, .options = ""};
    return b->n_modules ? clg__modules_get(b->p->ctx, b->requests, b->n_modules) : CLG_OK;
}

/* From now on the context knows the new kernels. */
static clg_status record_new(builder *b)
{
    for (size_t i = 0; i < b->n_new; i++) {
        clg__kernel_place place = *clg__kernel_find(b->wanted, b->new_keys[i]);
        const group *g = &b->groups[place.group];
        place.module = b->requests[g->module].module;
        place.number = g->number;
        place.slots = g->slots;
        CLG_TRY(clg__kernel_record(&b->p->ctx->kernels, b->new_keys[i], &place));
    }
    return CLG_OK;
}

static clg_status create_kernel(cl_kernel *out, const clg__kernel_place *place, const char *kernel)
{
    char name[CLG__KERNEL_NAME];
    return clg__kernel_create(out, place->module, clg__kernel_name(name, kernel, place->number));
}

static clg_status create_strands(clg_program *p)
{
    for (int i = 0; i < p->n_strands; i++) {
        clg__strands *s = &p->strands[i];
        s->place = *clg__kernel_find(p->ctx->kernels, s->key);
        CLG_TRY(clg__kernel_create(&s->kernel, s->place.module, "strands"));
    }
    return CLG_OK;
}

static clg_status create_kernels(const builder *b)
{
    clg_program *p = b->p;
    for (int i = 0; i < p->n_steps; i++) {
        const clg__step *step = &p->steps[i];
        for (size_t k = 0; k < step->lowering.n_launches; k++) {
            const clg__launch *launch = &step->lowering.launches[k];
            int index = step->first_kernel + (int)k;
            if (launch->call || clg__strands_of(p, index)) continue;
            p->places[index] = *clg__kernel_find(p->ctx->kernels, b->keys[index]);
            CLG_TRY(create_kernel(&p->kernels[index], &p->places[index], launch->kernel));
            CLG_TRY(clg__program_check_group(p, p->kernels[index], launch));
        }
    }
    return create_strands(p);
}

static void clear(builder *b)
{
    for (size_t i = 0; i < b->n_groups; i++) {
        group *g = &b->groups[i];
        for (int e = 0; e < g->n_epilogues; e++) clg__epilogue_free(&g->epilogues[e]);
        clg__free(g->launches);
        clg__str_free(&g->generated);
    }
    for (size_t i = 0; b->modules && i < b->n_modules; i++) clg__str_free(&b->modules[i].source);
    clg__free(b->modules);
    clg__kernel_table_free(b->wanted);
    clg__free(b->groups);
    clg__free(b->keys);
    clg__free(b->new_keys);
    clg__free(b->requests);
}

clg_status clg__program_build(clg_program *p)
{
    p->n_kernels = 0;
    for (int i = 0; i < p->n_steps; i++) {
        p->steps[i].first_kernel = p->n_kernels;
        p->n_kernels += (int)p->steps[i].lowering.n_launches;
    }
    size_t room = (size_t)p->n_kernels + 1;
    builder b = {.p = p,
                 .keys = clg__calloc(room, sizeof *b.keys),
                 .new_keys = clg__calloc(room, sizeof *b.new_keys)};
    p->kernels = clg__calloc(room, sizeof *p->kernels);
    p->places = clg__calloc(room, sizeof *p->places);
    clg_status status = CLG_ERROR_MEMORY;
    if (b.keys && b.new_keys && p->kernels && p->places) status = make_keys(&b);
    if (status == CLG_OK) status = form_strands(&b);
    if (status == CLG_OK) status = want_all(&b);
    if (status == CLG_OK) status = build_modules(&b);
    if (status == CLG_OK) status = record_new(&b);
    if (status == CLG_OK) status = create_kernels(&b);
    clear(&b);
    return status;
}
