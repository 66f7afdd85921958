/* experiments/progress.c */
#include "experiments/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "sim/clock.h"

void mb_progress_start(mb_progress *progress, const char *what, size_t total, bool quiet) {
  *progress = (mb_progress){.what = what,
                            .total = total,
                            .started = mb_clock_seconds(),
                            .visible = !quiet && isatty(STDERR_FILENO)};
}

/* "about 3 min left": no more digits than the estimate is worth. */
static void format_left(double seconds, char *buffer, size_t size) {
  if (seconds < 90) {
    (void)snprintf(buffer, size, "about %.0f s left", seconds < 1 ? 1 : seconds);
  } else if (seconds < 5400) {
    (void)snprintf(buffer, size, "about %.0f min left", seconds / 60);
  } else {
    (void)snprintf(buffer, size, "about %.1f h left", seconds / 3600);
  }
}

char *mb_progress_format(const char *what, size_t done, size_t total, double seconds, char *buffer,
                         size_t size) {
  char left[64] = "";

  if (total == 0) {
    (void)snprintf(buffer, size, "%zu %s", done, what);
    return buffer;
  }
  /* The first moments say nothing of the pace. */
  if (done > 0 && done < total && seconds >= 0.5) {
    format_left(seconds * (double)(total - done) / (double)done, left, sizeof left);
  }
  (void)snprintf(buffer, size, "%zu of %zu %s (%.0f %%)%s%s", done, total, what,
                 100.0 * (double)done / (double)total, left[0] != '\0' ? ", " : "", left);
  return buffer;
}

void mb_progress_update(mb_progress *progress, size_t done) {
  mb_progress_update_detail(progress, done, "");
}

void mb_progress_update_detail(mb_progress *progress, size_t done, const char *detail) {
  char line[160];
  double time = mb_clock_seconds();

  if (!progress->visible || time - progress->shown < 0.2) {
    return;
  }
  progress->shown = time;
  (void)mb_progress_format(progress->what, done, progress->total, time - progress->started, line,
                           sizeof line);
  /* Back to the line's start, the text, and what is left of the older one wiped away. */
  (void)fprintf(stderr, "\r%s%s\033[K", line, detail);
  (void)fflush(stderr);
}

void mb_progress_end(mb_progress *progress) {
  if (progress->visible && progress->shown > 0) {
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
  }
  progress->visible = false;
}
