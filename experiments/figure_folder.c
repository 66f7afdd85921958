/* experiments/figure_folder.c */
#include "experiments/figure_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/gnuplot.h"

mb_status mb_figure_folder_make(const char *folder, bool *made) {
  struct stat there;

  *made = mkdir(folder, 0777) == 0;
  int why = errno;
  if (!*made && (stat(folder, &there) != 0 || !S_ISDIR(there.st_mode))) {
    return MB_FAIL(MB_ERR_IO, "folder %s cannot be made: %s", folder, strerror(why));
  }
  if (access(folder, W_OK | X_OK) != 0) {
    return MB_FAIL(MB_ERR_IO, "folder %s cannot be written to: %s", folder, strerror(errno));
  }
  return MB_OK;
}

mb_status mb_figure_folder_path(char path[PATH_MAX], const char *folder, const char *name,
                                const char *ending) {
  int length = snprintf(path, PATH_MAX, "%s/%s.%s", folder, name, ending);

  return length > 0 && length < PATH_MAX
             ? MB_OK
             : MB_FAIL(MB_ERR_IO, "%s: too long a path for %s.%s", folder, name, ending);
}

mb_status mb_figure_folder_put_text(const char *path, const char *text) {
  char temporary[PATH_MAX];
  int length = snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid());

  if (length < 0 || length >= PATH_MAX) {
    return MB_FAIL(MB_ERR_IO, "%s: too long a path", path);
  }
  FILE *file = fopen(temporary, "w");
  if (file == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
  }
  errno = 0;
  bool written = fputs(text, file) >= 0;
  written = fclose(file) == 0 && written;
  if (!written || rename(temporary, path) != 0) {
    int error = errno;
    (void)unlink(temporary);
    return MB_FAIL(MB_ERR_IO, "%s cannot be written: %s", path, strerror(error));
  }
  return MB_OK;
}

mb_status mb_figure_folder_draw(const char *folder, const char *scripts, const char *name,
                                const char *format) {
  char script[PATH_MAX];
  char table[PATH_MAX];
  char figure[PATH_MAX];

  MB_TRY(mb_figure_folder_path(script, scripts, name, "gp"));
  MB_TRY(mb_figure_folder_path(table, folder, name, "tsv"));
  MB_TRY(mb_figure_folder_path(figure, folder, name, format));
  MB_TRY(mb_gnuplot_draw(script, table, figure));
  (void)printf("%s\n", figure);
  return MB_OK;
}
