/* experiments/table.h - writes tables of tab-separated values, whole or not at all. */
#ifndef MB_EXPERIMENTS_TABLE_H
#define MB_EXPERIMENTS_TABLE_H

#include <stddef.h>

#include "balancer/status.h"

/**
 * A table being written: the first row is the header, and every row has as many cells. It grows
 * under a temporary name in the folder of `path` and gets its name when it is complete. The same
 * cells give the same bytes. Not for use by two threads at once.
 */
typedef struct mb_table mb_table;

/**
 * @param table Transferred: mb_table_finish() or mb_table_discard() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO naming the file; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_table_create(const char *path, mb_table **table);

/** The next cell: text without tabs or newlines, the formatted text of a header, a whole number,
    or a number to ten digits (NaN: "NaN"). What goes wrong in writing, mb_table_finish() tells. */
void mb_table_put_text(mb_table *table, const char *text);
void mb_table_put_format(mb_table *table, const char *format, ...) MB_PRINTF(2, 3);
void mb_table_put_count(mb_table *table, size_t count);
void mb_table_put_number(mb_table *table, double number);
void mb_table_end_row(mb_table *table);

/**
 * Gives the table its name, replacing an older one. Destroys the table in any case.
 * @return MB_OK; MB_ERR_IO naming the file, which then is as it was before.
 */
MB_NODISCARD mb_status mb_table_finish(mb_table *table);

/** Drops the table and its temporary file; NULL is fine. */
void mb_table_discard(mb_table *table);

#endif
