/*
 * Pieces of a vector that lie one behind the other (the tensors of an optimizer's group): sums over
 * each piece, and one number per piece repeated over it.
 *
 * Pieces differ a lot in length, so they are cut into chunks of at most CHUNK elements, none of which
 * belongs to two pieces, and a work-group takes a chunk. A row of the table describes a piece: its
 * first element as high and low part (floats hold 24 bits), and its first chunk; a last row ends the
 * last piece.
 */
#ifndef GROUP
#define GROUP 64 // work-items of a work-group: 1 (then with vectors), or a power of two
#endif
#ifndef CHUNK
#define CHUNK 4096 // elements
#endif
#ifndef SQUARED
#define SQUARED 0 // 1: sums of squares
#endif
#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row) * y_columns + (col)] = (v)
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row) * y_columns + (col))
#endif

#if SQUARED
#define TERM(x) ((x) * (x))
#else
#define TERM(x) (x)
#endif

inline ulong first_element(__global const float *table, ulong piece)
{
    return ((ulong)table[3 * piece] << 16) + (ulong)table[3 * piece + 1];
}

inline ulong first_chunk(__global const float *table, ulong piece)
{
    return (ulong)table[3 * piece + 2];
}

/* The piece that a chunk belongs to, by bisection; *begin and *end become the chunk's elements. */
inline ulong find_piece(__global const float *table, ulong pieces, ulong chunk, ulong *begin, ulong *end)
{
    ulong low = 0, high = pieces;
    while (high - low > 1) {
        const ulong middle = (low + high) / 2;
        if (first_chunk(table, middle) <= chunk)
            low = middle;
        else
            high = middle;
    }
    *begin = first_element(table, low) + (chunk - first_chunk(table, low)) * CHUNK;
    *end = min(*begin + CHUNK, first_element(table, low + 1));
    return low;
}

/* Adds up what the items of a work-group have, in a fixed order; the result is item 0's. */
inline float add_group(float sum, __local float *sums)
{
#if GROUP > 1
    const uint item = get_local_id(0);
    sums[item] = sum;
    for (uint half_ = GROUP / 2; half_; half_ /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_) sums[item] += sums[item + half_];
    }
    sum = sums[0];
#endif
    return sum;
}

/* parts[chunk] = sum of the chunk. */
__attribute__((reqd_work_group_size(GROUP, 1, 1))) __kernel void
segment_parts(__global const float *x, ulong x_offset, __global const float *table,
              ulong table_offset, __global float *parts, ulong parts_offset, ulong pieces)
{
    __local float sums[GROUP];
    const ulong chunk = get_group_id(0);
    ulong begin, end;
    find_piece(table + table_offset, pieces, chunk, &begin, &end);
    float sum = 0.0f;
    ulong i = begin + get_local_id(0);
#if GROUP == 1
    float16 wide = 0.0f;
    for (; i + 16 <= end; i += 16) {
        const float16 v = vload16(0, x + x_offset + i);
        wide += TERM(v);
    }
    const float8 eight = wide.lo + wide.hi;
    const float4 four = eight.lo + eight.hi;
    sum = (four.x + four.y) + (four.z + four.w);
#endif
    for (; i < end; i += GROUP) {
        const float v = x[x_offset + i];
        sum += TERM(v);
    }
    sum = add_group(sum, sums);
    if (get_local_id(0) == 0) parts[parts_offset + chunk] = sum;
}

/* The chunks of a piece together: result `piece` of the operation. */
__attribute__((reqd_work_group_size(GROUP, 1, 1))) __kernel void
segment_sum(__global const float *parts, ulong parts_offset, __global const float *table,
            ulong table_offset EPILOGUE_PARAMS)
{
    __local float sums[GROUP];
    const ulong piece = get_group_id(0);
    const ulong end = first_chunk(table + table_offset, piece + 1);
    float sum = 0.0f;
    for (ulong i = first_chunk(table + table_offset, piece) + get_local_id(0); i < end; i += GROUP)
        sum += parts[parts_offset + i];
    sum = add_group(sum, sums);
    if (get_local_id(0) == 0) STORE_1(sum, 0, piece);
}

/* Every element of a piece gets the piece's number. */
__attribute__((reqd_work_group_size(GROUP, 1, 1))) __kernel void
segment_repeat(__global const float *x, ulong x_offset, __global const float *table,
               ulong table_offset, ulong pieces EPILOGUE_PARAMS)
{
    ulong begin, end;
    const ulong piece = find_piece(table + table_offset, pieces, get_group_id(0), &begin, &end);
    const float value = x[x_offset + piece];
    ulong i = begin + get_local_id(0);
#if GROUP == 1
    for (; i + 16 <= end; i += 16) STORE_16((float16)(value), 0, i);
#endif
    for (; i < end; i += GROUP) STORE_1(value, 0, i);
}
