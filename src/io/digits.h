/*
 * The built-in images: 28 x 28 handwriting-like digits, drawn by the library itself, so that
 * everything can be tried without a download.
 */
#ifndef CLG_DIGITS_INTERNAL_H
#define CLG_DIGITS_INTERNAL_H

#include <stdint.h>

enum { CLG__DIGIT_SIDE = 28, CLG__DIGIT_PIXELS = 28 * 28 };

/**
 * Draws image `index` of the stream `key` into `pixels` (28 rows of 28, 0 dark .. 255 bright) and
 * returns the digit shown, 0 .. 9. A pure function: integer arithmetic throughout, so that each
 * machine and compiler gives the same bytes.
 */
int clg__digit_draw(uint64_t key, uint32_t index, uint8_t pixels[CLG__DIGIT_PIXELS]);

#endif
