/*
 * Charts: the text chart character by character, SVG that an XML parser takes, data that cannot be
 * drawn, and numbers with a decimal point under a locale with a comma.
 */
#include <math.h>

#include "base/number.h"
#include "clgrad/data.h"
#include "scratch.h"

static const double falling[] = {4, 2, 1, 0.5, 0.25};
static const double other[] = {4.5, 3, NAN, 1.5, 1.25};

static clg_chart_params two_curves(void)
{
    static const clg_chart_series series[] = {{"train", NULL, falling, 5},
                                              {"validation", NULL, other, 5}};
    return (clg_chart_params){.title = "loss", .x_label = "epoch", .series = series, .count = 2};
}

static char *text_of(const clg_chart_params *params)
{
    char *text = NULL;
    TEST_OK(clg_chart_text(&text, params));
    ck_assert_ptr_nonnull(text);
    return text;
}

START_TEST(points_have_no_line)
{
    static const double y[] = {1, 3, NAN, 2};
    clg_chart_series series = {"dots", NULL, y, 4};
    char *svg = NULL;
    TEST_OK(clg_chart_svg(&svg, clg_chart_options(.series = &series, .count = 1, .points = 1)));
    const char *path = strstr(svg, "<path class=\"points s0 d0\" d=\"M");
    ck_assert_ptr_nonnull(path);
    size_t length = strcspn(path + 30, "\"");
    ck_assert_ptr_null(memchr(path + 30, 'L', length));
    ck_assert_ptr_null(strstr(svg, "<circle"));
    clg_free(svg);
}
END_TEST

START_TEST(the_text_chart_is_known)
{
    static const char expected[] = "          loss\n"
                                   "       4 ┤×\n"
                                   "         │⠈⠢⡀\n"
                                   "         │  ⠈⠢⢄  ×\n"
                                   "         │     ⠑⢄\n"
                                   "       2 ┤       ⠑⠢⢄⡀\n"
                                   "         │          ⠈⠑⠢⢄⡀       ×      ×\n"
                                   "         │              ⠈⠉⠒⠒⠤⢄⣀⡀\n"
                                   "       0 ┤                     ⠈⠉⠉⠉⠉⠒⠒⠒⠒\n"
                                   "         └──────────────────────────────\n"
                                   "          1                           5 epoch\n"
                                   "          ⠒⠒ train   × validation\n";
    clg_chart_params params = two_curves();
    params.width = 40;
    params.height = 8;
    char *text = text_of(&params);
    ck_assert_str_eq(text, expected);
    clg_free(text);
}
END_TEST

static char *svg_of(const clg_chart_params *params)
{
    size_t size;
    TEST_OK(clg_chart_write_svg(scratch_path("c.svg"), params));
    char *svg = scratch_read("c.svg", &size);
    ck_assert_ptr_nonnull(strstr(svg, "</svg>"));
    return svg;
}

START_TEST(an_svg_has_axes_curves_and_names)
{
    clg_chart_params params = two_curves();
    params.y_label = "cross entropy";
    char *svg = svg_of(&params);
    static const char *const parts[] = {">loss</text>",
                                        ">epoch</text>",
                                        ">train</text>",
                                        ">cross entropy</text>",
                                        ">validation</text>",
                                        ">4</text>",
                                        "class=\"line s0 d0\" d=\"M",
                                        "class=\"line s1 d0\" d=\"M"};
    for (size_t i = 0; i < CLG__COUNT(parts); i++) ck_assert_ptr_nonnull(strstr(svg, parts[i]));
    const char *path = strstr(svg, "class=\"line s1 d0\" d=\"");
    int pieces = 0;
    for (const char *p = path + 22; *p != '"'; p++) pieces += *p == 'M';
    ck_assert_int_eq(pieces, 2); /* NaN interrupts the line */
    free(svg);
}
END_TEST

START_TEST(a_page_gets_the_points_too)
{
    clg_chart_params params = two_curves();
    char *svg = NULL;
    TEST_OK(clg_chart_svg(&svg, &params));
    ck_assert_ptr_nonnull(strstr(svg, "data-plot=\"84 64 776 424\" data-x=\"1 5\""));
    ck_assert_ptr_nonnull(
        strstr(svg, "data-name=\"validation\" data-points=\"1,4.5 2,3 4,1.5 5,1.25 \""));
    clg_free(svg);
}
END_TEST

static const double decades[] = {3e-4, 0, 0.5, -1, 20};

START_TEST(a_logarithmic_axis_has_decades)
{
    clg_chart_series series = {"norm", NULL, decades, CLG__COUNT(decades)};
    clg_chart_params params = {.series = &series, .count = 1, .log_y = true};
    char *svg = svg_of(&params);
    static const char *const parts[] = {">0.0001</text>", ">0.001</text>", ">1</text>",
                                        ">100</text>", "points=\"1,0.0003 3,0.5 5,20 \""};
    for (size_t i = 0; i < CLG__COUNT(parts); i++) ck_assert_ptr_nonnull(strstr(svg, parts[i]));
    free(svg);
    series.count = 1; /* the axis of one value is the decade that it is in */
    svg = svg_of(&params);
    ck_assert_ptr_nonnull(strstr(svg, ">0.0001</text>"));
    ck_assert_ptr_nonnull(strstr(svg, ">0.001</text>"));
    free(svg);
}
END_TEST

START_TEST(many_names_take_several_rows)
{
    clg_chart_series series[20];
    for (size_t i = 0; i < CLG__COUNT(series); i++)
        series[i] = (clg_chart_series){"a rather long name", NULL, falling, 5};
    clg_chart_params params = {.series = series, .count = CLG__COUNT(series)};
    char *svg = svg_of(&params);
    ck_assert_ptr_nonnull(strstr(svg, "height=\"600\"")); /* seven rows, six more than usual */
    ck_assert_ptr_nonnull(strstr(svg, "class=\"line s0 d1\""));
    ck_assert_ptr_nonnull(strstr(svg, "class=\"line s5 d2\""));
    free(svg);
}
END_TEST

static const char broken_title[] = "a<b & \"c\" \x01\xff\xc3\xa9";

START_TEST(markup_and_broken_text_are_escaped)
{
    clg_chart_params params = two_curves();
    params.title = broken_title;
    char *svg = svg_of(&params);
    ck_assert_ptr_nonnull(strstr(svg, "a&lt;b &amp; &quot;c&quot; ??\xc3\xa9</text>"));
    free(svg);
}
END_TEST

static const struct {
    double values[4];
    size_t count;
} strange[] = {
    {{0}, 0},
    {{NAN, NAN}, 2},
    {{INFINITY, -INFINITY, 1}, 3},
    {{5}, 1},
    {{5, 5, 5}, 3},
    {{0, 0}, 2},
    {{1e300, -1e300}, 2},
    {{1e299, -1e299}, 2},
    {{1e-300, 2e-300}, 2},
    {{5e-324, 0}, 2},
    {{1e15, 1e15 + 1}, 2},
    {{-1, NAN, 1, -1e-17}, 4},
};

START_TEST(strange_data_is_drawn_without_harm)
{
    clg_chart_series series = {NULL, NULL, strange[_i].values, strange[_i].count};
    clg_chart_params params = {.series = &series, .count = 1};
    char *svg = svg_of(&params), *text = text_of(&params);
    params.log_y = true;
    char *logarithmic = svg_of(&params);
    ck_assert_ptr_null(strstr(logarithmic, "nan"));
    ck_assert_ptr_null(strstr(logarithmic, "\"inf"));
    free(logarithmic);
    ck_assert_ptr_null(strstr(svg, "nan"));
    ck_assert_ptr_null(strstr(svg, "\"inf"));
    ck_assert_ptr_null(strstr(text, "nan"));
    ck_assert(_i > 1 || (strstr(svg, "no data") && strstr(text, "no data")));
    free(svg);
    clg_free(text);
}
END_TEST

/* All charts of this suite, in one run of Python's XML parser. */
START_TEST(every_svg_is_xml)
{
    char name[32], command[1024];
    clg_chart_params params = two_curves();
    params.title = broken_title;
    TEST_OK(clg_chart_write_svg(scratch_path("curves.svg"), &params));
    for (size_t i = 0; i < CLG__COUNT(strange); i++) {
        clg_chart_series series = {NULL, NULL, strange[i].values, strange[i].count};
        snprintf(name, sizeof name, "%zu.svg", i);
        params = (clg_chart_params){.series = &series, .count = 1};
        params.log_y = i % 2;
        TEST_OK(clg_chart_write_svg(scratch_path(name), &params));
    }
    if (system("python3 -c '' 2>/dev/null") != 0) {
        TEST_SKIP("charts in an XML parser: no python3");
        return;
    }
    snprintf(command, sizeof command,
             "python3 -c 'import sys, xml.dom.minidom as x; [x.parse(f) for f in sys.argv[1:]]' "
             "'%s'/*.svg",
             scratch);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(bad_parameters_are_refused)
{
    char *text = NULL;
    clg_chart_params params = two_curves();
    clg_chart_series without = {"x", NULL, NULL, 3};
    TEST_FAILS(clg_chart_text(&text, NULL), CLG_ERROR_ARGUMENT, "no parameters");
    TEST_FAILS(clg_chart_text(NULL, &params), CLG_ERROR_ARGUMENT, "no result");
    TEST_FAILS(clg_chart_write_svg(NULL, &params), CLG_ERROR_ARGUMENT, "no path");
    params.width = 10;
    TEST_FAILS(clg_chart_text(&text, &params), CLG_ERROR_ARGUMENT, "10 x 16 characters");
    TEST_FAILS(clg_chart_write_svg(scratch_path("x"), &params), CLG_ERROR_ARGUMENT, "10 x 480");
    params = (clg_chart_params){.series = &without, .count = 1};
    TEST_FAILS(clg_chart_text(&text, &params), CLG_ERROR_ARGUMENT, "series 0 has no y");
    params = two_curves();
    TEST_FAILS(clg_chart_write_svg(scratch_path("no/such/place.svg"), &params), CLG_ERROR_IO,
               "place.svg");
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(drawing_survives_each_failure)
{
    clg_chart_params params = two_curves();
    clg__fault_kind kind = _i ? CLG__FAULT_FILE : CLG__FAULT_ALLOC;
    clg_status status = CLG_ERROR_IO;
    for (uint64_t nth = 1; status != CLG_OK; nth++) {
        char *text = NULL;
        clg__fault_set(kind, nth, false, 0);
        status = clg_chart_write_svg(scratch_path("x"), &params);
        clg__fault_set(kind, nth, false, 0);
        clg_status text_status = clg_chart_text(&text, &params);
        clg__fault_set(kind, 0, false, 0);
        ck_assert_int_eq(scratch_entries(""), status == CLG_OK);
        ck_assert(!text == (text_status != CLG_OK));
        clg_free(text);
        ck_assert_int_eq(clg__live_allocations(), 0);
    }
}
END_TEST

START_TEST(numbers_have_a_point_under_every_locale)
{
    char number[CLG__NUMBER_SIZE];
    clg_chart_params params = two_curves();
    char *svg = svg_of(&params), *text = text_of(&params);
    if (!scratch_comma_locale()) {
        TEST_SKIP("numbers under a locale with a decimal comma: none here, and none can be made");
    } else {
        snprintf(number, sizeof number, "%g", 0.5);
        ck_assert_str_eq(number, "0,5");
        ck_assert_str_eq(clg__number_text(number, -1234.5e-7, 17), "-0.00012344999999999999");
        ck_assert_str_eq(clg__number_text(number, 1e100, 6), "1e+100");
        ck_assert_str_eq(clg__number_text(number, NAN, 6), "nan");
        ck_assert_str_eq(clg__fixed(number, 2.25, 1), "2.2");
        ck_assert_str_eq(clg__fixed(number, 1e30, 2), "1e+30");
        char *comma_svg = svg_of(&params), *comma_text = text_of(&params);
        ck_assert_str_eq(comma_svg, svg);
        ck_assert_str_eq(comma_text, text);
        free(comma_svg);
        clg_free(comma_text);
    }
    setlocale(LC_ALL, "C");
    free(svg);
    clg_free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chart");
    TCase *charts = scratch_case(suite, "charts");
    tcase_add_test(charts, points_have_no_line);
    tcase_add_test(charts, the_text_chart_is_known);
    tcase_add_test(charts, an_svg_has_axes_curves_and_names);
    tcase_add_test(charts, a_page_gets_the_points_too);
    tcase_add_test(charts, a_logarithmic_axis_has_decades);
    tcase_add_test(charts, many_names_take_several_rows);
    tcase_add_test(charts, markup_and_broken_text_are_escaped);
    tcase_add_loop_test(charts, strange_data_is_drawn_without_harm, 0, (int)CLG__COUNT(strange));
    tcase_add_test(charts, every_svg_is_xml);
    tcase_add_test(charts, bad_parameters_are_refused);
    tcase_add_loop_test(charts, drawing_survives_each_failure, 0, 2);
    tcase_add_test(charts, numbers_have_a_point_under_every_locale);
    return testing_run(suite);
}
