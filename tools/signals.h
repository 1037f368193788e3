/*
 * Ctrl-C, SIGTERM and SIGHUP ask a run to stop at the next step; a second one ends the process at
 * once.
 */
#ifndef CLTRAIN_SIGNALS_H
#define CLTRAIN_SIGNALS_H

void signals_catch(void);
/** Number of the signal that arrived since signals_catch, 0 for none. */
int signal_received(void);

#endif
