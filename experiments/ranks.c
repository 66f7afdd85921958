/* experiments/ranks.c
 *
 * All talk is of notes from one rank to another, and nobody ever waits inside MPI: so a rank that
 * is lost keeps none, and signals are heeded. One-sided MPI would do for the counter, but between
 * machines rank 0 has to be inside MPI just as often, and an operation on a lost rank never ends.
 */
#include "experiments/ranks.h"

#include <errno.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/rank_link.h"
#include "sim/clock.h"

/* Seconds between signs of life, and of silence after which a rank counts as lost. A rank has
 * nothing else to do than to answer, so that is long. */
#define BEAT 0.5
#define SILENCE_MAX 10.0
/* Seconds that MPI_Finalize() may take: it would wait forever for a rank lost meanwhile. */
enum { FINALIZE_SECONDS = 30 };

/* Another rank, as this one sees it. */
typedef struct peer {
  double silence; /* seconds, of those that this process has lived through */
  bool waits;     /* has asked to begin */
  bool left;      /* has said bye */
  bool stuck;     /* MPI has not taken what was last sent, and may read it still */
  mb_note sent;
} peer;

typedef struct agent {
  int rank, n_ranks;
  pid_t worker;
  int socket;          /* the worker's link; -1: closed */
  int exit_status;     /* the worker's, once it has ended; -1 before */
  bool asked;          /* the worker waits for an answer */
  bool told_interrupt; /* the worker was told of a signal to this process */
  bool stopped;        /* all were, or this one was, told to stop */
  char text[1028];     /* why the worker failed */
  double looked;       /* the clock, when it was last looked at */
  double beat;         /* seconds since the last sign of life was sent */
  peer *peer;          /* [n_ranks]; ranks but 0 look only at rank 0 */
  /* rank 0 */
  bool begun;
  mb_status begin_status;
  int64_t n_cells_given;
  /* the end */
  bool leaves, finalizes;
  int leave_status;
} agent;

/* --- MPI --- */

static bool is_lost(const agent *a, int rank) {
  return a->peer[rank].silence > SILENCE_MAX || a->peer[rank].stuck;
}

/* MPI has taken a note once the other has looked, which it does every few milliseconds unless it is
 * lost. To try without a pause would cost the cells that much of a processor. */
static void post(agent *a, int rank, const mb_note *note) {
  peer *to = &a->peer[rank];
  MPI_Request request = MPI_REQUEST_NULL;
  int done = 0;

  if (is_lost(a, rank)) {
    return;
  }
  to->sent = *note;
  double until = mb_clock_seconds() + SILENCE_MAX;
  int code =
      MPI_Isend(&to->sent, (int)sizeof to->sent, MPI_BYTE, rank, 0, MPI_COMM_WORLD, &request);
  while (code == MPI_SUCCESS && done == 0 && mb_clock_seconds() < until) {
    code = MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done == 0) {
      (void)poll(NULL, 0, 1);
    }
  }
  /* NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): it knows no MPI_Test() */
  to->stuck = done == 0;
}

/* @return the rank that it came from; -1: there is none. */
static int receive(mb_note *note) {
  int there = 0;
  MPI_Status status;

  if (MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS || there == 0) {
    return -1;
  }
  int source = status.MPI_SOURCE;
  int code = MPI_Recv(note, (int)sizeof *note, MPI_BYTE, source, 0, MPI_COMM_WORLD, &status);
  return code == MPI_SUCCESS ? source : -1;
}

static void answer(agent *a, int rank, const mb_note *note) {
  if (rank != a->rank) {
    post(a, rank, note);
  } else if (a->socket >= 0) {
    a->asked = false;
    (void)mb_rank_link_send(a->socket, note);
  }
}

/* --- rank 0: what it is asked --- */

static void answer_begin(agent *a, int rank) {
  answer(a, rank, &(mb_note){.kind = MB_NOTE_BEGIN, .status = (int32_t)a->begin_status});
}

static void hear_begin(agent *a, int rank, const mb_note *note) {
  if (rank == 0) {
    a->begun = true;
    a->begin_status = (mb_status)note->status;
    answer_begin(a, 0);
    for (int i = 1; i < a->n_ranks; i++) {
      if (a->peer[i].waits) {
        answer_begin(a, i);
      }
    }
  } else if (a->begun) {
    answer_begin(a, rank);
  } else {
    a->peer[rank].waits = true;
  }
}

/* What all ranks fail of, rank 0's worker has said itself. */
static void hear_bye(agent *a, int rank, const mb_note *note) {
  a->peer[rank].left = true;
  if (note->text[0] != '\0' && a->begun && a->begin_status == MB_OK && !a->stopped &&
      !mb_interrupted()) {
    (void)fprintf(stderr, "moebal: %.*s\n", (int)sizeof note->text - 1, note->text);
  }
}

static void serve(agent *a, int rank, const mb_note *note) {
  switch (note->kind) {
  case MB_NOTE_BEGIN:
    hear_begin(a, rank, note);
    return;
  case MB_NOTE_NEXT:
    answer(a, rank, &(mb_note){.kind = MB_NOTE_NEXT, .number = a->n_cells_given++});
    return;
  case MB_NOTE_ALIVE:
    answer(a, rank, &(mb_note){.kind = MB_NOTE_ALIVE});
    return;
  case MB_NOTE_BYE:
    hear_bye(a, rank, note);
    return;
  default:
    return;
  }
}

/* Once its worker has ended and all others have said bye or are lost, all can leave. */
static void conclude(agent *a) {
  bool lost = false;
  bool failed = a->exit_status != MB_EXIT_OK;

  if (a->exit_status < 0) {
    return;
  }
  for (int i = 1; i < a->n_ranks; i++) {
    if (failed && !a->stopped && !a->peer[i].left) {
      post(a, i, &(mb_note){.kind = MB_NOTE_STOP});
    }
  }
  a->stopped = a->stopped || failed;
  for (int i = 1; i < a->n_ranks; i++) {
    if (!a->peer[i].left && !is_lost(a, i)) {
      return;
    }
    lost = lost || is_lost(a, i);
  }
  a->leaves = true;
  a->finalizes = !lost;
  a->leave_status = a->exit_status;
  mb_note note = {.kind = MB_NOTE_LEAVE, .status = a->leave_status, .number = a->finalizes};
  for (int i = 1; i < a->n_ranks; i++) {
    post(a, i, &note);
  }
}

/* --- the others: what rank 0 says --- */

/* Its link closed, a worker that waits for an answer wakes up as well. */
static void stop_worker(agent *a) {
  if (a->exit_status < 0) {
    (void)kill(a->worker, SIGTERM);
  }
  if (a->socket >= 0) {
    (void)close(a->socket);
    a->socket = -1;
  }
  a->stopped = true;
}

static void obey(agent *a, const mb_note *note) {
  switch (note->kind) {
  case MB_NOTE_BEGIN:
  case MB_NOTE_NEXT:
    answer(a, a->rank, note);
    return;
  case MB_NOTE_STOP:
    stop_worker(a);
    return;
  case MB_NOTE_LEAVE:
    a->leaves = true;
    a->finalizes = note->number == 1;
    a->leave_status = note->status;
    return;
  default:
    return;
  }
}

static void give_up(agent *a) {
  stop_worker(a);
  (void)fprintf(stderr,
                "moebal: rank %d: rank 0 does not answer any more; finished cells are kept, and "
                "`moebal run --resume` goes on\n",
                a->rank);
  a->leaves = true;
  a->leave_status = MB_EXIT_FAILURE;
}

/* --- every rank: its worker --- */

static void hear_worker(agent *a) {
  mb_note note;

  if (!mb_rank_link_receive(a->socket, &note)) {
    (void)close(a->socket);
    a->socket = -1;
    return;
  }
  if (note.kind == MB_NOTE_BYE) {
    (void)snprintf(a->text, sizeof a->text, "%s", note.text);
    return;
  }
  a->asked = true;
  if (a->rank == 0) {
    serve(a, 0, &note);
  } else {
    post(a, 0, &note);
  }
}

/* How a worker ended that did not say so. */
static void tell_crash(agent *a, int ended) {
  if (WIFSIGNALED(ended)) {
    (void)snprintf(a->text, sizeof a->text, "its work was ended by signal %d (%s)", WTERMSIG(ended),
                   strsignal(WTERMSIG(ended)));
  } else if (a->text[0] == '\0') {
    (void)snprintf(a->text, sizeof a->text, "its work ended with exit status %d",
                   WEXITSTATUS(ended));
  }
}

static void say_bye(agent *a) {
  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  mb_note note = {.kind = MB_NOTE_BYE, .status = a->exit_status};

  (void)MPI_Get_processor_name(name, &length);
  if (a->exit_status != MB_EXIT_OK) {
    (void)snprintf(note.text, sizeof note.text, "rank %d on %.64s: %.900s", a->rank, name, a->text);
  }
  post(a, 0, &note);
}

static void check_worker(agent *a) {
  int ended = 0;

  if (mb_interrupted() && !a->told_interrupt && a->exit_status < 0) {
    a->told_interrupt = true;
    (void)kill(a->worker, SIGTERM);
  }
  if (a->exit_status >= 0 || waitpid(a->worker, &ended, WNOHANG) != a->worker) {
    return;
  }
  while (a->socket >= 0 && poll(&(struct pollfd){.fd = a->socket, .events = POLLIN}, 1, 0) > 0) {
    hear_worker(a);
  }
  a->exit_status = WIFEXITED(ended) ? WEXITSTATUS(ended) : MB_EXIT_FAILURE;
  if (a->exit_status != MB_EXIT_OK) {
    tell_crash(a, ended);
  }
  if (a->rank != 0) {
    say_bye(a);
  } else if (WIFSIGNALED(ended) && !mb_interrupted()) {
    (void)fprintf(
        stderr, "moebal: rank 0: %s; finished cells are kept, and `moebal run --resume` goes on\n",
        a->text);
  }
}

/* --- every rank: time --- */

/* Only time in which this process ran is another's silence: all may have been suspended. */
static void look_at_clock(agent *a) {
  double now = mb_clock_seconds();
  double passed = now - a->looked < BEAT ? now - a->looked : BEAT;

  a->looked = now;
  a->beat += passed;
  for (int i = 0; i < a->n_ranks; i++) {
    a->peer[i].silence += i == a->rank ? 0 : passed;
  }
  if (a->rank != 0 && a->beat >= BEAT) {
    a->beat = 0;
    post(a, 0, &(mb_note){.kind = MB_NOTE_ALIVE});
  }
}

/* Sleeps until the worker says something, but not for long where a rank may. */
static void rest(const agent *a) {
  struct pollfd link = {.fd = a->socket, .events = POLLIN};
  int milliseconds = a->rank == 0 ? 5 : a->asked || a->exit_status >= 0 ? 1 : 20;

  (void)poll(&link, 1, milliseconds);
}

static void hear_ranks(agent *a) {
  mb_note note;

  for (int source = receive(&note); source >= 0; source = receive(&note)) {
    a->peer[source].silence = 0;
    if (a->rank == 0) {
      serve(a, source, &note);
    } else {
      obey(a, &note);
    }
  }
}

static void run_agent(agent *a) {
  a->looked = mb_clock_seconds();
  while (!a->leaves) {
    struct pollfd link = {.fd = a->socket, .events = POLLIN};
    rest(a);
    if (a->socket >= 0 && poll(&link, 1, 0) > 0) {
      hear_worker(a);
    }
    hear_ranks(a);
    check_worker(a);
    look_at_clock(a);
    if (a->rank == 0) {
      conclude(a);
    } else if (is_lost(a, 0) && !a->leaves) {
      give_up(a);
    }
  }
}

/* --- the start and the end --- */

/* How many ranks are on this machine. */
static int count_ranks_here(void) {
  MPI_Comm here = MPI_COMM_NULL;
  int n = 1;

  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here) ==
      MPI_SUCCESS) {
    (void)MPI_Comm_size(here, &n);
    (void)MPI_Comm_free(&here);
  }
  return n;
}

static bool start(agent *a, const mb_launch *launch) {
  if (MPI_Init(NULL, NULL) != MPI_SUCCESS) {
    (void)fputs("moebal: MPI could not be started\n", stderr);
    return false;
  }
  (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  (void)MPI_Comm_rank(MPI_COMM_WORLD, &a->rank);
  (void)MPI_Comm_size(MPI_COMM_WORLD, &a->n_ranks);
  if (launch->n_ranks != 0 && (size_t)a->n_ranks != launch->n_ranks) {
    (void)fprintf(stderr,
                  "moebal: %s started it %zu times, but Open MPI sees %d rank(s): use Open MPI's "
                  "mpirun, or srun --mpi=pmix\n",
                  launch->launcher, launch->n_ranks, a->n_ranks);
    return false;
  }
  a->peer = calloc((size_t)a->n_ranks, sizeof *a->peer);
  if (a->peer == NULL) {
    (void)fputs("moebal: out of memory\n", stderr);
    return false;
  }
  mb_note note = {.kind = MB_NOTE_START, .number = a->rank, .share = count_ranks_here()};
  return mb_rank_link_send(a->socket, &note);
}

/* MPI_Finalize() has not come back. */
static void leave_anyway(int signal_number) {
  (void)signal_number;
  _exit(MB_EXIT_FAILURE);
}

static int leave(agent *a) {
  if (a->exit_status < 0) { /* told to leave before its work has ended */
    stop_worker(a);
    (void)waitpid(a->worker, NULL, 0);
  }
  free(a->peer);
  a->peer = NULL;
  (void)fflush(stdout);
  if (!a->finalizes) {
    _exit(a->leave_status);
  }
  (void)signal(SIGALRM, leave_anyway);
  (void)alarm(FINALIZE_SECONDS);
  (void)MPI_Finalize();
  (void)alarm(0);
  return a->leave_status;
}

/* In the worker. */
static int run_worker(int socket, pid_t parent, int (*work)(void *context, const mb_crew *crew),
                      void *context) {
  mb_rank_link link = {.socket = socket};
  mb_crew crew;

#ifdef __linux__
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent || mb_rank_link_start(&link, &crew) != MB_OK) {
    return MB_EXIT_FAILURE;
  }
  int exit_status = work(context, &crew);
  mb_rank_link_end(&link, exit_status);
  return exit_status;
}

int mb_ranks_run(const mb_launch *launch, int (*work)(void *context, const mb_crew *crew),
                 void *context) {
  agent a = {.exit_status = -1};
  int ends[2];
  pid_t parent = getpid();

  if (mb_rank_link_open(ends) != MB_OK) {
    return mb_command_failed();
  }
  mb_interrupt_install();
  a.worker = fork();
  if (a.worker == 0) {
    (void)close(ends[0]);
    return run_worker(ends[1], parent, work, context);
  }
  (void)close(ends[1]);
  a.socket = ends[0];
  if (a.worker < 0) {
    (void)fprintf(stderr, "moebal: no process to work in: %s\n", strerror(errno));
    return MB_EXIT_FAILURE;
  }
  if (!start(&a, launch)) {
    free(a.peer);
    (void)kill(a.worker, SIGKILL);
    (void)waitpid(a.worker, NULL, 0);
    return MB_EXIT_FAILURE;
  }
  run_agent(&a);
  return leave(&a);
}
