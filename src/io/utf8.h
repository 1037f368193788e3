/*
 * Checking UTF-8: JSON and XML files with anything else in them are opened by nobody.
 */
#ifndef CLG_UTF8_INTERNAL_H
#define CLG_UTF8_INTERNAL_H

#include <stdbool.h>

/**
 * Length of the character that starts at the NUL-terminated `text`: 1 to 4 bytes; 0 if it is not
 * valid UTF-8 (overlong forms and surrogates are not) or the text ends.
 */
int clg__utf8_length(const char *text);
bool clg__is_utf8(const char *text);

#endif
