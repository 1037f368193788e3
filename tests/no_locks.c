/*
 * A file system without locks, as some that are mounted over a network: loaded in front of the C
 * library by tests of cltrain.
 */
#include <errno.h>
#include <sys/file.h>

int flock(int file, int operation)
{
    (void)file, (void)operation;
    errno = ENOLCK;
    return -1;
}
