/*
 * Drawing by Graphviz, a program that may not be there.
 */
#ifndef CLTRAIN_GRAPHVIZ_H
#define CLTRAIN_GRAPHVIZ_H

/** Gives `dot_text` to `dot -Tsvg`, which draws to standard output. DONE, or an exit code. */
int graphviz_svg(const char *dot_text);

#endif
