/* experiments/sweep_axes.h - what a config's `sweep` says: lists of values to be crossed. */
#ifndef MB_EXPERIMENTS_SWEEP_AXES_H
#define MB_EXPERIMENTS_SWEEP_AXES_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/yaml.h"

/** A swept key with its values, ranges written out. */
typedef struct mb_sweep_key {
  const char *key;     /* with dots; borrowed from the tree */
  const mb_yaml *node; /* where it stands; borrowed */
  size_t axis;         /* keys of one axis go together */
  size_t n_values;     /* the same for all keys of an axis */
  mb_yaml **value;     /* [n_values] */
  char **text;         /* [n_values] each in YAML's flow style */
} mb_sweep_key;

/** The axes in their order, the first changes slowest. No keys: one cell. */
typedef struct mb_sweep_axes {
  size_t n_keys, n_axes;
  mb_sweep_key *key; /* [n_keys], those of an axis side by side */
  size_t n_cells;    /* at most MB_SWEEP_CELLS_MAX */
} mb_sweep_axes;

/**
 * Reads a config's `sweep`.
 *
 * @param sweep the mapping, or NULL: there is none. Borrowed as long as the axes live.
 * @param axes  mb_sweep_axes_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM with FILE:LINE and what would be right; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_sweep_axes_read(const mb_yaml *sweep, mb_sweep_axes *axes);
void mb_sweep_axes_fini(mb_sweep_axes *axes); /* a struct of zeros is fine */

/** Which of the key's values that cell has. */
size_t mb_sweep_axes_index(const mb_sweep_axes *axes, size_t cell, size_t key);

#endif
