/*
 * Classes are written as "cat, dog" or "0, 1, 2": by their names where the data has some, else by
 * their numbers. The network sees them numbered from 0 in that order.
 */
#include "selection.h"

#include <stdlib.h>
#include <string.h>

#include "cltrain.h"

enum { MAX_SELECTED = 1024, MAX_CLASS_NAME = 256 };

/* Number of a class of this name or number; -1. */
static int class_of(const clg_dataset *dataset, const char *word)
{
    const char *name;
    int64_t number;
    for (int i = 0; (name = clg_dataset_class_name(dataset, i)); i++)
        if (!strcmp(name, word)) return i;
    bool whole = key_parse(KEY_WHOLE, word, &number);
    return whole && number >= 0 && number <= INT32_MAX ? (int)number : -1;
}

/* Takes the next word of *list, without the blanks around it. */
static bool next_word(const char **list, char word[MAX_CLASS_NAME])
{
    const char *start = *list + strspn(*list, " "), *end = start + strcspn(start, ",");
    *list = *end ? end + 1 : end;
    while (end > start && end[-1] == ' ') end--;
    if (end - start >= MAX_CLASS_NAME) return false;
    snprintf(word, MAX_CLASS_NAME, "%.*s", (int)(end - start), start);
    return true;
}

/* Number of classes in the list, whose numbers go to `classes`; 0 after a message. */
static int read_list(const clg_dataset *dataset, const char *list, int classes[MAX_SELECTED])
{
    const char *source = clg_dataset_describe(dataset)->source;
    int count = 0;
    while (*list) {
        char word[MAX_CLASS_NAME] = "";
        int number = next_word(&list, word) ? class_of(dataset, word) : -1;
        if (number < 0 || count == MAX_SELECTED) {
            report_error(BAD_INPUT, "data: classes: %s has no class '%s'", source, word);
            return 0;
        }
        classes[count++] = number;
    }
    if (!count) report_error(BAD_INPUT, "data: classes: the list is empty");
    return count;
}

int selection_apply(clg_dataset **dataset, const struct model_file *file, bool training)
{
    const struct settings *settings = &file->content->training;
    const struct model_spec *model = &file->content->model;
    int64_t per_class = training ? *settings->per_class : 0;
    int classes[MAX_SELECTED], count = 0;
    clg_dataset *part = NULL;
    if (!settings->classes && !per_class) return DONE;
    if (settings->classes) {
        count = read_list(*dataset, settings->classes, classes);
        if (!count) return BAD_INPUT;
        if (model->classes && *model->classes != count)
            return report_error(BAD_INPUT, "data: classes: %d are chosen, but model '%s' has %lld",
                                count, model->name, (long long)*model->classes);
    }
    clg_status status = clg_dataset_select(&part, *dataset, classes, count, per_class);
    if (status != CLG_OK) return report_status(status, NULL);
    clg_dataset_destroy(*dataset); /* the part keeps the memory they share */
    *dataset = part;
    return DONE;
}
