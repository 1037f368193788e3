/*
 * Locale-independent number formatting. The locale's decimal separator is found by elimination -
 * every byte that cannot be part of a number in the C locale belongs to it - because localeconv()
 * is not safe when another thread calls setlocale().
 */
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static char *use_point(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (strchr("+-0123456789einfa", *from))
            *to++ = *from;
        else if (to == text || to[-1] != '.') /* separators may have several bytes */
            *to++ = '.';
    }
    *to = '\0';
    return text;
}

char *clg__number_text(char text[CLG__NUMBER_SIZE], double value, int digits)
{
    snprintf(text, CLG__NUMBER_SIZE, "%.*g", digits, value);
    return use_point(text);
}

char *clg__fixed(char text[CLG__NUMBER_SIZE], double value, int decimals)
{
    if (!(fabs(value) < 1e30)) return clg__number_text(text, value, 6);
    snprintf(text, CLG__NUMBER_SIZE, "%.*f", decimals, value);
    return use_point(text);
}
