/* workloads/torch_file.h - what torch.save() writes (the zip format, torch 1.6 and later). */
#ifndef MB_WORKLOADS_TORCH_FILE_H
#define MB_WORKLOADS_TORCH_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"
#include "workloads/unpickle.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open file: its objects are in memory, its tensors' numbers aren't. Not for use by two threads
 * at once. */
typedef struct mb_torch_file mb_torch_file;

/** Whether it begins as such a file does. */
bool mb_torch_recognise(const mb_input *input);

/**
 * @param input Borrowed as long as the file is open.
 * @param file  Transferred: mb_torch_close() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT; MB_ERR_UNSUPPORTED for torch's older format, and as mb_unpickle();
 *         MB_ERR_MEMORY; MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_torch_open(const mb_input *input, mb_torch_file **file);
void mb_torch_close(mb_torch_file *file); /* NULL is fine */

/** What was saved. Borrows from the file. */
mb_py mb_torch_root(const mb_torch_file *file);

/**
 * Whether the numbers that a tensor says it has are there: before that is known, its sizes are only
 * what the pickle claims, up to 2^63, and nothing should be allocated by them.
 * @return as mb_torch_read_counts().
 */
MB_NODISCARD mb_status mb_torch_check(mb_torch_file *file, const char *name,
                                      const mb_tensor *tensor);

/**
 * Rows [first, first + n) of a tensor's first dimension, in C order whatever its strides, as loads.
 *
 * @param name   the tensor, for messages. @param tensor of this file, of 1 dimension or more.
 * @param counts [n, dims[1], ...] caller-owned; contents unspecified on failure.
 * @return MB_OK; MB_ERR_FORMAT naming file, tensor and index, and what would be right; MB_ERR_IO;
 *         MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_torch_read_counts(mb_torch_file *file, const char *name,
                                            const mb_tensor *tensor, uint64_t first, uint64_t n,
                                            uint32_t *counts);

/** The same as whole numbers of either sign. */
MB_NODISCARD mb_status mb_torch_read_ints(mb_torch_file *file, const char *name,
                                          const mb_tensor *tensor, uint64_t first, uint64_t n,
                                          int64_t *ints);

#ifdef __cplusplus
}
#endif

#endif
