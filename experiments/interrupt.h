/* experiments/interrupt.h - a polite end on Ctrl-C: long work asks now and then, and tidies up. */
#ifndef MB_EXPERIMENTS_INTERRUPT_H
#define MB_EXPERIMENTS_INTERRUPT_H

#include <stdbool.h>

#include "balancer/status.h"

/**
 * From now on SIGINT, SIGTERM and SIGHUP only set a flag, and two things are errors of writing
 * instead of the process's end: a file that grows beyond what `ulimit -f` allows, and a reader of
 * standard output or error that has gone.
 */
void mb_interrupt_install(void);

/** Whether one of those signals has come. */
bool mb_interrupted(void);

/** MB_OK, or MB_ERR_CANCELLED with a message once one of those signals has come. */
MB_NODISCARD mb_status mb_interrupt_check(void);

#endif
