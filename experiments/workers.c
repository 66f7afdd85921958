/* experiments/workers.c - fork(), and a board in shared memory that all of them see. */
#include "experiments/workers.h"

#include <errno.h>
#include <omp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "experiments/interrupt.h"
#include "experiments/part.h"
#include "experiments/progress.h"

enum { PAUSE_MS = 10, MESSAGE_SIZE = 1024, NO_CELL = -1 };

/* What a worker tells. Its status and message are written before its end, and read after it. */
typedef struct slot {
  atomic_long cell; /* NO_CELL: none */
  atomic_size_t n_steps_done, n_steps;
  mb_status status;
  char message[MESSAGE_SIZE];
} slot;

typedef struct board {
  atomic_size_t next, n_done; /* cells handed out; cells that were done since */
  slot slot[];
} board;

typedef struct workers {
  const mb_sweep *sweep;
  const mb_parts *parts;
  const mb_crew *crew;       /* NULL: none, the board hands out cells */
  size_t n, n_alive, n_left; /* workers, and cells */
  int n_threads;             /* of each; 0: OpenMP knows */
  pid_t *pid;                /* [n]; 0: ended */
  board *board;
  size_t board_size;
  bool stopping;
  mb_status status; /* the first failure that was no cell's, */
  char message[MESSAGE_SIZE];
} workers;

/* --- in a worker --- */

static void watch_steps(void *watcher, size_t n_steps_done, size_t n_steps) {
  slot *s = watcher;

  atomic_store(&s->n_steps, n_steps);
  atomic_store(&s->n_steps_done, n_steps_done);
}

static mb_status next_cell(const workers *w, size_t *cell) {
  if (w->crew != NULL) {
    return w->crew->next(w->crew->context, cell);
  }
  *cell = atomic_fetch_add(&w->board->next, 1);
  return MB_OK;
}

static mb_status work(const workers *w, slot *s) {
  for (;;) {
    size_t cell = 0;
    MB_TRY(next_cell(w, &cell));
    if (cell >= w->sweep->n_cells) {
      return MB_OK;
    }
    if (mb_parts_is_finished(w->parts, cell)) {
      continue;
    }
    MB_TRY(mb_interrupt_check());
    atomic_store(&s->n_steps_done, 0);
    atomic_store(&s->cell, (long)cell);
    MB_TRY(mb_part_make(w->sweep, w->parts, cell, watch_steps, s));
    atomic_store(&s->cell, NO_CELL);
    (void)atomic_fetch_add(&w->board->n_done, 1);
  }
}

/* Nothing of the parent's is flushed or tidied up here. */
static _Noreturn void be_worker(const workers *w, slot *s, pid_t parent) {
#ifdef __linux__
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) {
    _exit(EXIT_FAILURE); /* it has gone already */
  }
  if (w->n_threads > 0) {
    omp_set_num_threads(w->n_threads);
  }
  s->status = work(w, s);
  (void)snprintf(s->message, sizeof s->message, "%s", mb_error_message());
  _exit(EXIT_SUCCESS);
}

/* --- in the parent --- */

static bool start_worker(workers *w, size_t i) {
  slot *s = &w->board->slot[i];
  pid_t parent = getpid();

  s->status = MB_OK;
  atomic_store(&s->cell, NO_CELL);
  pid_t pid = fork();
  if (pid == 0) {
    be_worker(w, s, parent);
  }
  w->pid[i] = pid > 0 ? pid : 0;
  w->n_alive += pid > 0;
  return pid > 0;
}

static void stop(workers *w, mb_status status, const char *message) {
  if (w->status == MB_OK) {
    w->status = status;
    (void)snprintf(w->message, sizeof w->message, "%s", message);
  }
  for (size_t i = 0; i < w->n && !w->stopping; i++) {
    if (w->pid[i] > 0) {
      (void)kill(w->pid[i], SIGTERM);
    }
  }
  w->stopping = true;
}

/* The cell that a worker was at when it died, with what has become of it. */
static void record_death(workers *w, size_t cell, int how) {
  char message[128];

  if (WIFSIGNALED(how)) {
    (void)snprintf(message, sizeof message, "its process was ended by signal %d (%s)",
                   WTERMSIG(how), strsignal(WTERMSIG(how)));
  } else {
    (void)snprintf(message, sizeof message, "its process ended with exit status %d",
                   WEXITSTATUS(how));
  }
  if (!mb_parts_is_finished(w->parts, cell)) {
    mb_status status = mb_parts_put_death(w->parts, cell, message);
    if (status != MB_OK) {
      stop(w, status, mb_error_message());
    }
  }
  (void)atomic_fetch_add(&w->board->n_done, 1);
}

/* A worker has ended: because nothing is left, or it was stopped, or it crashed. */
static void bury(workers *w, size_t i, int how) {
  slot *s = &w->board->slot[i];
  long cell = atomic_load(&s->cell);
  bool peaceful = WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS;

  w->pid[i] = 0;
  w->n_alive--;
  if (peaceful && s->status != MB_OK && s->status != MB_ERR_CANCELLED) {
    stop(w, s->status, s->message);
  }
  if (peaceful || w->stopping) {
    return;
  }
  if (cell == NO_CELL) {
    stop(w, MB_ERR_IO, "a worker ended before it had anything to do");
    return;
  }
  record_death(w, (size_t)cell, how);
  if (w->crew != NULL || atomic_load(&w->board->next) < w->sweep->n_cells) {
    (void)start_worker(w, i);
  }
}

static void bury_ended(workers *w) {
  for (size_t i = 0; i < w->n; i++) {
    int how = 0;
    if (w->pid[i] > 0 && waitpid(w->pid[i], &how, WNOHANG) == w->pid[i]) {
      bury(w, i, how);
    }
  }
}

/* The running cell that was begun first. */
static void show_progress(const workers *w, mb_progress *progress) {
  const slot *first = NULL;
  char detail[160] = "";

  for (size_t i = 0; i < w->n; i++) {
    const slot *s = &w->board->slot[i];
    long cell = atomic_load(&s->cell);
    if (cell != NO_CELL && (first == NULL || cell < atomic_load(&first->cell))) {
      first = s;
    }
  }
  long cell = first != NULL ? atomic_load(&first->cell) : NO_CELL;
  size_t n_done = first != NULL ? atomic_load(&first->n_steps_done) : 0;
  if (cell != NO_CELL && n_done > 0) {
    (void)snprintf(detail, sizeof detail, "; %.64s: step %zu of %zu",
                   w->sweep->cell[cell].config->name, n_done, atomic_load(&first->n_steps));
  }
  mb_progress_update_detail(progress, atomic_load(&w->board->n_done), detail);
}

static void await_all(workers *w, bool quiet) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  mb_progress progress;

  mb_progress_start(&progress, "cells", w->n_left, quiet);
  while (w->n_alive > 0) {
    (void)nanosleep(&pause, NULL);
    bury_ended(w);
    if (mb_interrupted()) {
      stop(w, MB_ERR_CANCELLED, "stopped on request");
    }
    show_progress(w, &progress);
  }
  mb_progress_end(&progress);
}

/* --- the whole --- */

static size_t count_left(const mb_sweep *sweep, const mb_parts *parts) {
  size_t n = 0;

  for (size_t i = 0; i < sweep->n_cells; i++) {
    n += !mb_parts_is_finished(parts, i);
  }
  return n;
}

/* Processors are shared out among the workers, unless people have said how many threads to use. */
static void choose_sizes(workers *w, size_t jobs) {
  size_t n_processors = (size_t)omp_get_num_procs();
  const char *given = getenv("OMP_NUM_THREADS");
  bool is_given = given != NULL && given[0] != '\0';

  w->n_left = count_left(w->sweep, w->parts);
  if (jobs == 0) {
    jobs = is_given ? n_processors / (size_t)omp_get_max_threads() : n_processors;
  }
  jobs = jobs < w->n_left ? jobs : w->n_left;
  w->n = jobs > 0 ? jobs : 1;
  if (!is_given) {
    w->n_threads = n_processors > w->n ? (int)(n_processors / w->n) : 1;
  }
}

static mb_status init(workers *w, size_t jobs) {
  choose_sizes(w, jobs);
  w->pid = calloc(w->n, sizeof *w->pid);
  w->board_size = sizeof *w->board + w->n * sizeof *w->board->slot;
  w->board = mmap(NULL, w->board_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (w->board == MAP_FAILED) {
    w->board = NULL;
  }
  return w->pid != NULL && w->board != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu workers", w->n);
}

mb_status mb_workers_run(const mb_sweep *sweep, const mb_parts *parts, const mb_crew *crew,
                         size_t jobs, bool quiet) {
  workers w = {.sweep = sweep, .parts = parts, .crew = crew};

  mb_status status = init(&w, jobs);
  bool started = status == MB_OK;
  for (size_t i = 0; i < w.n && started; i++) {
    started = start_worker(&w, i);
  }
  if (status == MB_OK && w.n_alive == 0) {
    status = MB_FAIL(MB_ERR_IO, "no process can be started: %s", strerror(errno));
  }
  await_all(&w, quiet);
  if (w.status != MB_OK) {
    status = MB_FAIL(w.status, "%s", w.message);
  }
  if (w.board != NULL) {
    (void)munmap(w.board, w.board_size);
  }
  free(w.pid);
  return status;
}
