/* experiments/parts.h - the folder OUTPUT.parts: what a sweep has finished, and who is at work.
 *
 *   manifest     what the parts are of: the code, the inputs, the config
 *   <run>.h5     a finished cell's results
 *   <run>.error  a failed cell's message
 *   <run>.died   the same of a cell whose process died, and that is worth another try
 *   <run>.loads  the loads of that cell and others (shared_loads.h)
 *   merged.results  all of it, before it gets the output's name
 *   lock         empty; its first byte is locked by who leads, then one byte a cell by who works on
 *                it, and one by who makes its loads ready
 *
 * Locks are those of fcntl(): they belong to a process and go with it, over NFS too. Everything
 * else appears by renaming, so that whoever is killed at whatever moment leaves nothing half.
 */
#ifndef MB_EXPERIMENTS_PARTS_H
#define MB_EXPERIMENTS_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/sweep.h"

typedef struct mb_parts mb_parts;

/**
 * Makes the folder or, with `resume`, goes on with the one that is there; and leads.
 *
 * Of what was left half, nothing remains; of failed cells, neither: they are tried once more.
 *
 * @param sweep Borrowed as long as the parts live.
 * @param parts Transferred: mb_parts_close() or mb_parts_finish() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO: the folder is there without `resume`, is of another run (naming what
 *         differs), somebody else is at work in it, or it cannot be made; MB_ERR_MEMORY;
 *         MB_ERR_CANCELLED.
 */
MB_NODISCARD mb_status mb_parts_open(const mb_sweep *sweep, const char *output, bool resume,
                                     mb_parts **parts);

/**
 * The folder that another process leads in, whose config and inputs have to be this one's, too. As
 * mb_parts_open() otherwise.
 * @param parts NULL on MB_OK where the folder has gone: all has been done already.
 */
MB_NODISCARD mb_status mb_parts_join(const mb_sweep *sweep, const char *output, mb_parts **parts);

void mb_parts_close(mb_parts *parts); /* the folder stays; NULL is fine */

/** Removes what is left of parts that were merged, by a run that was killed at that moment. */
void mb_parts_clean(const char *output);

/** Whether an output has parts. */
bool mb_parts_are_there(const char *output);

/** Whether the folder is still the one that was opened: somebody may have removed it. */
bool mb_parts_are_in_place(const mb_parts *parts);

/** Whether a cell's results are there; whether its error is. */
bool mb_parts_is_finished(const mb_parts *parts, size_t cell);
bool mb_parts_is_failed(const mb_parts *parts, size_t cell);
bool mb_parts_is_done(const mb_parts *parts, size_t cell); /* either */

/** A file in the folder, "FOLDER/<name><ending>". Transferred: free() it; NULL without memory. */
char *mb_parts_path(const mb_parts *parts, const char *name, const char *ending);

/**
 * Claims a cell for this process, until it is released or the process ends.
 * @param claimed false: another process works on it, or the whole has been finished meanwhile.
 */
MB_NODISCARD mb_status mb_parts_claim(const mb_parts *parts, size_t cell, bool *claimed);
void mb_parts_release(const mb_parts *parts, size_t cell);

/** Likewise the loads that a cell shares with later ones, while they are written. */
MB_NODISCARD mb_status mb_parts_claim_loads(const mb_parts *parts, size_t cell, bool *claimed);
void mb_parts_release_loads(const mb_parts *parts, size_t cell);

/** Records why a cell failed. */
MB_NODISCARD mb_status mb_parts_put_error(const mb_parts *parts, size_t cell, const char *message);

/** Likewise that its process died, which it may not do another time: mb_parts_finish(). */
MB_NODISCARD mb_status mb_parts_put_death(const mb_parts *parts, size_t cell, const char *message);

/** Of either kind. @param message Transferred: free() it; written only on MB_OK. */
MB_NODISCARD mb_status mb_parts_get_error(const mb_parts *parts, size_t cell, char **message);

/** Where the parts are to be merged: a file in the folder. Borrowed. */
const char *mb_parts_merged(const mb_parts *parts);

/** Removes what was left half, by a process that has crashed. For who leads, when nobody works. */
void mb_parts_tidy(const mb_parts *parts);

/**
 * Gives the merged file the output's name, and removes the folder, in an order in which a kill
 * makes no finished cell run again. Where cells died the folder stays, for `resume` to try them
 * once more. The parts are closed, also on failure.
 */
MB_NODISCARD mb_status mb_parts_finish(mb_parts *parts);

/** Removes the folder with all that is in it. The parts are closed. */
void mb_parts_discard(mb_parts *parts);

#endif
