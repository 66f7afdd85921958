/* workloads/chunk_writer.h - internal: appends rows to a dataset, its chunks packed on several
 * threads. */
#ifndef MB_WORKLOADS_CHUNK_WRITER_H
#define MB_WORKLOADS_CHUNK_WRITER_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/** Only the thread that calls these functions is ever inside HDF5. */
typedef struct mb_chunk_writer mb_chunk_writer;

/**
 * Makes a dataset of little-endian uint32, shuffled and deflated, in chunks of whole rows of about
 * 1 MiB; it starts without rows.
 *
 * @param rank 1 to 4. @param dims [rank] the first is not heeded.
 * @param writer Transferred: finish or abandon it.
 * @return MB_OK; MB_ERR_MEMORY; MB_ERR_IO where HDF5 cannot, for the caller to say better why.
 */
MB_NODISCARD mb_status mb_chunk_writer_create(hid_t file, const char *name, int rank,
                                              const hsize_t *dims, mb_chunk_writer **writer);

/** Appends n rows (borrowed). False: HDF5 cannot write; nothing more is to be written. */
MB_NODISCARD bool mb_chunk_writer_append(mb_chunk_writer *writer, size_t n, const uint32_t *rows);

/** Writes what is left. The same rows give the same bytes, whatever the threads and calls. */
MB_NODISCARD bool mb_chunk_writer_flush(mb_chunk_writer *writer);

/** Closes the dataset. False: HDF5 cannot. The writer is gone in any case. */
MB_NODISCARD bool mb_chunk_writer_close(mb_chunk_writer *writer);

/** Gives up, and leaves the dataset open: its file is not closed either. NULL is fine. */
void mb_chunk_writer_abandon(mb_chunk_writer *writer);

#endif
