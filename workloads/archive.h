/* workloads/archive.h - internal: the members of a zip file, read from any place in them. */
#ifndef MB_WORKLOADS_ARCHIVE_H
#define MB_WORKLOADS_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An open zip file. Not for use by two threads at once. */
typedef struct mb_archive mb_archive;

/**
 * @param input   Borrowed as long as the archive is open.
 * @param archive Transferred: mb_archive_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT where it is no zip file, or a damaged one; MB_ERR_MEMORY; MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_archive_open(const mb_input *input, mb_archive **archive);
void mb_archive_destroy(mb_archive *archive); /* NULL is fine */

/** Members, and the name of each. Borrowed from the archive. */
size_t mb_archive_count(const mb_archive *archive);
const char *mb_archive_name(const mb_archive *archive, size_t i);

/** @return whether there is a member of that name, of `n` bytes. */
bool mb_archive_find(const mb_archive *archive, const char *name, size_t n, size_t *i);

/** A member that is open for reading. */
typedef struct mb_member mb_member;

/**
 * @param member Transferred: mb_member_close() it before the archive is destroyed. Written only on
 *               MB_OK.
 */
MB_NODISCARD mb_status mb_member_open(mb_archive *archive, size_t i, mb_member **member);
void mb_member_close(mb_member *member); /* NULL is fine */
uint64_t mb_member_size(const mb_member *member);

/**
 * Bytes [offset, offset + n). Cheapest in ascending order: what is stored is sought, what is
 * deflated is unpacked up to there, from the start when going back.
 *
 * @return MB_OK; MB_ERR_FORMAT where the member ends before, or what was read to its end does not
 *         have the checksum it should have; MB_ERR_MEMORY; MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_member_read(mb_member *member, uint64_t offset, size_t n, void *bytes);

#ifdef __cplusplus
}
#endif

#endif
