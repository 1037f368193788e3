/*
 * The handler only notes the signal. SA_RESETHAND restores the default action, so that whoever
 * presses Ctrl-C twice gets out even if a driver hangs.
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
    struct sigaction action = {.sa_handler = note_signal,
                               .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int signal_received(void)
{
    return received;
}
