/* experiments/child.c */
#include "experiments/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "experiments/interrupt.h"
#include "sim/clock.h"

/* How often a wait looks whether somebody wants to stop, and how long a polite end may take. */
enum { PATIENCE_MS = 50, FAREWELL_MS = 2000, READS_MOST = 64, FILES_MOST = 1024 };

/* --- starting --- */

/* In the child: what is this process's own stays here. Only calls that are safe after fork(). */
static _Noreturn void become(const char *command, const char *folder, const int ends[3]) {
  static const int ignored[] = {SIGPIPE, SIGXFSZ};
  static const char no_folder[] = "its folder cannot be entered\n";
  sigset_t none;

  (void)setpgid(0, 0);
#ifdef __linux__
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
    (void)signal(ignored[i], SIG_DFL);
  }
  (void)sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
  for (int stream = 0; stream < 3; stream++) {
    (void)dup2(ends[stream], stream);
  }
  for (int file = 3; file < FILES_MOST; file++) {
    (void)close(file);
  }
  if (chdir(folder) != 0) {
    (void)!write(STDERR_FILENO, no_folder, sizeof no_folder - 1);
    _exit(126);
  }
  (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

/* A pipe above the standard streams, which no other program inherits. */
static bool open_pipe(int ends[2]) {
  int raw[2];

  ends[0] = ends[1] = -1;
  if (pipe(raw) != 0) {
    return false;
  }
  for (int i = 0; i < 2; i++) {
    ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
    (void)close(raw[i]);
  }
  return ends[0] >= 0 && ends[1] >= 0;
}

static void close_end(int *end) {
  if (*end >= 0) {
    (void)close(*end);
  }
  *end = -1;
}

static bool start(const char *command, const char *folder, int pipes[3][2], mb_child *child) {
  if (!open_pipe(pipes[0]) || !open_pipe(pipes[1]) || !open_pipe(pipes[2])) {
    return false;
  }
  const int theirs[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
  *child =
      (mb_child){.command = command, .in = pipes[0][1], .out = pipes[1][0], .err = pipes[2][0]};
  (void)fcntl(child->in, F_SETFL, O_NONBLOCK);
  (void)fcntl(child->out, F_SETFL, O_NONBLOCK);
  (void)fcntl(child->err, F_SETFL, O_NONBLOCK);
  child->pid = fork();
  if (child->pid == 0) {
    become(command, folder, theirs);
  }
  if (child->pid > 0) {
    /* On both sides, so that the group is there whoever comes first. */
    (void)setpgid(child->pid, child->pid);
  }
  return child->pid > 0;
}

mb_status mb_child_start(const char *command, const char *folder, mb_child *child) {
  int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
  mb_child made = {.pid = 0};

  if (!start(command, folder, pipes, &made)) {
    int why = errno;
    for (int i = 0; i < 6; i++) {
      close_end(&pipes[i / 2][i % 2]);
    }
    return MB_FAIL(MB_ERR_IO, "%s: cannot be started: %s", command, strerror(why));
  }
  close_end(&pipes[0][0]);
  close_end(&pipes[1][1]);
  close_end(&pipes[2][1]);
  *child = made;
  return MB_OK;
}

/* --- ending --- */

/* Whether it has ended; it stays a zombie, so that its number remains its group's. */
static bool has_ended(const mb_child *child, siginfo_t *how) {
  memset(how, 0, sizeof *how);
  return waitid(P_PID, (id_t)child->pid, how, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         how->si_pid == child->pid;
}

static void take_error_output(mb_child *child);

/* Waits for its end, but not forever. What it still says is taken, so that it need not wait. */
static bool await_end(mb_child *child, int limit_ms, siginfo_t *how) {
  const struct timespec pause = {.tv_nsec = 2000000};
  char rest[512];

  for (double end = mb_clock_seconds() + limit_ms / 1e3; !has_ended(child, how);) {
    if (mb_clock_seconds() >= end || mb_interrupted()) {
      return false;
    }
    take_error_output(child);
    for (int i = 0; i < READS_MOST && read(child->out, rest, sizeof rest) > 0; i++) {
    }
    (void)nanosleep(&pause, NULL);
  }
  return true;
}

void mb_child_stop(mb_child *child, bool politely) {
  siginfo_t how;

  if (child->pid == 0) {
    return;
  }
  close_end(&child->in);
  if (politely) {
    (void)await_end(child, FAREWELL_MS, &how);
  }
  /* All of its group, also where it has ended itself and left others behind. */
  (void)kill(-child->pid, SIGKILL);
  while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
  }
  close_end(&child->out);
  close_end(&child->err);
  child->pid = 0;
}

/* --- talking --- */

/* Keeps the last bytes of what comes on standard error; of one that never ends, some at a time. */
static void take_error_output(mb_child *child) {
  const size_t room = sizeof child->said - 1;

  for (int i = 0; child->err >= 0 && i < READS_MOST; i++) {
    if (child->n_said == room) {
      memmove(child->said, child->said + room / 2, room - room / 2);
      child->n_said = room - room / 2;
    }
    ssize_t got = read(child->err, child->said + child->n_said, room - child->n_said);
    if (got > 0) {
      child->n_said += (size_t)got;
    } else if (got == 0) {
      close_end(&child->err);
    } else if (errno != EINTR) {
      return;
    }
  }
}

/* The last line of standard error that says something. */
static const char *last_line(mb_child *child) {
  size_t length = child->n_said;

  while (length > 0 && strchr(" \t\r\n", child->said[length - 1]) != NULL) {
    length--;
  }
  child->said[length] = '\0';
  for (size_t i = 0; i < length; i++) { /* a NUL would hide the rest */
    child->said[i] = (char)(child->said[i] == '\0' ? ' ' : child->said[i]);
  }
  const char *newline = strrchr(child->said, '\n');
  const char *line = newline != NULL ? newline + 1 : child->said;
  return *line != '\0' ? line : "it said nothing on standard error";
}

static mb_status fail_ended(mb_child *child) {
  siginfo_t how;

  bool ended = await_end(child, FAREWELL_MS / 2, &how);
  MB_TRY(mb_interrupt_check());
  take_error_output(child);
  const char *said = last_line(child);
  if (!ended) {
    return MB_FAIL(MB_ERR_IO, "`%.256s` closed its standard output: %.512s", child->command, said);
  }
  return MB_FAIL(MB_ERR_IO, "`%.256s` %s %d: %.512s", child->command,
                 how.si_code == CLD_EXITED ? "ended with exit status" : "was killed by signal",
                 how.si_status, said);
}

static mb_status fail_late(mb_child *child, double seconds) {
  take_error_output(child);
  return MB_FAIL(MB_ERR_IO, "`%.256s` did not answer within %g s, and was stopped: %.512s",
                 child->command, seconds, last_line(child));
}

/* Waits a little for the program to take or to give something. */
static void await(mb_child *child, bool sending, double end) {
  double left_ms = 1e3 * (end - mb_clock_seconds());
  int pause_ms = left_ms > PATIENCE_MS ? PATIENCE_MS : left_ms > 0 ? (int)left_ms + 1 : 0;
  struct pollfd ways[] = {{.fd = sending ? child->in : -1, .events = POLLOUT},
                          {.fd = child->out, .events = POLLIN},
                          {.fd = child->err, .events = POLLIN}};

  (void)poll(ways, 3, pause_ms);
  take_error_output(child);
}

static mb_status check_patience(mb_child *child, double end, double seconds) {
  MB_TRY(mb_interrupt_check());
  return mb_clock_seconds() < end ? MB_OK : fail_late(child, seconds);
}

static mb_status send_line(mb_child *child, const char *line, double end, double seconds) {
  size_t length = strlen(line);

  for (size_t sent = 0; sent < length;) {
    MB_TRY(check_patience(child, end, seconds));
    ssize_t put = write(child->in, line + sent, length - sent);
    if (put >= 0) {
      sent += (size_t)put;
    } else if (errno == EAGAIN) {
      await(child, true, end);
    } else if (errno != EINTR) {
      return fail_ended(child);
    }
  }
  return MB_OK;
}

/* Moves the first line that has come into `answer`; false: none has come whole. */
static bool take_line(mb_child *child, char *answer) {
  char *newline = memchr(child->line, '\n', child->n_line);

  if (newline == NULL) {
    return false;
  }
  size_t length = (size_t)(newline - child->line);
  memcpy(answer, child->line, length);
  answer[length] = '\0';
  child->n_line -= length + 1;
  memmove(child->line, newline + 1, child->n_line);
  return true;
}

static mb_status receive_line(mb_child *child, double end, double seconds, char *answer) {
  siginfo_t how;

  while (!take_line(child, answer)) {
    size_t room = sizeof child->line - child->n_line;
    if (room == 0) {
      return MB_FAIL(MB_ERR_IO, "`%.256s` said more than %d bytes without a newline",
                     child->command, MB_CHILD_LINE_SIZE);
    }
    MB_TRY(check_patience(child, end, seconds));
    /* Asked before reading: what it said last is then read, whoever else holds the pipe. */
    bool ended = has_ended(child, &how);
    ssize_t got = read(child->out, child->line + child->n_line, room);
    if (got > 0) {
      child->n_line += (size_t)got;
    } else if (got == 0 || ended) {
      return fail_ended(child);
    } else {
      await(child, false, end);
    }
  }
  return MB_OK;
}

mb_status mb_child_ask(mb_child *child, const char *request, double timeout_seconds, char *answer) {
  double end = mb_clock_seconds() + timeout_seconds;

  if (request != NULL) {
    MB_TRY(send_line(child, request, end, timeout_seconds));
  }
  return receive_line(child, end, timeout_seconds, answer);
}
