/* workloads/input.h - a file or folder that somebody else wrote, and that nothing is known about.
 */
#ifndef MB_WORKLOADS_INPUT_H
#define MB_WORKLOADS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An input that is open for reading. A file may shrink while it is read: every read is checked. */
typedef struct mb_input {
  const char *path; /* for messages; borrowed */
  uint64_t size;    /* bytes when it was opened; 0 of a folder */
  int fd;           /* -1 of a folder */
  bool is_folder;
} mb_input;

/**
 * @param path  Borrowed as long as the input is open.
 * @param input mb_input_close() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO: no such file, no permission, neither file nor folder.
 */
MB_NODISCARD mb_status mb_input_open(const char *path, mb_input *input);

/** The same of a descriptor, which becomes the input's own; for tests. */
MB_NODISCARD mb_status mb_input_open_fd(const char *path, int fd, mb_input *input);

void mb_input_close(mb_input *input); /* one of zeros is fine */

/**
 * Reads bytes [offset, offset + n), all of them.
 * @return MB_OK; MB_ERR_FORMAT "PATH: ends after S bytes, where bytes A to B of WHAT should be";
 *         MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_input_read(const mb_input *input, const char *what, uint64_t offset,
                                     size_t n, void *bytes);

/** Whether it is a file that begins with those bytes. */
bool mb_input_begins(const mb_input *input, const void *bytes, size_t n);

/**
 * All of a file as text with a NUL behind it, for formats that are small.
 * @param text Transferred: free() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT where it has more than `most` bytes, or a NUL within; MB_ERR_IO;
 *         MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_input_text(const mb_input *input, size_t most, char **text,
                                     size_t *length);

#ifdef __cplusplus
}
#endif

#endif
