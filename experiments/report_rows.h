/* experiments/report_rows.h - a figure's table as JSON, for the page's script. */
#ifndef MB_EXPERIMENTS_REPORT_ROWS_H
#define MB_EXPERIMENTS_REPORT_ROWS_H

#include <stdio.h>

#include "balancer/status.h"

/**
 * Writes {"size": ..., "plot": ..., "x": ..., "y": ..., "readout": ..., "series": [[name, colour]],
 * "columns": [...], "rows": [[...]]}, numbers to five digits.
 * @param table the figure's. @param axes what plots/readout.gp has written, which says what the
 *              others are.
 * @return MB_OK; MB_ERR_IO naming the file; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_report_rows_put(const char *table, const char *axes, FILE *page);

#endif
