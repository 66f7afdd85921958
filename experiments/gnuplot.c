/* experiments/gnuplot.c */
#include "experiments/gnuplot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/data_folder.h"
#include "experiments/interrupt.h"

extern char **environ;

enum { SAID_SIZE = 4096, PATIENCE_MS = 100 };

mb_status mb_gnuplot_scripts(size_t size, char *folder) {
  static const mb_data_place place = {.variable = "MOEBAL_PLOTS",
                                      .installed = MB_PLOTS_INSTALLED,
                                      .source = MB_PLOTS_SOURCE,
                                      .file = "style.gp"};

  return mb_data_folder(&place, size, folder);
}

/* --- running it --- */

/* Starts gnuplot with what it says going to `said`; returns 0 or an errno. */
static int start(char *const *arguments, int said, pid_t *child) {
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);

  if (error != 0) {
    return error;
  }
  error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
  error = error != 0 ? error : posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
  error =
      error != 0 ? error : posix_spawnp(child, arguments[0], &actions, NULL, arguments, environ);
  (void)posix_spawn_file_actions_destroy(&actions);
  return error;
}

/* Waits for something to read. A signal that comes just before the waiting cuts it short, too. */
static bool is_ready(int pipe_end) {
  struct pollfd ready = {.fd = pipe_end, .events = POLLIN};

  return poll(&ready, 1, PATIENCE_MS) > 0;
}

/* Reads all that the child says and keeps the last bytes, ended by '\0'. Whoever wants to stop the
 * program does not want to wait for gnuplot. */
static void listen_to(int pipe_end, pid_t child, char said[SAID_SIZE]) {
  size_t used = 0;
  bool killed = false;

  for (;;) {
    if (used == SAID_SIZE - 1) {
      used /= 2;
      memmove(said, said + SAID_SIZE - 1 - used, used);
    }
    bool ready = is_ready(pipe_end);
    if (!killed && mb_interrupted()) {
      killed = kill(child, SIGKILL) == 0;
    }
    ssize_t got = ready ? read(pipe_end, said + used, SAID_SIZE - 1 - used) : 0;
    if (ready && (got == 0 || (got < 0 && errno != EINTR))) {
      break;
    }
    used += got > 0 ? (size_t)got : 0;
  }
  said[used] = '\0';
}

/* The last line that says something: gnuplot shows the failing command, then what is wrong. */
static const char *last_line(char *said) {
  size_t length = strlen(said);

  while (length > 0 && strchr(" \t\r\n", said[length - 1]) != NULL) {
    said[--length] = '\0';
  }
  char *newline = strrchr(said, '\n');
  const char *line = newline != NULL ? newline + 1 : said;
  line += strspn(line, " \t");
  return *line != '\0' ? line : "it does not say why";
}

/* A gnuplot run to its end; `said` is what it printed. */
static mb_status run(char *const *arguments, char said[SAID_SIZE], int *state) {
  int ends[2];
  pid_t child = 0;

  if (pipe(ends) != 0) {
    return MB_FAIL(MB_ERR_IO, "no pipe to gnuplot: %s", strerror(errno));
  }
  (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  int error = start(arguments, ends[1], &child);
  (void)close(ends[1]);
  if (error == 0) {
    listen_to(ends[0], child, said);
    while (waitpid(child, state, 0) < 0 && errno == EINTR) {
    }
  }
  (void)close(ends[0]);
  if (error == ENOENT) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "gnuplot is not installed; on Debian and Ubuntu: "
                                       "apt-get install gnuplot-nox");
  }
  return error == 0 ? MB_OK : MB_FAIL(MB_ERR_IO, "gnuplot cannot be started: %s", strerror(error));
}

/* --- the figure --- */

/* Whether a file ends as its format does: gnuplot itself doesn't notice a full disk. */
static bool is_complete(const char *figure) {
  static const struct {
    const char *ending, *last;
  } formats[] = {{".pdf", "%%EOF"}, {".svg", "</svg>"}, {".png", "IEND"}};
  const char *ending = strrchr(figure, '.');
  char tail[32] = "";
  FILE *file = fopen(figure, "rb");

  if (file == NULL) {
    return false;
  }
  bool complete = false;
  if (fseek(file, -16, SEEK_END) == 0) {
    size_t got = fread(tail, 1, sizeof tail - 1, file);
    for (size_t i = 0; ending != NULL && i < sizeof formats / sizeof *formats; i++) {
      size_t length = strlen(formats[i].last);
      for (size_t at = 0; strcmp(ending, formats[i].ending) == 0 && at + length <= got; at++) {
        complete = complete || memcmp(tail + at, formats[i].last, length) == 0;
      }
    }
  }
  (void)fclose(file);
  return complete;
}

/* gnuplot takes a name that begins with '<' or '|' for a command, and '~' for a home. */
static const char *plain_prefix(const char *path) {
  return *path == '/' ? "" : "./";
}

static mb_status draw(const char *script, const char *table, const char *figure,
                      const char *temporary) {
  char *arguments[] = {"gnuplot",         "-d", "-c", (char *)script, (char *)table,
                       (char *)temporary, NULL};
  char said[SAID_SIZE];
  int state = 0;

  MB_TRY(run(arguments, said, &state));
  MB_TRY(mb_interrupt_check());
  if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s cannot be drawn: gnuplot: %s", figure, last_line(said));
  }
  if (!is_complete(temporary)) {
    return MB_FAIL(MB_ERR_IO, "%s cannot be written: gnuplot left it incomplete; is the disk full?",
                   figure);
  }
  if (rename(temporary, figure) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s cannot be written: %s", figure, strerror(errno));
  }
  return MB_OK;
}

mb_status mb_gnuplot_draw(const char *script, const char *table, const char *figure) {
  size_t size = strlen(table) + strlen(figure) + 64;
  char *paths = malloc(2 * size);
  const char *ending = strrchr(figure, '.');

  if (paths == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to draw %s", figure);
  }
  char *temporary = paths + size;
  (void)snprintf(paths, size, "%s%s", plain_prefix(table), table);
  (void)snprintf(temporary, size, "%s%s.tmp-%ld%s", plain_prefix(figure), figure, (long)getpid(),
                 ending != NULL ? ending : "");
  mb_status status = draw(script, paths, figure, temporary);
  (void)unlink(temporary); /* not there any more when all went well */
  free(paths);
  return status;
}
