/*
 * UTF-8 checking by the definition: length from the first byte, continuation bytes, and a code
 * point in the range that needs this length.
 */
#include "io/utf8.h"

int clg__utf8_length(const char *text)
{
    static const unsigned lowest[] = {0, 1, 0x80, 0x800, 0x10000}; /* per length */
    const unsigned char *p = (const unsigned char *)text;
    int length = 0;
    if (p[0] < 0x80) return p[0] != 0;
    if (p[0] >> 5 == 0x06) length = 2;
    if (p[0] >> 4 == 0x0e) length = 3;
    if (p[0] >> 3 == 0x1e) length = 4;
    if (length == 0) return 0;
    unsigned code = p[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0; /* also at the final NUL */
        code = code << 6 | (p[i] & 0x3f);
    }
    bool valid = code >= lowest[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return valid ? length : 0;
}

bool clg__is_utf8(const char *text)
{
    while (*text) {
        int length = clg__utf8_length(text);
        if (length == 0) return false;
        text += length;
    }
    return true;
}
