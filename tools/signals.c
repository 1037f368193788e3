/*
 * The handler only notes the signal. SA_RESETHAND restores the default action, so that whoever
 * presses Ctrl-C twice gets out even if a driver hangs. A closed terminal (SIGHUP) ends a run in
 * the same way, unless nohup had it ignored.
 */
#include "signals.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t received;

static void note_signal(int number)
{
    received = number;
}

void signals_catch(void)
{
    struct sigaction before,
        action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, NULL, &before);
    if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
}

int signal_received(void)
{
    return received;
}
