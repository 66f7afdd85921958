/* workloads/probe.c */
#include "workloads/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

/* gcc defines the one, clang answers the other. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef HAS_ADDRESS_SANITIZER
#define HAS_ADDRESS_SANITIZER 0
#endif

/* What the child says: small enough that a pipe takes it whole, so that it cannot block. */
typedef struct report {
  mb_status status;
  char message[1024];
} report;

static void limit(int resource, uint64_t most) {
  struct rlimit limits = {0};

  if (getrlimit(resource, &limits) == 0 && most < limits.rlim_cur) {
    limits.rlim_cur = (rlim_t)most;
    (void)setrlimit(resource, &limits);
  }
}

/* Bytes of address space that the process has now; 0 where the system does not tell. */
static uint64_t address_space(void) {
  unsigned long long n_pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");

  if (file == NULL || fscanf(file, "%llu", &n_pages) != 1) { /* NOLINT(cert-err34-c) */
    n_pages = 0;
  }
  if (file != NULL) {
    (void)fclose(file);
  }
  return n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* This process's handlers make no sense in the child: what ends a plain program ends it. */
static void reset_signals(void) {
  static const int fatal[] = {SIGALRM, SIGXCPU, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE};
  static const int polite[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  struct sigaction action;
  sigset_t none;

  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
    (void)signal(fatal[i], SIG_DFL);
  }
  for (size_t i = 0; i < sizeof polite / sizeof *polite; i++) {
    if (sigaction(polite[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
      (void)signal(polite[i], SIG_DFL);
    }
  }
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: nothing of it is seen, and it ends in time. */
static void confine(mb_probe_limits limits) {
  int null = open("/dev/null", O_RDWR);
  uint64_t used = address_space();

#ifdef __linux__
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  for (int stream = 0; null >= 0 && stream <= 2; stream++) {
    (void)dup2(null, stream);
  }
  reset_signals();
  limit(RLIMIT_CORE, 0);
  if (!HAS_ADDRESS_SANITIZER && used > 0) {
    limit(RLIMIT_AS, used + limits.extra_bytes);
  }
  if (limits.n_seconds > 0) {
    limit(RLIMIT_CPU, limits.n_seconds);
    (void)alarm(6 * limits.n_seconds);
  }
}

static _Noreturn void work_and_exit(int tell, mb_probe_limits limits, mb_status (*work)(void *data),
                                    void *data) {
  report said;

  confine(limits);
  memset(&said, 0, sizeof said);
  said.status = work(data);
  if (said.status != MB_OK) {
    (void)snprintf(said.message, sizeof said.message, "%s", mb_error_message());
  }
  _exit(write(tell, &said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
}

/* A pipe that no program started meanwhile inherits, and above the streams that confine() closes.
 * Its reading end never blocks. */
static bool open_pipe(int ends[2]) {
  int raw[2];

  if (pipe(raw) != 0) {
    return false;
  }
  for (int i = 0; i < 2; i++) {
    ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
    (void)close(raw[i]);
  }
  if (ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) {
    return true;
  }
  (void)close(ends[0]);
  (void)close(ends[1]);
  return false;
}

/* How it ended, where it has not said anything. */
static mb_status fail_probe(const char *path, int ended) {
  int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;

  if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) {
    return MB_FAIL(MB_ERR_CANCELLED, "stopped on request");
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: damaged, HDF5 cannot read it", path);
}

static mb_status await_report(const char *path, pid_t child, int hear) {
  int ended = 0;
  report said;

  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
  }
  if (read(hear, &said, sizeof said) != (ssize_t)sizeof said) {
    return fail_probe(path, ended);
  }
  return said.status == MB_OK ? MB_OK : MB_FAIL(said.status, "%s", said.message);
}

mb_status mb_probe(const char *path, mb_probe_limits limits, mb_status (*work)(void *data),
                   void *data) {
  int ends[2];
  sigset_t all;
  sigset_t before;

  if (!open_pipe(ends)) {
    return MB_FAIL(MB_ERR_IO, "%s: no pipe to check it through: %s", path, strerror(errno));
  }
  /* Signals wait until the child has none of this process's handlers. */
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t child = fork();
  if (child == 0) {
    work_and_exit(ends[1], limits, work, data);
  }
  int why = errno;
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)close(ends[1]);
  mb_status status = MB_OK;
  if (child < 0) {
    status = MB_FAIL(MB_ERR_IO, "%s: no process to check it in: %s", path, strerror(why));
  } else {
    status = await_report(path, child, ends[0]);
  }
  (void)close(ends[0]);
  return status;
}
