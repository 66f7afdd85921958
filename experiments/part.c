/* experiments/part.c */
#include "experiments/part.h"

#include <stdbool.h>
#include <stdlib.h>

static bool is_done(const mb_parts *parts, size_t cell) {
  return mb_parts_is_finished(parts, cell) || mb_parts_is_failed(parts, cell);
}

/* @param unwritable whether a failure is none of the config's. */
static mb_status run_cell(const mb_config *config, const char *path, mb_cell_watch watch,
                          void *watcher, bool *unwritable) {
  mb_cell cell = {.config = NULL};

  mb_status status = mb_cell_prepare(config, path, NULL, &cell);
  if (status == MB_OK) {
    status = mb_cell_run(&cell, watch, watcher);
  }
  *unwritable = cell.unwritable;
  mb_cell_fini(&cell);
  return status;
}

static mb_status make(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                      mb_cell_watch watch, void *watcher) {
  const mb_config *config = sweep->cell[cell].config;
  bool unwritable = false;
  char *path = mb_parts_path(parts, config->name, ".h5");

  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->name);
  }
  mb_status status = run_cell(config, path, watch, watcher, &unwritable);
  free(path);
  if (status == MB_OK || status == MB_ERR_CANCELLED || unwritable) {
    return status;
  }
  return mb_parts_put_error(parts, cell, mb_error_message());
}

mb_status mb_part_make(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                       mb_cell_watch watch, void *watcher) {
  bool claimed = false;

  if (is_done(parts, cell)) {
    return MB_OK;
  }
  MB_TRY(mb_parts_claim(parts, cell, &claimed));
  if (!claimed) {
    return MB_OK;
  }
  /* Once more, now that nobody else can finish it. */
  mb_status status = MB_OK;
  if (!is_done(parts, cell)) {
    status = make(sweep, parts, cell, watch, watcher);
  }
  mb_parts_release(parts, cell);
  return status;
}
