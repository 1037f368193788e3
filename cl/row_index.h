// Reading a row number, given as int, uchar or float (holding an integer).

#ifndef INDEX_T
#define INDEX_T int // type of the given indices: int, uchar, float
#endif
#ifndef INDEX_IS_FLOAT
#define INDEX_IS_FLOAT 0 // 1 where INDEX_T is float
#endif

/* The row number, or -1 for what is outside 0 .. rows - 1. NaN fails the first comparison, and only
 * what fits is converted. */
inline long row_number(INDEX_T given, ulong rows)
{
#if INDEX_IS_FLOAT
    const bool fits = given >= 0.0f && given < 0x1p31f;
#else
    const bool fits = given >= 0;
#endif
    return fits && (ulong)given < rows ? (long)given : -1;
}
