/*
 * Rows of a table by index: y[i] = x[index[i]]. An index outside the table gives OUTSIDE.
 *
 * A row of the table is `pieces` runs of `columns` elements, the last axis of the result, so that
 * result row r is piece r % pieces of table row index[r / pieces]. Global ids: (share of columns,
 * share of rows).
 */
#include "entry.h"
#include "load_four.h"
#include "row_index.h"

#ifndef VEC
#define VEC 16 // elements copied at once: 4 or 16
#endif
#ifndef OUTSIDE
#define OUTSIDE NAN // what an index outside the table reads: NAN, or 0.0f
#endif

#ifndef EPILOGUE_PARAMS
#define EPILOGUE_PARAMS , __global float *y, ulong y_offset, ulong y_columns
#define STORE_1(v, row, col) y[y_offset + (row)*y_columns + (col)] = (v)
#define STORE_4(v, row, col) vstore4((v), 0, y + y_offset + (row)*y_columns + (col))
#define STORE_16(v, row, col) vstore16((v), 0, y + y_offset + (row)*y_columns + (col))
#endif

#if VEC == 16
#define FLOATV float16
#define LOADV(p) vload16(0, p)
#define STOREV STORE_16
#else
#define FLOATV float4
#define LOADV(p) load_four(p)
#define STOREV STORE_4
#endif

ENTRY void gather(WHERE_PARAMS __global const float *x, ulong x_offset,
                  __global const INDEX_T *index, ulong index_offset, ulong table_rows, ulong pieces,
                  ulong columns, ulong rows, ulong columns_per_item,
                  ulong rows_per_item EPILOGUE_PARAMS)
{
    const ulong c0 = WHERE_X * columns_per_item, c1 = min(c0 + columns_per_item, columns);
    const ulong r0 = WHERE_Y * rows_per_item, r1 = min(r0 + rows_per_item, rows);
    for (ulong row = r0; row < r1; ++row) {
        const long at = row_number(index[index_offset + row / pieces], table_rows);
        // Row 0 stands in for a row that is not there; what is read of it is not used.
        const ulong from = ((ulong)max(at, 0L) * pieces + row % pieces) * columns;
        __global const float *source = x + x_offset + from;
        ulong c = c0;
        for (; c + VEC <= c1; c += VEC) {
            const FLOATV value = at < 0 ? (FLOATV)(OUTSIDE) : LOADV(source + c);
            STOREV(value, row, c);
        }
        for (; c < c1; ++c) {
            const float value = at < 0 ? OUTSIDE : source[c];
            STORE_1(value, row, c);
        }
    }
}
