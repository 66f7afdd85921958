/* experiments/backend.h - which backend a run's plans are made with: cpu, cuda, or what there is.
 */
#ifndef MB_EXPERIMENTS_BACKEND_H
#define MB_EXPERIMENTS_BACKEND_H

#include "balancer/backend.h"
#include "balancer/placement.h"
#include "balancer/status.h"

/** A backend in use. */
typedef struct mb_backend_choice {
  const mb_backend *backend;
  char gpu[256];  /* its name, or "none" */
  char note[512]; /* why `auto` went to the CPU; "" where there is nothing to say */
} mb_backend_choice;

/** The words of a config's `backend`, NULL-terminated. Static. */
extern const char *const mb_backend_words[];

/**
 * @param word   cpu; cuda; or auto: cuda where it works for this shape, else cpu.
 * @param choice Written only on MB_OK.
 * @return MB_OK; MB_ERR_UNSUPPORTED, for cuda alone, saying what is missing or does not fit.
 */
MB_NODISCARD mb_status mb_backend_choose(const char *word, const mb_shape *shape,
                                         mb_backend_choice *choice);

#endif
