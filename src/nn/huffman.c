/*
 * Huffman trees of words: frequent words get short codes, so that a step of hierarchical softmax
 * looks at few inner nodes.
 *
 * Words sorted by count and inner nodes in order of creation are two queues, of which the two
 * smallest heads are joined again and again: O(n log n) for sorting, O(n) for the tree. Equal
 * counts are taken in order of index, words before inner nodes, so that a tree depends on nothing
 * but the counts.
 */
#include <stdlib.h>

#include "base/base.h"
#include "clgrad/sequence.h"

struct clg_huffman {
    int64_t n;       /* words 0 .. n - 1; inner nodes n .. 2 n - 2, of which the last is the root */
    int32_t *parent; /* of every node but the root */
    int8_t *turn;    /* 1 for the first child, -1 for the second */
    int length;      /* of the longest code */
};

typedef struct leaf {
    uint64_t count;
    int32_t word;
} leaf;

static int rarer_first(const void *a, const void *b)
{
    const leaf *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? -1 : 1;
    return x->word < y->word ? -1 : x->word > y->word;
}

/* The heads of both queues. */
typedef struct queues {
    const leaf *leaves;
    const uint64_t *inner; /* counts of inner nodes */
    int64_t n, leaf, node, made;
} queues;

static int32_t take_rarest(queues *q, uint64_t *count)
{
    bool is_leaf =
        q->leaf < q->n && (q->node == q->made || q->leaves[q->leaf].count <= q->inner[q->node]);
    if (is_leaf) {
        *count = q->leaves[q->leaf].count;
        return q->leaves[q->leaf++].word;
    }
    *count = q->inner[q->node];
    return (int32_t)(q->n + q->node++);
}

static void join_all(clg_huffman *h, const leaf *leaves, uint64_t *inner)
{
    queues q = {.leaves = leaves, .inner = inner, .n = h->n};
    for (q.made = 0; q.made < h->n - 1; q.made++) {
        uint64_t counts[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            int32_t node = take_rarest(&q, &counts[side]);
            h->parent[node] = (int32_t)(h->n + q.made);
            h->turn[node] = side == 0 ? 1 : -1;
        }
        inner[q.made] = counts[0] + counts[1];
    }
}

static int length_of(const clg_huffman *h, int32_t word)
{
    int length = 0;
    for (int64_t node = word; node < 2 * h->n - 2; node = h->parent[node]) length++;
    return length;
}

static clg_status build(clg_huffman *h, const uint64_t *counts)
{
    size_t n = (size_t)h->n;
    leaf *leaves = clg__calloc(n, sizeof *leaves);
    uint64_t *inner = clg__calloc(n, sizeof *inner);
    clg_status status = leaves && inner ? CLG_OK : CLG_ERROR_MEMORY;
    for (size_t i = 0; i < n && status == CLG_OK; i++) leaves[i] = (leaf){counts[i], (int32_t)i};
    if (status == CLG_OK) {
        qsort(leaves, n, sizeof *leaves, rarer_first);
        join_all(h, leaves, inner);
    }
    for (int32_t word = 0; word < h->n && status == CLG_OK; word++) {
        int length = length_of(h, word);
        if (length > h->length) h->length = length;
    }
    clg__free(leaves);
    clg__free(inner);
    return status;
}

clg_status clg_huffman_create(clg_huffman **out, const uint64_t *counts, int64_t n)
{
    CLG__NEEDS(out);
    uint64_t total = 0;
    bool fits = counts && n >= 2 && n <= 1 << 30;
    for (int64_t i = 0; i < n && fits; i++)
        fits = !__builtin_add_overflow(total, counts[i], &total);
    if (!fits)
        return clg__fail(CLG_ERROR_ARGUMENT,
                         "huffman: %lld words: at least 2, and their counts must fit in 64 bits "
                         "together",
                         (long long)n);
    clg_huffman *h = clg__calloc(1, sizeof *h);
    if (!h) return CLG_ERROR_MEMORY;
    clg__object_created();
    h->n = n;
    h->parent = clg__calloc((size_t)(2 * n), sizeof *h->parent);
    h->turn = clg__calloc((size_t)(2 * n), sizeof *h->turn);
    clg_status status = h->parent && h->turn ? build(h, counts) : CLG_ERROR_MEMORY;
    if (status == CLG_OK)
        *out = h;
    else
        clg_huffman_destroy(h);
    return status;
}

void clg_huffman_destroy(clg_huffman *h)
{
    if (!h) return;
    clg__free(h->parent);
    clg__free(h->turn);
    clg__free(h);
    clg__object_destroyed();
}

int clg_huffman_length(const clg_huffman *h)
{
    CLG__NEEDS_OR(0, h);
    return h->length;
}

clg_status clg_huffman_code(const clg_huffman *h, int64_t word, int32_t *path, float *code)
{
    CLG__NEEDS(h && path && code);
    if (word < 0 || word >= h->n)
        return clg__fail(CLG_ERROR_ARGUMENT, "huffman: there is no word %lld among %lld",
                         (long long)word, (long long)h->n);
    int length = length_of(h, (int32_t)word), at = length;
    for (int64_t node = word; at-- > 0; node = h->parent[node]) { /* from the leaf up */
        path[at] = (int32_t)(h->parent[node] - h->n);
        code[at] = h->turn[node];
    }
    for (int i = length; i < h->length; i++) {
        path[i] = (int32_t)(h->n - 2); /* the root, which every word touches anyway */
        code[i] = 0;
    }
    return CLG_OK;
}
