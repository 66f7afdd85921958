/* experiments/ranks.h - the ranks of an MPI job as a crew that does a sweep's cells. */
#ifndef MB_EXPERIMENTS_RANKS_H
#define MB_EXPERIMENTS_RANKS_H

#include "experiments/crew.h"
#include "experiments/launch.h"

/**
 * Does the work in every rank of the job that this process was launched in, and ends the job.
 *
 * The work is done by a child process, while this one speaks MPI for it: so a rank answers at any
 * time, a cell may start programs as it likes, and one that crashes takes no rank with it. Rank 0
 * leads and keeps the counter of cells. Nothing that the ranks do together, but the start and the
 * end, needs all of them: one that falls silent is left out, and its cell is done by another. Where
 * rank 0 falls silent, the others end; what is finished is kept.
 *
 * To be called before anything else than the command line was looked at: no threads run, nothing
 * stands unwritten in a buffer. The child gets its share of the processors as OpenMP's threads,
 * unless OMP_NUM_THREADS says otherwise.
 *
 * @param work does all, and prints only where crew->leads; returns an exit status. Where that is no
 *             zero, mb_error_message() is what rank 0 prints for a rank that does not lead.
 * @return an exit status, for main() to return: in the child the work's; else rank 0's, in all
 *         ranks. Does not return where ranks are lost, for MPI_Finalize() would wait for them: it
 *         ends the process with that status.
 */
int mb_ranks_run(const mb_launch *launch, int (*work)(void *context, const mb_crew *crew),
                 void *context);

#endif
