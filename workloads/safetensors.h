/* workloads/safetensors.h - what is in a .safetensors file, and where.
 *
 * The file: 8 bytes, little-endian, that tell the size of the header; the header, a JSON object
 * {NAME: {"dtype", "shape", "data_offsets": [begin, end]}}, also with "__metadata__"; the data, to
 * which the offsets refer. All of the data must belong to exactly one tensor.
 */
#ifndef MB_WORKLOADS_SAFETENSORS_H
#define MB_WORKLOADS_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"
#include "workloads/number.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MB_SAFETENSOR_RANK_MAX = 8 };

typedef struct mb_safetensor {
  const char *name;
  mb_dtype dtype;
  size_t rank;
  uint64_t dims[MB_SAFETENSOR_RANK_MAX];
  uint64_t begin, size; /* bytes of the file: little-endian, C order */
} mb_safetensor;

typedef struct mb_safetensors mb_safetensors;

/**
 * Reads and checks the header: every dtype, shape and offset, and that nothing overlaps, lies open
 * or beyond the file's end.
 *
 * @param tensors Transferred: mb_safetensors_destroy() it. Written only on MB_OK. It is of no
 *                further use to the input, nor the input to it.
 * @return MB_OK; MB_ERR_FORMAT naming the tensor; MB_ERR_UNSUPPORTED for a dtype of less than a
 *         byte and the like, or a header of more than 100 MB; MB_ERR_IO; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_safetensors_read(const mb_input *input, mb_safetensors **tensors);
void mb_safetensors_destroy(mb_safetensors *tensors); /* NULL is fine */

/** In the order of their data. Borrowed. */
size_t mb_safetensors_count(const mb_safetensors *tensors);
const mb_safetensor *mb_safetensors_get(const mb_safetensors *tensors, size_t i);

#ifdef __cplusplus
}
#endif

#endif
