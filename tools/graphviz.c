/*
 * Runs `dot` with the graph on its standard input. It reads all of it before it draws, so that one
 * pipe is enough.
 */
#include "graphviz.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cltrain.h"

extern char **environ;

static int start(pid_t *child, int input)
{
    static char *const arguments[] = {"dot", "-Tsvg", NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (!error) error = posix_spawnp(child, "dot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t done = write(fd, text, left);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        text += done;
        left -= (size_t)done;
    }
    return true;
}

static int wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return report_error(FAILED, "dot: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return DONE;
    return report_error(FAILED, "dot, which draws the graph, failed");
}

int graphviz_svg(const char *dot_text)
{
    int ends[2];
    pid_t child;
    fflush(stdout);
    if (pipe(ends)) return report_error(FAILED, "pipe: %s", strerror(errno));
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    int error = start(&child, ends[0]);
    close(ends[0]);
    bool written = !error && write_all(ends[1], dot_text);
    close(ends[1]);
    if (error == ENOENT)
        return report_error(FAILED, "--svg needs the program 'dot', which is not here: install "
                                    "Graphviz, or draw the output of --dot elsewhere");
    if (error) return report_error(FAILED, "dot: %s", strerror(error));
    int code = wait_for(child);
    return code == DONE && !written ? report_error(FAILED, "dot did not take the graph") : code;
}
