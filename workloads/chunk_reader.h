/* workloads/chunk_reader.h - internal: reads the compressed chunks of a dataset as they lie in the
 * file, and unpacks them on several threads, ahead of whoever reads. */
#ifndef MB_WORKLOADS_CHUNK_READER_H
#define MB_WORKLOADS_CHUNK_READER_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/** Only the thread that calls these functions is ever inside HDF5. */
typedef struct mb_chunk_reader mb_chunk_reader;

/**
 * For datasets of little-endian uint32 in chunks that each hold whole rows (all but the first
 * dimension), shuffled or not, deflated or not, and nothing else; others are HDF5's to read.
 *
 * @param path, name for messages. Borrowed, as is `dataset`, for as long as the reader lives.
 * @param reader Transferred; NULL where the dataset is none of these.
 * @return MB_OK, MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_chunk_reader_open(const char *path, const char *name, hid_t dataset,
                                            mb_chunk_reader **reader);
void mb_chunk_reader_close(mb_chunk_reader *reader); /* NULL is fine */

/**
 * Rows [first, first + n), which must exist: the same numbers as H5Dread() gives. Reading on where
 * the last call ended is quick, since those chunks are being unpacked meanwhile.
 *
 * Memory: chunks of 32 MiB unpacked, or one, and what they are packed.
 *
 * @param rows caller-owned; contents unspecified on failure.
 * @return MB_OK; MB_ERR_FORMAT naming the rows of the chunk that is damaged or does not unpack to
 *         its size; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_chunk_reader_read(mb_chunk_reader *reader, size_t first, size_t n,
                                            uint32_t *rows);

#endif
