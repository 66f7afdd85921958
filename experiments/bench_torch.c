/* experiments/bench_torch.c
 *
 * One process for all problems, since loading torch takes seconds; it is asked through pipes.
 */
#include "experiments/bench_torch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/data_folder.h"
#include "experiments/interrupt.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the pipes carry little-endian numbers as they are in memory"
#endif

extern char **environ;

enum { PATIENCE_MS = 100, NAME_SIZE = 128, STRATEGY_SIZE = 16 };

struct mb_torch {
  pid_t child;
  int requests, answers; /* ends of pipes */
  FILE *said;            /* what the process wrote to standard error */
  struct {
    char version[NAME_SIZE];
    char gpu[NAME_SIZE];
  } greeting;
};

typedef struct request {
  int64_t sizes[6];
  char strategy[STRATEGY_SIZE];
  int64_t bits;
  int64_t gpu;
} request;

typedef struct answer {
  double seconds;
  int64_t rounds, swaps;
} answer;

/* --- the process --- */

static const char *python_name(void) {
  const char *named = getenv("MOEBAL_PYTHON");

  return named != NULL && *named != '\0' ? named : "python3";
}

/* Starts Python with its ends of the pipes; returns 0 or an errno. */
static int spawn(mb_torch *torch, const char *script, int input, int output) {
  char *arguments[] = {(char *)python_name(), (char *)"-W", (char *)"ignore", (char *)script, NULL};
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);

  if (error != 0) {
    return error;
  }
  error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  error = error != 0
              ? error
              : posix_spawn_file_actions_adddup2(&actions, fileno(torch->said), STDERR_FILENO);
  error = error != 0
              ? error
              : posix_spawnp(&torch->child, arguments[0], &actions, NULL, arguments, environ);
  (void)posix_spawn_file_actions_destroy(&actions);
  return error;
}

static void close_end(int *end) {
  if (*end >= 0) {
    (void)close(*end);
  }
  *end = -1;
}

static mb_status start_process(mb_torch *torch, const char *script) {
  int input[2] = {-1, -1};
  int output[2] = {-1, -1};
  int error = 0;

  torch->said = tmpfile();
  if (torch->said == NULL || pipe(input) != 0 || pipe(output) != 0) {
    error = errno;
  } else {
    (void)fcntl(input[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(output[0], F_SETFD, FD_CLOEXEC);
    error = spawn(torch, script, input[0], output[1]);
  }
  torch->requests = input[1];
  torch->answers = output[0];
  close_end(&input[0]);
  close_end(&output[1]);
  if (error != 0) {
    torch->child = 0;
    return MB_FAIL(error == ENOENT ? MB_ERR_UNSUPPORTED : MB_ERR_IO,
                   "%s cannot be started: %s; MOEBAL_PYTHON names the Python that has torch",
                   python_name(), strerror(error));
  }
  return MB_OK;
}

/* The last line that Python wrote to standard error: what was wrong, after a traceback. */
static void last_words(FILE *said, char *line, size_t size) {
  char next[512];

  (void)snprintf(line, size, "it does not say why");
  rewind(said);
  while (fgets(next, sizeof next, said) != NULL) {
    next[strcspn(next, "\r\n")] = '\0';
    if (next[strspn(next, " \t")] != '\0') {
      (void)snprintf(line, size, "%s", next);
    }
  }
}

/* Whoever wants to stop the program does not want to wait for torch. */
static mb_status stopped(mb_torch *torch) {
  if (mb_interrupted()) {
    (void)kill(torch->child, SIGKILL);
    return mb_interrupt_check();
  }
  return MB_OK;
}

static mb_status failed(mb_torch *torch) {
  char said[512];

  last_words(torch->said, said, sizeof said);
  return MB_FAIL(MB_ERR_IO, "the torch baseline has ended: %s", said);
}

static mb_status receive(mb_torch *torch, void *data, size_t size) {
  char *to = data;

  while (size > 0) {
    struct pollfd ready = {.fd = torch->answers, .events = POLLIN};
    MB_TRY(stopped(torch));
    if (poll(&ready, 1, PATIENCE_MS) <= 0) {
      continue;
    }
    ssize_t got = read(torch->answers, to, size);
    if (got == 0 || (got < 0 && errno != EINTR)) {
      return failed(torch);
    }
    to += got > 0 ? got : 0;
    size -= got > 0 ? (size_t)got : 0;
  }
  return MB_OK;
}

static mb_status transmit(mb_torch *torch, const void *data, size_t size) {
  const char *from = data;

  while (size > 0) {
    MB_TRY(stopped(torch));
    ssize_t put = write(torch->requests, from, size);
    if (put < 0 && errno != EINTR) {
      return failed(torch);
    }
    from += put > 0 ? put : 0;
    size -= put > 0 ? (size_t)put : 0;
  }
  return MB_OK;
}

/* --- what callers see --- */

/* The script ends with a single line where torch cannot be imported. */
static mb_status greet(mb_torch *torch) {
  char said[512];
  mb_status status = receive(torch, &torch->greeting, sizeof torch->greeting);

  if (status == MB_ERR_IO) {
    last_words(torch->said, said, sizeof said);
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: %s; `pip install torch --index-url "
                   "https://download.pytorch.org/whl/cpu` installs torch, and MOEBAL_PYTHON names "
                   "another Python",
                   python_name(), said);
  }
  torch->greeting.version[NAME_SIZE - 1] = '\0';
  torch->greeting.gpu[NAME_SIZE - 1] = '\0';
  return status;
}

mb_status mb_torch_start(mb_torch **torch) {
  static const mb_data_place place = {.variable = "MOEBAL_BASELINE",
                                      .installed = MB_BASELINE_INSTALLED,
                                      .source = MB_BASELINE_SOURCE,
                                      .file = "torch_baseline.py"};
  char script[PATH_MAX + 32];

  MB_TRY(mb_data_folder(&place, PATH_MAX, script));
  (void)snprintf(script + strlen(script), 32, "/%s", place.file);
  mb_torch *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the torch baseline");
  }
  made->requests = -1;
  made->answers = -1;
  mb_status status = start_process(made, script);
  status = status == MB_OK ? greet(made) : status;
  if (status != MB_OK) {
    mb_torch_stop(made);
    return status;
  }
  *torch = made;
  return MB_OK;
}

const char *mb_torch_version(const mb_torch *torch) {
  return torch->greeting.version;
}

const char *mb_torch_gpu(const mb_torch *torch) {
  return torch->greeting.gpu;
}

mb_status mb_torch_rebalance(mb_torch *torch, mb_torch_mode mode, const mb_shape *shape,
                             const double *load, const char *strategy, mb_placement *placement,
                             mb_pack_stats *stats, double *seconds) {
  const size_t n_load = shape->n_layers * shape->n_experts;
  request ask = {.sizes = {(int64_t)shape->n_layers, (int64_t)shape->n_experts,
                           (int64_t)shape->n_slots, (int64_t)shape->n_groups,
                           (int64_t)shape->n_nodes, (int64_t)shape->n_gpus},
                 .bits = mode == MB_TORCH_CPU_DOUBLE ? 64 : 32,
                 .gpu = mode == MB_TORCH_GPU_FLOAT};
  answer got;

  (void)snprintf(ask.strategy, sizeof ask.strategy, "%s", strategy);
  MB_TRY(transmit(torch, &ask, sizeof ask));
  MB_TRY(transmit(torch, load, n_load * sizeof *load));
  MB_TRY(receive(torch, &got, sizeof got));
  MB_TRY(receive(torch, placement->physical_to_logical_map,
                 shape->n_layers * shape->n_slots * sizeof(int32_t)));
  MB_TRY(receive(torch, placement->logical_to_physical_map,
                 n_load * mb_shape_max_replicas(shape) * sizeof(int32_t)));
  MB_TRY(receive(torch, placement->expert_count, n_load * sizeof(int32_t)));
  *stats = (mb_pack_stats){.rounds = got.rounds, .swaps = got.swaps};
  *seconds = got.seconds;
  return MB_OK;
}

void mb_torch_stop(mb_torch *torch) {
  if (torch == NULL) {
    return;
  }
  close_end(&torch->requests); /* the end of its input ends the script */
  close_end(&torch->answers);
  if (torch->child > 0) {
    (void)kill(torch->child, SIGTERM);
    while (waitpid(torch->child, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  if (torch->said != NULL) {
    (void)fclose(torch->said);
  }
  free(torch);
}
