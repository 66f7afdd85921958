/* experiments/shared_loads.c
 *
 * The file is named after the first cell with these loads, whoever writes it. Cells are handed out
 * in their order, so when the last of them is done, hardly any is left that still wants the file;
 * one that does makes it anew.
 */
#include "experiments/shared_loads.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "experiments/config.h"
#include "experiments/interrupt.h"
#include "workloads/packed.h"

enum { PAUSE_MS = 20, SHARE_OF_DISK = 4 };

/* --- which cells --- */

static bool are_alike(const mb_sweep *sweep, size_t a, size_t b) {
  return mb_config_have_same_loads(sweep->cell[a].config, sweep->cell[b].config);
}

static size_t find_first(const mb_sweep *sweep, size_t cell) {
  size_t first = 0;

  while (first < cell && !are_alike(sweep, first, cell)) {
    first++;
  }
  return first;
}

/* The next cell with these loads; n_cells: there is none. */
static size_t find_next(const mb_sweep *sweep, size_t cell) {
  size_t next = cell + 1;

  while (next < sweep->n_cells && !are_alike(sweep, next, cell)) {
    next++;
  }
  return next;
}

/* Whether a later cell has these loads and needs them still. */
static bool are_wanted(const mb_sweep *sweep, const mb_parts *parts, size_t cell) {
  size_t next = find_next(sweep, cell);

  while (next < sweep->n_cells && mb_parts_is_finished(parts, next)) {
    next = find_next(sweep, next);
  }
  return next < sweep->n_cells;
}

/* The file has no loads by source: a cell that may want those reads for itself. */
static bool may_want_sources(const mb_config *config) {
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_lane_options *options = config->strategies[i].options;
    if (config->trace_file != NULL && mb_dispatch_uses_sources(&options->dispatch)) {
      return true;
    }
  }
  return false;
}

static char *loads_path(const mb_sweep *sweep, const mb_parts *parts, size_t first) {
  return mb_parts_path(parts, sweep->cell[first].config->name, ".loads");
}

/* --- the file --- */

static bool exists(const char *path) {
  return access(path, F_OK) == 0;
}

/* Nobody should find a disk full of what could have been read again. */
static bool has_room(const char *folder, const mb_trace_info *info) {
  struct statvfs disk;

  return statvfs(folder, &disk) == 0 &&
         mb_packed_bytes_likely(info) <= (uint64_t)disk.f_bavail * disk.f_frsize / SHARE_OF_DISK;
}

/* What is wrong with the loads, the cell will see for itself. */
static mb_status write_loads(const mb_config *config, const mb_parts *parts, const char *path) {
  mb_source *source = NULL;
  char *folder = mb_parts_path(parts, "", "");

  mb_status status = mb_config_open_recorded(config, &source);
  if (status == MB_OK && folder != NULL && has_room(folder, mb_source_get_info(source))) {
    status = mb_packed_write(source, path, mb_interrupt_check);
  }
  mb_source_destroy(source);
  free(folder);
  return status == MB_ERR_CANCELLED ? status : MB_OK;
}

/* On MB_OK the file is there, or there is none to be had. */
static mb_status get_ready(const mb_config *config, const mb_parts *parts, size_t first,
                           const char *path) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  bool claimed = false;

  while (!exists(path) && !claimed) {
    MB_TRY(mb_interrupt_check());
    MB_TRY(mb_parts_claim_loads(parts, first, &claimed));
    if (!claimed) {
      (void)nanosleep(&pause, NULL);
    }
  }
  mb_status status = MB_OK;
  if (claimed) {
    status = exists(path) ? MB_OK : write_loads(config, parts, path);
    mb_parts_release_loads(parts, first);
  }
  return status;
}

mb_status mb_shared_loads_make(const mb_sweep *sweep, const mb_parts *parts, size_t cell) {
  const mb_config *config = sweep->cell[cell].config;

  if (!are_wanted(sweep, parts, cell) || may_want_sources(config)) {
    return MB_OK;
  }
  size_t first = find_first(sweep, cell);
  char *path = loads_path(sweep, parts, first);
  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->name);
  }
  mb_status status = get_ready(config, parts, first, path);
  free(path);
  return status;
}

mb_status mb_shared_loads_open(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                               mb_source **source) {
  const mb_config *config = sweep->cell[cell].config;
  mb_source *packed = NULL;

  *source = NULL;
  if (may_want_sources(config)) {
    return MB_OK;
  }
  char *path = loads_path(sweep, parts, find_first(sweep, cell));
  if (path == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->name);
  }
  mb_status status = exists(path) ? mb_source_open_packed(path, &packed) : MB_OK;
  if (status == MB_ERR_IO) {
    status = MB_OK; /* it has just gone, with the last cell */
  }
  free(path);
  return packed != NULL ? mb_config_merge_steps(config, packed, source) : status;
}

void mb_shared_loads_leave(const mb_sweep *sweep, const mb_parts *parts, size_t cell) {
  if (are_wanted(sweep, parts, cell)) {
    return;
  }
  char *path = loads_path(sweep, parts, find_first(sweep, cell));
  if (path != NULL) {
    (void)unlink(path);
  }
  free(path);
}
