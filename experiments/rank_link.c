/* experiments/rank_link.c */
#include "experiments/rank_link.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiments/command.h"

/* --- both sides --- */

mb_status mb_rank_link_open(int ends[2]) {
  /* Records, so that a note is received whole or not at all. */
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return MB_FAIL(MB_ERR_IO, "no socket to a process that works: %s", strerror(errno));
  }
  return MB_OK;
}

bool mb_rank_link_send(int end, const mb_note *note) {
  ssize_t sent = 0;

  do {
    sent = send(end, note, sizeof *note, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)sizeof *note;
}

bool mb_rank_link_receive(int end, mb_note *note) {
  ssize_t got = 0;

  do {
    got = recv(end, note, sizeof *note, 0);
  } while (got < 0 && errno == EINTR);
  return got == (ssize_t)sizeof *note;
}

/* --- the worker --- */

static mb_status ask(const mb_rank_link *link, mb_note *note) {
  int32_t kind = note->kind;

  if (!mb_rank_link_send(link->socket, note) || !mb_rank_link_receive(link->socket, note) ||
      note->kind != kind) {
    return MB_FAIL(MB_ERR_CANCELLED, "stopped on request");
  }
  return MB_OK;
}

static mb_status begin(void *context, mb_status status) {
  const mb_rank_link *link = context;
  mb_note note = {.kind = MB_NOTE_BEGIN, .status = (int32_t)status};

  MB_TRY(ask(link, &note));
  if (status != MB_OK) {
    return status;
  }
  return note.status == MB_OK ? MB_OK : MB_FAIL(MB_ERR_CANCELLED, "stopped on request");
}

static mb_status next(void *context, size_t *cell) {
  const mb_rank_link *link = context;
  mb_note note = {.kind = MB_NOTE_NEXT};

  MB_TRY(ask(link, &note));
  *cell = (size_t)note.number;
  return MB_OK;
}

/* Where the launcher bound this rank to some processors, these are its own; else all ranks of the
 * machine share all of its processors. Said in the environment, it holds for planners from outside
 * too. */
static void take_processors(int n_ranks_here) {
  const char *given = getenv("OMP_NUM_THREADS");
  long n_online = sysconf(_SC_NPROCESSORS_ONLN);
  int n = omp_get_num_procs();
  char number[16];

  if (given != NULL && given[0] != '\0') {
    return;
  }
  if (n >= n_online) {
    n /= n_ranks_here;
  }
  n = n > 1 ? n : 1;
  omp_set_num_threads(n);
  (void)snprintf(number, sizeof number, "%d", n);
  (void)setenv("OMP_NUM_THREADS", number, 1);
}

mb_status mb_rank_link_start(mb_rank_link *link, mb_crew *crew) {
  mb_note note;

  if (!mb_rank_link_receive(link->socket, &note) || note.kind != MB_NOTE_START) {
    return MB_FAIL(MB_ERR_CANCELLED, "MPI could not be started");
  }
  take_processors(note.share);
  *crew = (mb_crew){.context = link, .leads = note.number == 0, .begin = begin, .next = next};
  return MB_OK;
}

void mb_rank_link_end(const mb_rank_link *link, int exit_status) {
  mb_note note = {.kind = MB_NOTE_BYE, .status = exit_status};

  if (exit_status != MB_EXIT_OK) {
    (void)snprintf(note.text, sizeof note.text, "%s", mb_error_message());
  }
  (void)mb_rank_link_send(link->socket, &note);
  (void)close(link->socket);
}
