/* experiments/part.c */
#include "experiments/part.h"

#include <stdbool.h>
#include <stdlib.h>

#include "experiments/shared_loads.h"

/* Loads are not made ready for others before this cell's config is seen to fit them. */
static mb_status prepare(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                         const char *path, mb_cell *run) {
  mb_source *shared = NULL;

  MB_TRY(mb_shared_loads_open(sweep, parts, cell, &shared));
  MB_TRY(mb_cell_prepare(sweep->cell[cell].config, path, shared, run));
  if (shared != NULL) {
    return MB_OK;
  }
  MB_TRY(mb_shared_loads_make(sweep, parts, cell));
  MB_TRY(mb_shared_loads_open(sweep, parts, cell, &shared));
  if (shared != NULL) {
    mb_cell_set_source(run, shared);
  }
  return MB_OK;
}

static mb_status make(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                      mb_cell_watch watch, void *watcher) {
  mb_cell run = {.config = NULL};
  char *path = mb_parts_path(parts, sweep->cell[cell].config->name, ".h5");

  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", sweep->cell[cell].config->name);
  }
  mb_status status = prepare(sweep, parts, cell, path, &run);
  if (status == MB_OK) {
    status = mb_cell_run(&run, watch, watcher);
  }
  bool is_cells = status != MB_ERR_CANCELLED && !run.unwritable;
  mb_cell_fini(&run);
  free(path);
  return status == MB_OK || !is_cells ? status
                                      : mb_parts_put_error(parts, cell, mb_error_message());
}

mb_status mb_part_make(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                       mb_cell_watch watch, void *watcher) {
  bool claimed = false;

  if (mb_parts_is_done(parts, cell)) {
    return MB_OK;
  }
  MB_TRY(mb_parts_claim(parts, cell, &claimed));
  if (!claimed) {
    return MB_OK;
  }
  /* Once more, now that nobody else can finish it. */
  mb_status status = MB_OK;
  if (!mb_parts_is_done(parts, cell)) {
    status = make(sweep, parts, cell, watch, watcher);
    mb_shared_loads_leave(sweep, parts, cell);
  }
  mb_parts_release(parts, cell);
  return status;
}
