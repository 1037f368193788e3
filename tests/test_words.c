/*
 * What the sampled losses of word2vec are fed with: drawn negatives, Huffman codes, thinned-out
 * words.
 */
#include <math.h>

#include "evaluate.h"

/* ---- the sampler ---- */

START_TEST(numbers_are_drawn_as_often_as_their_weights_say)
{
    enum { N = 7, DRAWS = 200000 };
    static const double weights[N] = {1, 0, 16, 81, 3, 256, 1}, power = 0.75;
    static int32_t drawn[DRAWS];
    clg_sampler *s = NULL;
    TEST_OK(clg_sampler_create(&s, weights, N, power));
    clg_sampler_draw(s, 42, 0, DRAWS, drawn);
    double total = 0, seen[N] = {0};
    for (int i = 0; i < N; i++) total += weights[i] > 0 ? pow(weights[i], power) : 0;
    for (int i = 0; i < DRAWS; i++) {
        ck_assert(drawn[i] >= 0 && drawn[i] < N);
        seen[drawn[i]]++;
    }
    for (int i = 0; i < N; i++) {
        double p = weights[i] > 0 ? pow(weights[i], power) / total : 0;
        double deviation = sqrt(p * (1 - p) * DRAWS);
        ck_assert_msg(fabs(seen[i] - p * DRAWS) <= 5 * deviation, "%d: %g of %g", i, seen[i],
                      p * DRAWS);
    }
    int32_t again[50]; /* a draw knows its number, not its past */
    clg_sampler_draw(s, 42, 1000, 50, again);
    ck_assert_mem_eq(again, drawn + 1000, sizeof again);
    clg_sampler_draw(s, 43, 1000, 50, again);
    ck_assert_mem_ne(again, drawn + 1000, sizeof again);
    clg_sampler_destroy(s);
    clg_sampler_destroy(NULL);
}
END_TEST

START_TEST(weights_that_make_no_sense_are_refused)
{
    clg_sampler *s = NULL;
    TEST_FAILS(clg_sampler_create(&s, (double[]){1, -1}, 2, 1), CLG_ERROR_ARGUMENT,
               "weight 1 is -1");
    TEST_FAILS(clg_sampler_create(&s, (double[]){0, 0}, 2, 1), CLG_ERROR_ARGUMENT, "sum is 0");
    TEST_FAILS(clg_sampler_create(&s, (double[]){NAN}, 1, 1), CLG_ERROR_ARGUMENT, "weight 0 is");
    TEST_FAILS(clg_sampler_create(&s, NULL, 0, 1), CLG_ERROR_ARGUMENT, "0 weights");
    ck_assert_ptr_null(s);
    clg_huffman *h = NULL;
    TEST_FAILS(clg_huffman_create(&h, (uint64_t[]){1}, 1), CLG_ERROR_ARGUMENT, "1 words");
    TEST_FAILS(clg_huffman_create(&h, (uint64_t[]){UINT64_MAX, 1}, 2), CLG_ERROR_ARGUMENT,
               "fit in 64 bits");
    ck_assert_ptr_null(h);
}
END_TEST

START_TEST(a_failing_allocation_leaves_nothing_behind)
{
    clg_status status[2] = {CLG_ERROR_MEMORY, CLG_ERROR_MEMORY};
    for (uint64_t n = 1; status[0] != CLG_OK || status[1] != CLG_OK; n++) {
        clg_sampler *s = NULL;
        clg_huffman *h = NULL;
        clg__fault_set(CLG__FAULT_ALLOC, n, false, 0);
        status[0] = clg_sampler_create(&s, (double[]){1, 2}, 2, 1);
        clg__fault_set(CLG__FAULT_ALLOC, n, false, 0);
        status[1] = clg_huffman_create(&h, (uint64_t[]){1, 2}, 2);
        ck_assert_int_eq(status[0], s ? CLG_OK : CLG_ERROR_MEMORY);
        ck_assert_int_eq(status[1], h ? CLG_OK : CLG_ERROR_MEMORY);
        clg_sampler_destroy(s);
        clg_huffman_destroy(h);
        testing_nothing_live();
    }
}
END_TEST

/* ---- the tree ---- */

/* Shannon's textbook counts: the lengths are known, and the cost is the sum over inner nodes. */
START_TEST(frequent_words_have_short_codes)
{
    static const uint64_t counts[] = {5, 9, 12, 13, 16, 45};
    static const int lengths[] = {4, 4, 3, 3, 3, 1};
    clg_huffman *h = NULL;
    TEST_OK(clg_huffman_create(&h, counts, 6));
    ck_assert_int_eq(clg_huffman_length(h), 4);
    int32_t path[6][4];
    float code[6][4];
    double kraft = 0;
    for (int w = 0; w < 6; w++) {
        TEST_OK(clg_huffman_code(h, w, path[w], code[w]));
        ck_assert_int_eq(path[w][0], 4); /* the root */
        for (int l = 0; l < 4; l++) {
            ck_assert(path[w][l] >= 0 && path[w][l] < 5);
            ck_assert((code[w][l] == 0) == (l >= lengths[w]));
            ck_assert(l < lengths[w] ? fabsf(code[w][l]) == 1 : path[w][l] == 4);
            if (l > 0 && l < lengths[w]) ck_assert_int_lt(path[w][l], path[w][l - 1]);
        }
        kraft += pow(2, -lengths[w]);
        for (int v = 0; v < w; v++) ck_assert_mem_ne(code[w], code[v], sizeof code[w]);
    }
    ck_assert_double_eq(kraft, 1);
    TEST_FAILS(clg_huffman_code(h, 6, path[0], code[0]), CLG_ERROR_ARGUMENT, "no word 6 among 6");
    clg_huffman_destroy(h);
    clg_huffman_destroy(NULL);
}
END_TEST

/* e^-loss of all words together is 1, whatever the table. */
START_TEST(probabilities_of_all_words_add_up_to_one)
{
    enum { WORDS = 9, D = 4 };
    static const uint64_t counts[WORDS] = {1, 1, 2, 3, 5, 8, 13, 21, 34};
    clg_huffman *h = NULL;
    TEST_OK(clg_huffman_create(&h, counts, WORDS));
    int length = clg_huffman_length(h);
    int32_t *path = calloc((size_t)(WORDS * length), sizeof *path);
    float *code = calloc((size_t)(WORDS * length), sizeof *code);
    for (int w = 0; w < WORDS; w++)
        TEST_OK(clg_huffman_code(h, w, path + w * length, code + w * length));
    clg_context *ctx = engine_context("cpu");
    clg_graph *g = clg_graph_create(clg_graph_options(.seed = 2));
    clg_init normal = {.kind = CLG_INIT_NORMAL, .value = 1};
    clg_tensor *table = clg_variable(g, "table", CLG_SHAPE(WORDS - 1, D), normal, true);
    clg_tensor *x = clg_variable(g, "x", CLG_SHAPE(1, D), normal, true);
    clg_tensor *paths = clg_input(g, "path", CLG_I32, CLG_SHAPE(WORDS, length));
    clg_tensor *turns = clg_input(g, "code", CLG_F32, CLG_SHAPE(WORDS, length)), *sum = NULL;
    for (int w = 0; w < WORDS; w++) {
        clg_tensor *loss = clg_hierarchical_softmax_loss(x, table, clg_slice(paths, 0, w, 1),
                                                         clg_slice(turns, 0, w, 1), NULL);
        clg_tensor *probability = clg_exp(clg_neg(loss));
        sum = sum ? clg_add(sum, probability) : probability;
    }
    clg_program *p = NULL;
    TEST_OK(clg_program_compile(&p, ctx, g, clg_program_options(.outputs = &sum, .n_outputs = 1)));
    TEST_OK(clg_program_feed(p, paths, path, (size_t)(WORDS * length) * sizeof *path));
    TEST_OK(clg_program_feed(p, turns, code, (size_t)(WORDS * length) * sizeof *code));
    TEST_OK(clg_program_run(p));
    float got;
    TEST_OK(clg_program_read(p, sum, &got, sizeof got));
    ck_assert_float_eq_tol(got, 1, 1e-5f);
    clg_program_destroy(p);
    clg_graph_destroy(g);
    clg_context_destroy(ctx);
    clg_huffman_destroy(h);
    free(path);
    free(code);
}
END_TEST

START_TEST(frequent_words_are_thinned_out)
{
    ck_assert_double_eq_tol(clg_subsampling_probability(400, 1000, 1e-1), 0.5, 1e-12);
    ck_assert_double_eq(clg_subsampling_probability(3, 1000, 1e-1), 1);
    ck_assert_double_eq(clg_subsampling_probability(0, 1000, 1e-1), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("words");
    TCase *words = testing_case(suite, "words");
    tcase_add_test(words, numbers_are_drawn_as_often_as_their_weights_say);
    tcase_add_test(words, weights_that_make_no_sense_are_refused);
    tcase_add_test(words, a_failing_allocation_leaves_nothing_behind);
    tcase_add_test(words, frequent_words_have_short_codes);
    tcase_add_test(words, probabilities_of_all_words_add_up_to_one);
    tcase_add_test(words, frequent_words_are_thinned_out);
    return testing_run(suite);
}
