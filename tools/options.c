/*
 * getopt_long driven by the option tables of options.h. getopt's own messages are replaced: ours
 * name the subcommand and suggest the nearest option.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cltrain.h"

enum { MAX_OPTIONS = 32, HELP_OPTION = MAX_OPTIONS };

void options_help(const struct command *command)
{
    printf("Usage: cltrain %s [OPTION]...%s%s\n%s\n\n", command->name,
           *command->arguments ? " " : "", command->arguments, command->summary);
    if (*command->details) printf("%s\n\n", command->details);
    for (const struct option_row *row = command->options; row->name; row++) {
        char left[48];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument ? " " : "",
                 row->argument ? row->argument : "");
        printf("  %-22s %s\n", left, row->help);
    }
    printf("  %-22s %s\n", "--help", "show this and exit");
}

static int refuse_option(const struct command *command, const char *given)
{
    const char *names[MAX_OPTIONS + 1] = {"help"};
    size_t count = 1;
    for (const struct option_row *row = command->options; row->name; row++)
        names[count++] = row->name;
    char word[64];
    const char *start = given + strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(start, "="), start);
    const char *near = nearest_word(word, names, count);
    return report_error(BAD_USAGE,
                        "%s: unknown or ambiguous option '%s'%s%s%s\nTry 'cltrain %s --help'.",
                        command->name, given, near ? " (did you mean '--" : "", near ? near : "",
                        near ? "'?)" : "", command->name);
}

static bool has_only(const char *text, const char *characters)
{
    return *text && !text[strspn(text, characters)];
}

bool read_whole(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return !errno && has_only(text, "+-0123456789") && !*end;
}

bool read_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return has_only(text, "+-.0123456789eE") && !*end && isfinite(*out);
}

/* Such an option without a name is a slip: an unset variable in a script. */
static bool names_file(const struct option_row *row)
{
    static const char *const arguments[] = {"FILE", "DIR", "PATH"};
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        if (!strcmp(row->argument, arguments[i])) return true;
    return false;
}

static int store(const struct command *command, const struct option_row *row, const char *text,
                 void *values)
{
    void *slot = (char *)values + row->offset;
    if (row->kind == OPTION_FLAG) {
        *(bool *)slot = true;
    } else if (row->kind == OPTION_TEXT) {
        if (!*text && names_file(row))
            return report_error(BAD_USAGE, "%s: --%s takes the name of a %s, which '' is not",
                                command->name, row->name,
                                strcmp(row->argument, "DIR") ? "file" : "folder");
        *(const char **)slot = text;
    } else {
        int64_t number;
        if (!read_whole(text, &number) || number < 1)
            return report_error(BAD_USAGE, "%s: --%s takes a whole number of 1 or more, not '%s'",
                                command->name, row->name, text);
        *(int64_t *)slot = number;
    }
    return OPTIONS_OK;
}

int option_number(const char *command, const char *option, const char *text, double low,
                  double high, double *out)
{
    double number;
    if (!text) return DONE;
    if (!read_real(text, &number) || number < low || number > high)
        return report_error(BAD_USAGE, "%s: --%s takes a number in %g .. %g, not '%s'", command,
                            option, low, high, text);
    *out = number;
    return DONE;
}

static void fill_long_options(const struct command *command, struct option *table)
{
    int i = 0;
    for (const struct option_row *row = command->options; row->name; row++, i++)
        table[i] =
            (struct option){row->name, row->argument ? required_argument : no_argument, NULL, i};
    table[i++] = (struct option){"help", no_argument, NULL, HELP_OPTION};
    table[i] = (struct option){0};
}

static int check_positional(const struct command *command, int count, char **argv)
{
    if (command->max_arguments < 0 || count <= command->max_arguments) return OPTIONS_OK;
    return report_error(BAD_USAGE, "%s: unexpected argument '%s'\nTry 'cltrain %s --help'.",
                        command->name, argv[command->max_arguments], command->name);
}

int options_parse(const struct command *command, int argc, char **argv, void *values, int *first)
{
    struct option table[MAX_OPTIONS + 2];
    fill_long_options(command, table);
    opterr = 0;
    optind = 1;
    for (int choice; (choice = getopt_long(argc, argv, ":h", table, NULL)) != -1;) {
        if (choice == HELP_OPTION || choice == 'h') {
            options_help(command);
            return DONE;
        }
        if (choice == ':')
            return report_error(BAD_USAGE, "%s: option '%s' needs a value", command->name,
                                argv[optind - 1]);
        if (choice == '?') return refuse_option(command, argv[optind - 1]);
        int code = store(command, &command->options[choice], optarg, values);
        if (code != OPTIONS_OK) return code;
    }
    *first = optind;
    return check_positional(command, argc - optind, argv + optind);
}
