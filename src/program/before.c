/*
 * The relation "runs before" as a graph of direct dependencies. Each cluster has a level above
 * those of all that run before it, so most questions are answered by two levels, and a search for a
 * path stays between the levels of its ends. It takes what is closest to the lower end first: in
 * networks whose backward pass reads what the forward pass made, that finds a path in a few steps.
 *
 * Sets of everything that runs before a cluster would answer at once, but they grow with the square
 * of the network's depth.
 */
#include "program/before.h"

struct clg__before_edge {
    int node, next; /* next edge of the list, -1: none */
};

typedef struct edge_list {
    int first, last;
} edge_list;

struct clg__before_node {
    edge_list before, after; /* direct ones; nodes that were merged since are followed */
    int level;
    int merged; /* what this node is part of; itself while it is not */
    int stamp;
};

clg_status clg__before_make(clg__before *b, int count)
{
    *b = (clg__before){0};
    b->nodes = clg__calloc((size_t)count + 1, sizeof *b->nodes);
    b->stack = clg__calloc((size_t)count + 1, sizeof *b->stack);
    if (!b->nodes || !b->stack) {
        clg__before_free(b);
        return CLG_ERROR_MEMORY;
    }
    for (int i = 0; i < count; i++)
        b->nodes[i] = (clg__before_node){.before = {-1, -1}, .after = {-1, -1}, .merged = i};
    return CLG_OK;
}

void clg__before_free(clg__before *b)
{
    clg__free(b->nodes);
    clg__free(b->edges);
    clg__free(b->stack);
    *b = (clg__before){0};
}

static int current(const clg__before *b, int node)
{
    while (b->nodes[node].merged != node) {
        int *merged = &b->nodes[node].merged;
        *merged = b->nodes[*merged].merged; /* halves the way for the next time */
        node = *merged;
    }
    return node;
}

/* ---- levels ---- */

/* Lifts a node, and what runs after it as far as it must be. */
static void raise_level(clg__before *b, int node, int level)
{
    int depth = 0;
    b->nodes[node].level = level;
    b->stack[depth++] = node;
    b->stamp++;
    b->nodes[node].stamp = b->stamp;
    while (depth > 0) {
        int low = b->stack[--depth];
        b->nodes[low].stamp = 0; /* may come onto the stack again */
        b->visits++;
        for (int e = b->nodes[low].after.first; e >= 0; e = b->edges[e].next) {
            int high = current(b, b->edges[e].node);
            if (high == low || b->nodes[high].level > b->nodes[low].level) continue;
            b->nodes[high].level = b->nodes[low].level + 1;
            if (b->nodes[high].stamp == b->stamp) continue;
            b->nodes[high].stamp = b->stamp;
            b->stack[depth++] = high;
        }
    }
}

/* ---- edges ---- */

static void append(clg__before *b, edge_list *list, int node)
{
    int index = b->n_edges++;
    b->edges[index] = (clg__before_edge){.node = node, .next = -1};
    if (list->first < 0)
        list->first = index;
    else
        b->edges[list->last].next = index;
    list->last = index;
}

void clg__before_add(clg__before *b, int first, int second)
{
    if (first == second || b->failed) return;
    clg__before_node *low = &b->nodes[first], *high = &b->nodes[second];
    for (int e = high->before.first; e >= 0; e = b->edges[e].next)
        if (b->edges[e].node == first) return;
    if (clg__grow((void **)&b->edges, &b->capacity, (size_t)b->n_edges + 2, sizeof *b->edges) !=
        CLG_OK) {
        b->failed = true;
        return;
    }
    append(b, &high->before, first);
    append(b, &low->after, second);
    if (high->level <= low->level) raise_level(b, second, low->level + 1);
}

static void join_lists(clg__before *b, edge_list *into, const edge_list *from)
{
    if (from->first < 0) return;
    if (into->first < 0)
        into->first = from->first;
    else
        b->edges[into->last].next = from->first;
    into->last = from->last;
}

void clg__before_merge(clg__before *b, int into, int from)
{
    clg__before_node *target = &b->nodes[into], *source = &b->nodes[from];
    join_lists(b, &target->before, &source->before);
    join_lists(b, &target->after, &source->after);
    source->merged = into;
    int level = target->level > source->level ? target->level : source->level;
    raise_level(b, into, level);
}

/* ---- paths ---- */

/*
 * Pushes what runs directly before `node` and can be behind `goal`; true if that is the goal
 * itself, which does not count for `start`.
 */
static bool push_before(clg__before *b, int node, int goal, bool start, int *depth)
{
    int lowest = -1;
    for (int e = b->nodes[node].before.first; e >= 0; e = b->edges[e].next) {
        int next = current(b, b->edges[e].node);
        if (next == goal && !start) return true;
        clg__before_node *n = &b->nodes[next];
        if (next == node || n->stamp == b->stamp || n->level <= b->nodes[goal].level) continue;
        n->stamp = b->stamp;
        if (lowest < 0 || n->level < b->nodes[b->stack[lowest]].level) lowest = *depth;
        b->stack[(*depth)++] = next;
    }
    if (lowest >= 0) {
        int top = *depth - 1, next = b->stack[lowest];
        b->stack[lowest] = b->stack[top];
        b->stack[top] = next;
    }
    return false;
}

/* Is there a path from `low` up to `high`; with `around`, one besides the direct step? */
static bool path(clg__before *b, int low, int high, bool around)
{
    int depth = 0;
    if (low == high || b->nodes[high].level <= b->nodes[low].level) return false;
    b->stamp++;
    b->visits++;
    if (push_before(b, high, low, around, &depth)) return true;
    while (depth > 0) {
        b->visits++;
        if (push_before(b, b->stack[--depth], low, false, &depth)) return true;
    }
    return false;
}

bool clg__before_holds(clg__before *b, int first, int second)
{
    return path(b, first, second, false);
}

bool clg__before_mergeable(clg__before *b, int one, int other)
{
    bool ordered = b->nodes[one].level < b->nodes[other].level;
    return !path(b, ordered ? one : other, ordered ? other : one, true);
}
