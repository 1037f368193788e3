/*
 * Finding embedded kernel sources. The table is generated from cl/ (cl/embed.py) and short enough
 * to walk.
 */
#include "kernels/kernels.h"

const clg__embedded_source *clg__kernel_file(const char *stem)
{
    for (const clg__embedded_source *s = clg__embedded_sources; s->stem; s++)
        if (strcmp(s->stem, stem) == 0) return s;
    return NULL;
}
