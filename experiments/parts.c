/* experiments/parts.c - the folder and its locks; manifest.c has what the parts are of. */
#include "experiments/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "experiments/interrupt.h"
#include "experiments/manifest.h"
#include "workloads/new_file.h"

/* How long to wait for processes that were killed a moment ago. */
enum { PATIENCE_MS = 5000, PAUSE_MS = 20 };

struct mb_parts {
  const mb_sweep *sweep;
  char *output, *folder, *merged;
  int lock; /* a file that nobody else of this process opens: closing it would drop the locks */
};

/* --- names --- */

static char *join(const char *a, const char *b, const char *c) {
  size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
  char *made = malloc(size);

  if (made != NULL) {
    (void)snprintf(made, size, "%s%s%s", a, b, c);
  }
  return made;
}

static bool exists(const char *path) {
  return path != NULL && access(path, F_OK) == 0;
}

char *mb_parts_path(const mb_parts *parts, const char *name, const char *ending) {
  char *start = join(parts->folder, "/", name);
  char *path = start != NULL ? join(start, ending, "") : NULL;

  free(start);
  return path;
}

static char *cell_path(const mb_parts *parts, size_t cell, const char *ending) {
  return mb_parts_path(parts, parts->sweep->cell[cell].config->name, ending);
}

static bool has_file(const mb_parts *parts, size_t cell, const char *ending) {
  char *path = cell_path(parts, cell, ending);
  bool found = exists(path);

  free(path);
  return found;
}

bool mb_parts_is_finished(const mb_parts *parts, size_t cell) {
  return has_file(parts, cell, ".h5");
}

static bool has_died(const mb_parts *parts, size_t cell) {
  return has_file(parts, cell, ".died");
}

bool mb_parts_is_failed(const mb_parts *parts, size_t cell) {
  return has_file(parts, cell, ".error") || has_died(parts, cell);
}

bool mb_parts_is_done(const mb_parts *parts, size_t cell) {
  return mb_parts_is_finished(parts, cell) || mb_parts_is_failed(parts, cell);
}

static mb_status no_memory(const char *output) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", output);
}

/* --- what is in the folder --- */

static bool ends_with(const char *name, const char *ending) {
  size_t length = strlen(name);
  size_t n = strlen(ending);

  return length >= n && strcmp(name + length - n, ending) == 0;
}

/* A name of mb_new_file_open() that did not get to its end. */
static bool is_temporary(const char *name) {
  static const char mark[] = ".part-";
  enum { RANDOM = 6 };
  size_t length = strlen(name);

  return length > sizeof mark - 1 + RANDOM && strchr(name + length - RANDOM, '.') == NULL &&
         strncmp(name + length - RANDOM - (sizeof mark - 1), mark, sizeof mark - 1) == 0;
}

/* Left half, of a failure, or made for the parts. */
static bool is_leftover(const char *name) {
  return is_temporary(name) || ends_with(name, ".error") || ends_with(name, ".died") ||
         ends_with(name, ".loads");
}

static bool is_anything(const char *name) {
  return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void remove_files(const char *path, bool (*is_meant)(const char *name)) {
  DIR *folder = opendir(path);

  if (folder == NULL) {
    return;
  }
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (is_meant(entry->d_name)) {
      (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
  }
  (void)closedir(folder);
}

static void remove_folder(const char *path) {
  remove_files(path, is_anything);
  (void)rmdir(path);
}

void mb_parts_clean(const char *output) {
  char *done = join(output, ".parts.done", "");

  if (done != NULL) {
    remove_folder(done);
  }
  free(done);
}

bool mb_parts_are_there(const char *output) {
  char *folder = join(output, ".parts", "");
  bool found = exists(folder);

  free(folder);
  return found;
}

/* --- locks --- */

/* Byte 0 is the leader's, then come the cells', then those of the loads that they share. */
static mb_status lock_byte(const mb_parts *parts, size_t byte, bool *taken) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

  *taken = fcntl(parts->lock, F_SETLK, &lock) == 0;
  if (!*taken && errno != EAGAIN && errno != EACCES) {
    return MB_FAIL(MB_ERR_IO, "%s/lock: cannot be locked: %s", parts->folder, strerror(errno));
  }
  return MB_OK;
}

static void unlock_byte(const mb_parts *parts, size_t byte) {
  struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};

  (void)fcntl(parts->lock, F_SETLK, &lock);
}

/* Whether the lock is still the folder's, which another run may have finished meanwhile. */
bool mb_parts_are_in_place(const mb_parts *parts) {
  char *path = mb_parts_path(parts, "lock", "");
  struct stat there;
  struct stat opened;
  bool same = path != NULL && stat(path, &there) == 0 && fstat(parts->lock, &opened) == 0 &&
              there.st_dev == opened.st_dev && there.st_ino == opened.st_ino;

  free(path);
  return same;
}

mb_status mb_parts_claim(const mb_parts *parts, size_t cell, bool *claimed) {
  MB_TRY(lock_byte(parts, 1 + cell, claimed));
  *claimed = *claimed && mb_parts_are_in_place(parts);
  return MB_OK;
}

void mb_parts_release(const mb_parts *parts, size_t cell) {
  unlock_byte(parts, 1 + cell);
}

mb_status mb_parts_claim_loads(const mb_parts *parts, size_t cell, bool *claimed) {
  return lock_byte(parts, 1 + parts->sweep->n_cells + cell, claimed);
}

void mb_parts_release_loads(const mb_parts *parts, size_t cell) {
  unlock_byte(parts, 1 + parts->sweep->n_cells + cell);
}

/* The process that has a lock on any byte from `first` on; 0: nobody else. */
static long find_owner(const mb_parts *parts, off_t first) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = 0};

  return fcntl(parts->lock, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? (long)lock.l_pid : 0;
}

/* @param flags O_CREAT, or 0: a file that is not there is left so. */
static mb_status open_lock(mb_parts *parts, int flags) {
  char *path = mb_parts_path(parts, "lock", "");

  if (path == NULL) {
    return no_memory(parts->output);
  }
  parts->lock = open(path, O_RDWR | O_CLOEXEC | flags, 0666);
  mb_status status = MB_OK;
  if (parts->lock < 0 && (errno != ENOENT || flags != 0)) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
  }
  free(path);
  return status;
}

/* Workers of a run that was killed may be dying still; others are not waited for long. */
static mb_status take_lead(const mb_parts *parts) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
  bool leads = false;

  for (int waited = 0; waited < PATIENCE_MS; waited += PAUSE_MS) {
    MB_TRY(mb_interrupt_check());
    MB_TRY(lock_byte(parts, 0, &leads));
    if (leads && find_owner(parts, 1) == 0) {
      return mb_parts_are_in_place(parts)
                 ? MB_OK
                 : MB_FAIL(MB_ERR_IO, "%s: another run has just finished", parts->output);
    }
    (void)nanosleep(&pause, NULL);
  }
  return MB_FAIL(MB_ERR_IO, "%s: another run is at work on it: process %ld", parts->output,
                 find_owner(parts, leads ? 1 : 0));
}

static bool has_parts(const mb_parts *parts) {
  for (size_t i = 0; i < parts->sweep->n_cells; i++) {
    if (mb_parts_is_finished(parts, i)) {
      return true;
    }
  }
  return false;
}

/* --- texts --- */

static void put_text(FILE *stream, const void *text) {
  (void)fputs(text, stream);
}

static mb_status write_text(const char *path, const char *text) {
  return mb_new_file_write(path, put_text, text);
}

static mb_status read_text(const char *path, char **text) {
  FILE *stream = fopen(path, "rb");
  char *made = NULL;
  size_t size = 0;

  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  errno = 0;
  ssize_t n = getdelim(&made, &size, '\0', stream);
  bool failed = n < 0 && (ferror(stream) != 0 || errno == ENOMEM);
  int why = errno;
  (void)fclose(stream);
  if (failed || (n < 0 && made == NULL)) {
    free(made);
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(why));
  }
  made[n > 0 ? n : 0] = '\0';
  *text = made;
  return MB_OK;
}

static mb_status put_message(const mb_parts *parts, size_t cell, const char *ending,
                             const char *message) {
  char *path = cell_path(parts, cell, ending);
  mb_status status = path != NULL ? write_text(path, message) : no_memory(parts->output);

  free(path);
  return status;
}

mb_status mb_parts_put_error(const mb_parts *parts, size_t cell, const char *message) {
  return put_message(parts, cell, ".error", message);
}

mb_status mb_parts_put_death(const mb_parts *parts, size_t cell, const char *message) {
  return put_message(parts, cell, ".died", message);
}

mb_status mb_parts_get_error(const mb_parts *parts, size_t cell, char **message) {
  char *path = cell_path(parts, cell, has_died(parts, cell) ? ".died" : ".error");
  mb_status status = path != NULL ? read_text(path, message) : no_memory(parts->output);

  free(path);
  return status;
}

/* --- what the parts are of --- */

static mb_status check_manifest(const mb_parts *parts, const char *path, const char *ours) {
  char *theirs = NULL;

  MB_TRY(read_text(path, &theirs));
  mb_status status = mb_manifest_compare(theirs, ours);
  free(theirs);
  if (status != MB_OK) {
    return MB_FAIL(status, "%s: is of another run: %s; remove it, or give another --output",
                   parts->folder, mb_error_message());
  }
  return MB_OK;
}

static mb_status settle_manifest(const mb_parts *parts) {
  char *path = mb_parts_path(parts, "manifest", "");
  char *ours = NULL;
  mb_status status =
      path != NULL ? mb_manifest_format(parts->sweep, &ours) : no_memory(parts->output);

  if (status == MB_OK && exists(path)) {
    status = check_manifest(parts, path, ours);
  } else if (status == MB_OK && has_parts(parts)) {
    status = MB_FAIL(MB_ERR_IO, "%s: has parts, but no manifest: nobody knows what they are of",
                     parts->folder);
  } else if (status == MB_OK) {
    status = write_text(path, ours);
  }
  free(ours);
  free(path);
  return status;
}

/* Once the leader has finished there is nothing to compare with, nor to do. */
static mb_status check_joined(const mb_parts *parts) {
  char *path = mb_parts_path(parts, "manifest", "");
  char *ours = NULL;
  mb_status status =
      path != NULL ? mb_manifest_format(parts->sweep, &ours) : no_memory(parts->output);

  if (status == MB_OK) {
    status = check_manifest(parts, path, ours);
  }
  free(ours);
  free(path);
  return status == MB_OK || mb_parts_are_in_place(parts) ? status : MB_OK;
}

/* --- beginning and end --- */

static mb_status make(const mb_sweep *sweep, const char *output, mb_parts **parts) {
  mb_parts *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return no_memory(output);
  }
  made->sweep = sweep;
  made->lock = -1;
  made->output = strdup(output);
  made->folder = join(output, ".parts", "");
  made->merged = made->folder != NULL ? mb_parts_path(made, "merged", ".results") : NULL;
  if (made->output == NULL || made->folder == NULL || made->merged == NULL) {
    mb_parts_close(made);
    return no_memory(output);
  }
  *parts = made;
  return MB_OK;
}

static mb_status make_folder(const mb_parts *parts, bool resume) {
  if (mkdir(parts->folder, 0777) == 0 || (errno == EEXIST && resume)) {
    return MB_OK;
  }
  if (errno == EEXIST) {
    return MB_FAIL(MB_ERR_IO,
                   "%s: is there, with what an earlier run has finished: go on with --resume, or "
                   "remove it",
                   parts->folder);
  }
  return MB_FAIL(MB_ERR_IO, "%s: cannot be made: %s", parts->folder, strerror(errno));
}

static mb_status lead(mb_parts *parts, bool resume) {
  MB_TRY(make_folder(parts, resume));
  MB_TRY(open_lock(parts, O_CREAT));
  MB_TRY(take_lead(parts));
  MB_TRY(settle_manifest(parts));
  remove_files(parts->folder, is_leftover);
  return MB_OK;
}

mb_status mb_parts_open(const mb_sweep *sweep, const char *output, bool resume, mb_parts **parts) {
  mb_parts *made = NULL;

  MB_TRY(make(sweep, output, &made));
  mb_status status = lead(made, resume);
  if (status != MB_OK) {
    mb_parts_close(made);
    return status;
  }
  *parts = made;
  return MB_OK;
}

mb_status mb_parts_join(const mb_sweep *sweep, const char *output, mb_parts **parts) {
  mb_parts *made = NULL;

  MB_TRY(make(sweep, output, &made));
  mb_status status = open_lock(made, 0);
  if (status == MB_OK && made->lock >= 0) {
    status = check_joined(made);
  }
  if (status != MB_OK || made->lock < 0 || !mb_parts_are_in_place(made)) {
    mb_parts_close(made);
    made = NULL;
  }
  MB_TRY(status);
  *parts = made;
  return MB_OK;
}

void mb_parts_close(mb_parts *parts) {
  if (parts == NULL) {
    return;
  }
  if (parts->lock >= 0) {
    (void)close(parts->lock);
  }
  free(parts->merged);
  free(parts->folder);
  free(parts->output);
  free(parts);
}

const char *mb_parts_merged(const mb_parts *parts) {
  return parts->merged;
}

void mb_parts_tidy(const mb_parts *parts) {
  remove_files(parts->folder, is_temporary);
}

static bool has_deaths(const mb_parts *parts) {
  for (size_t i = 0; i < parts->sweep->n_cells; i++) {
    if (has_died(parts, i)) {
      return true;
    }
  }
  return false;
}

/* A folder of that name is of finished work only once the output is there; then it has another, so
 * that a kill while its files go cannot make it look like work half done. */
static mb_status finish(const mb_parts *parts) {
  char *done = join(parts->folder, ".done", "");

  if (done == NULL) {
    return no_memory(parts->output);
  }
  mb_status status = MB_OK;
  bool stays = has_deaths(parts);
  if (rename(parts->merged, parts->output) != 0) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be given its name: %s", parts->output, strerror(errno));
  } else if (!stays && rename(parts->folder, done) != 0) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be removed: %s", parts->folder, strerror(errno));
  } else if (!stays) {
    remove_folder(done);
  }
  free(done);
  return status;
}

mb_status mb_parts_finish(mb_parts *parts) {
  mb_status status = finish(parts);

  mb_parts_close(parts);
  return status;
}

void mb_parts_discard(mb_parts *parts) {
  remove_folder(parts->folder);
  mb_parts_close(parts);
}
