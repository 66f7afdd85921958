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

/** @return whether there is a member of that name. */
bool mb_archive_find(const mb_archive *archive, const char *name, size_t *i);

/** A member that is open for reading. */
typedef struct mb_member mb_member;

/**
 * @param what   the member, for messages; as in mb_member_read().
 * @param member Transferred: mb_member_close() it before the archive is destroyed. Written only on
 *               MB_OK.
 * @return MB_OK; MB_ERR_FORMAT, also where it cannot unpack to the size that the archive says, or
 *         takes more than there is;
 *         MB_ERR_UNSUPPORTED where it is encrypted, or neither stored nor deflated; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_member_open(mb_archive *archive, size_t i, const char *what,
                                      mb_member **member);
void mb_member_close(mb_member *member); /* NULL is fine */
uint64_t mb_member_size(const mb_member *member);

/** Whether all places are reached alike; otherwise one costs the way from the start to it. */
bool mb_member_is_stored(const mb_member *member);

/**
 * Bytes [offset, offset + n), all of them.
 * @return MB_OK; MB_ERR_FORMAT where the member ends before, or what was read through to its end
 *         does not have the checksum it should have.
 */
MB_NODISCARD mb_status mb_member_read(mb_member *member, const char *what, uint64_t offset,
                                      size_t n, void *bytes);

#ifdef __cplusplus
}
#endif

#endif
