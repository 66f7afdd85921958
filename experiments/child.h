/* experiments/child.h - a program that is talked to line by line, and that may do anything. */
#ifndef MB_EXPERIMENTS_CHILD_H
#define MB_EXPERIMENTS_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "balancer/status.h"

/** Bytes of a line that is sent or received, and of what is kept of standard error, with ends. */
enum { MB_CHILD_LINE_SIZE = 4096, MB_CHILD_SAID_SIZE = 2048 };

/**
 * A shell command in a process group of its own, with pipes for its three streams. It ends with
 * this process, and all of its group with mb_child_stop().
 */
typedef struct mb_child {
  const char *command; /* for messages; borrowed */
  pid_t pid;           /* 0: there is none */
  int in, out, err;    /* this process's ends; -1: closed */
  size_t n_line, n_said;
  char line[MB_CHILD_LINE_SIZE]; /* received, and not yet handed on */
  char said[MB_CHILD_SAID_SIZE]; /* the end of what came on its standard error */
} mb_child;

/**
 * Starts `sh -c command` in a folder. Signals of writing to a program that has gone must be
 * ignored, as mb_interrupt_install() has it.
 * @param child mb_child_stop() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_child_start(const char *command, const char *folder, mb_child *child);

/**
 * Sends a line, and waits for one.
 *
 * @param request ends in a newline. NULL: nothing is sent.
 * @param answer  [MB_CHILD_LINE_SIZE] caller-owned; without its newline. Unspecified on failure.
 * @return MB_OK; MB_ERR_IO naming the command, and what became of it: its exit status and the last
 *         line of its standard error, or that it did not answer in time; MB_ERR_CANCELLED. After a
 *         failure nothing but mb_child_stop() makes sense.
 */
MB_NODISCARD mb_status mb_child_ask(mb_child *child, const char *request, double timeout_seconds,
                                    char *answer);

/** Ends it, politely first where all has been well, and waits for it. NULL-safe for zeroes. */
void mb_child_stop(mb_child *child, bool politely);

#endif
