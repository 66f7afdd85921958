/* workloads/input.c */
#include "workloads/input.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mb_status mb_input_open(const char *path, mb_input *input) {
  /* Without O_NONBLOCK a pipe would wait for its writer. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  return mb_input_open_fd(path, fd, input);
}

mb_status mb_input_open_fd(const char *path, int fd, mb_input *input) {
  struct stat about;

  if (fstat(fd, &about) != 0) {
    int why = errno;
    (void)close(fd);
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(why));
  }
  if (S_ISDIR(about.st_mode)) {
    (void)close(fd);
    *input = (mb_input){.path = path, .fd = -1, .is_folder = true};
    return MB_OK;
  }
  if (!S_ISREG(about.st_mode)) {
    (void)close(fd);
    return MB_FAIL(MB_ERR_IO, "%s: is neither a file nor a folder", path);
  }
  *input = (mb_input){.path = path, .fd = fd, .size = (uint64_t)about.st_size};
  return MB_OK;
}

void mb_input_close(mb_input *input) {
  if (input->path != NULL && input->fd >= 0) {
    (void)close(input->fd);
  }
  *input = (mb_input){.fd = -1};
}

static mb_status fail_end(const mb_input *input, const char *what, uint64_t offset, size_t n) {
  return MB_FAIL(MB_ERR_FORMAT,
                 "%s: ends after %" PRIu64 " bytes, where bytes %" PRIu64 " to %" PRIu64
                 " should be %s: it was cut off, or is damaged",
                 input->path, input->size, offset, offset + n - 1, what);
}

mb_status mb_input_read(const mb_input *input, const char *what, uint64_t offset, size_t n,
                        void *bytes) {
  size_t done = 0;

  if (n == 0) {
    return MB_OK;
  }
  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a file", input->path);
  }
  if (offset > input->size || n > input->size - offset) {
    return fail_end(input, what, offset, n);
  }
  while (done < n) {
    ssize_t got = pread(input->fd, (char *)bytes + done, n - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", input->path, strerror(errno));
    }
    if (got == 0) {
      return MB_FAIL(MB_ERR_IO, "%s: has become shorter while it was read", input->path);
    }
    done += (size_t)got;
  }
  return MB_OK;
}

bool mb_input_begins(const mb_input *input, const void *bytes, size_t n) {
  char head[64];

  assert(n <= sizeof head);
  return !input->is_folder && input->size >= n && pread(input->fd, head, n, 0) == (ssize_t)n &&
         memcmp(head, bytes, n) == 0;
}

mb_status mb_input_text(const mb_input *input, size_t most, char **text, size_t *length) {
  if (input->size > most) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %" PRIu64 " bytes, and should have at most %zu",
                   input->path, input->size, most);
  }
  size_t n = (size_t)input->size;
  char *made = malloc(n + 1);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the %zu bytes of %s", n, input->path);
  }
  mb_status status = mb_input_read(input, "text", 0, n, made);
  if (status == MB_OK && memchr(made, '\0', n) != NULL) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: is not text: it has a byte 0", input->path);
  }
  if (status != MB_OK) {
    free(made);
    return status;
  }
  made[n] = '\0';
  *text = made;
  *length = n;
  return MB_OK;
}
