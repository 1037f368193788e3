/*
 * The tables of model_file.h as arrays, one for the settings and one for the options of layers.
 */
#include <string.h>

#include "model_file.h"

#define TEXT_ROW(section, name, value, of)                                                         \
    {#name, KEY_TEXT, offsetof(struct settings, name), value, 0, 0, 0, of, section},
#define FLAG_ROW(section, name, value, of)                                                         \
    {#name, KEY_FLAG, offsetof(struct settings, name), NULL, value, 0, 1, of, section},
#define WHOLE_ROW(section, name, value, low, high, of)                                             \
    {#name, KEY_WHOLE, offsetof(struct settings, name), NULL, value, low, (double)(high),          \
     of,    section},
#define REAL_ROW(section, name, value, low, high, of)                                              \
    {#name, KEY_REAL, offsetof(struct settings, name), NULL, value, low, high, of, section},
#define SETTING_TEXT(...) TEXT_ROW("training", __VA_ARGS__)
#define SETTING_FLAG(...) FLAG_ROW("training", __VA_ARGS__)
#define SETTING_WHOLE(...) WHOLE_ROW("training", __VA_ARGS__)
#define SETTING_REAL(...) REAL_ROW("training", __VA_ARGS__)
#define DATA_TEXT(...) TEXT_ROW("data", __VA_ARGS__)
#define DATA_FLAG(...) FLAG_ROW("data", __VA_ARGS__)
#define DATA_WHOLE(...) WHOLE_ROW("data", __VA_ARGS__)
#define DATA_REAL(...) REAL_ROW("data", __VA_ARGS__)
const struct key_row setting_rows[] = {
    SETTING_ROWS(SETTING_TEXT, SETTING_WHOLE, SETTING_REAL, SETTING_FLAG)
        DATA_ROWS(DATA_TEXT, DATA_WHOLE, DATA_REAL, DATA_FLAG)};
const size_t n_settings = sizeof setting_rows / sizeof *setting_rows;

#define OPTION_ROW(name, type)                                                                     \
    {#name, type, offsetof(struct layer_spec, name), NULL, 0, 0, 0, "", ""},
#define LAYER_TEXT(name) OPTION_ROW(name, KEY_TEXT)
#define LAYER_WHOLE(name) OPTION_ROW(name, KEY_WHOLE)
#define LAYER_REAL(name) OPTION_ROW(name, KEY_REAL)
#define LAYER_FLAG(name) OPTION_ROW(name, KEY_FLAG)
const struct key_row layer_option_rows[] = {
    LAYER_OPTION_ROWS(LAYER_TEXT, LAYER_WHOLE, LAYER_REAL, LAYER_FLAG)};
const size_t n_layer_options = sizeof layer_option_rows / sizeof *layer_option_rows;

bool word_in(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' ')) return true;
    return false;
}
