/*
 * cltrain: train and run neural networks on any OpenCL device from the command line.
 *
 * main only prepares the process and dispatches to the subcommands of COMMANDS (cltrain.h), one
 * file each. The numeric locale stays "C", so that numbers read and print the same everywhere; only
 * the character type follows the user, for the Unicode curve.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cltrain.h"
#include "options.h"

#define COMMAND_ROW(name) &command_##name,
static const struct command *const commands[] = {COMMANDS(COMMAND_ROW)};
#undef COMMAND_ROW
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *to)
{
    fputs("Usage: cltrain COMMAND [OPTION]... [ARGUMENT]...\n"
          "Trains and runs neural networks on any OpenCL device.\n\n",
          to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n'cltrain COMMAND --help' describes one command; 'cltrain --version' prints the "
          "version.\n"
          "'cltrain train' alone trains a small network on built-in digits.\n"
          "Exit codes: 0 done, 1 other failure, 2 usage, 3 bad input, model or data file,\n"
          "4 no usable device, 5 out of memory, 6 diverged, 128+n ended by signal n.\n",
          to);
}

/*
 * A file opened while descriptor 0, 1 or 2 is closed would take its place and swallow output meant
 * for it. For 1 the stand-in is read-only: lost results must stay an error.
 */
static void occupy_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);
}

static int unknown_command(const char *word)
{
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++) names[i] = commands[i]->name;
    return report_error(BAD_USAGE, "unknown command '%s'%s\nTry 'cltrain --help'.", word,
                        suggestion(word, names, N_COMMANDS));
}

static int run_command(const struct command *command, int argc, char **argv)
{
    void *values = calloc(1, command->values_size);
    if (!values) return report_error(NO_MEMORY, "out of memory");
    int first = 0, code = options_parse(command, argc, argv, values, &first);
    if (code == OPTIONS_OK) code = command->run(values, argc - first, argv + first);
    free(values);
    return code;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) return print_help(stderr), BAD_USAGE;
    if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
        return print_help(stdout), DONE;
    if (!strcmp(argv[1], "--version")) return printf("cltrain %s\n", clg_version()), DONE;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name))
            return run_command(commands[i], argc - 1, argv + 1);
    return unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    occupy_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a reader that left is a write error, not a reason to die */
    signal(SIGXFSZ, SIG_IGN); /* and so is a limit on the size of files */
    setlocale(LC_CTYPE, "");
    report_library_warnings();
    int code = dispatch(argc, argv), written = finish_stdout();
    return code ? code : written;
}
