/* experiments/apart.c */
#include "experiments/apart.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
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

enum { PAUSE_MS = 2, MESSAGE_SIZE = 1024 };

/* In memory that both see: written before the end of the one, read by the other after it. */
typedef struct answer {
  mb_status status;
  char message[MESSAGE_SIZE];
} answer;

static _Noreturn void do_work(mb_status (*work)(const void *context), const void *context,
                              pid_t parent, answer *said) {
#ifdef __linux__
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) {
    _exit(EXIT_FAILURE); /* it has gone already */
  }
  said->status = work(context);
  (void)snprintf(said->message, sizeof said->message, "%s", mb_error_message());
  _exit(EXIT_SUCCESS);
}

/* A signal may come to this process alone. @return as waitpid() has it. */
static int await(pid_t pid) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  bool told = false;
  int how = 0;

  while (waitpid(pid, &how, WNOHANG) == 0) {
    if (mb_interrupted() && !told) {
      told = true;
      (void)kill(pid, SIGTERM);
    }
    (void)nanosleep(&pause, NULL);
  }
  return how;
}

static mb_status judge(const char *name, int how, const answer *said) {
  if (WIFSIGNALED(how)) {
    return MB_FAIL(MB_ERR_IO, "%s was ended by signal %d (%s); is the disk full?", name,
                   WTERMSIG(how), strsignal(WTERMSIG(how)));
  }
  if (WEXITSTATUS(how) != EXIT_SUCCESS) {
    return MB_FAIL(MB_ERR_IO, "%s ended with exit status %d", name, WEXITSTATUS(how));
  }
  return said->status == MB_OK ? MB_OK : MB_FAIL(said->status, "%s", said->message);
}

mb_status mb_apart_run(const char *name, mb_status (*work)(const void *context),
                       const void *context) {
  pid_t parent = getpid();
  mb_status status = MB_OK;
  answer *said =
      mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  if (said == MAP_FAILED) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %s", name);
  }
  pid_t pid = fork();
  if (pid == 0) {
    do_work(work, context, parent, said);
  }
  if (pid < 0) {
    status = MB_FAIL(MB_ERR_IO, "no process can be started: %s", strerror(errno));
  } else {
    status = judge(name, await(pid), said);
  }
  (void)munmap(said, sizeof *said);
  return status;
}
