/*
 * Numbers as text with a decimal point, whatever LC_NUMERIC the program has set: printf writes
 * "0,5" under a German locale, which neither SVG nor JSON nor YAML reads.
 */
#ifndef CLG_NUMBER_INTERNAL_H
#define CLG_NUMBER_INTERNAL_H

#include <stddef.h>

enum { CLG__NUMBER_SIZE = 64 }; /* bytes that hold any result of these functions */

/** %.<digits>g: as short as `digits` significant digits allow (1 .. 17). Returns `text`. */
char *clg__number_text(char text[CLG__NUMBER_SIZE], double value, int digits);

/** %.<decimals>f for values below 1e30 in size, %g beyond. Returns `text`. */
char *clg__fixed(char text[CLG__NUMBER_SIZE], double value, int decimals);

#endif
