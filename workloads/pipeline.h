/* workloads/pipeline.h - internal: jobs that one thread hands in and takes back in the same order,
 * and any of several threads does meanwhile. */
#ifndef MB_WORKLOADS_PIPELINE_H
#define MB_WORKLOADS_PIPELINE_H

#include <stddef.h>

#include "balancer/status.h"

/** A ring of jobs and the threads that do them. All its functions are for its owner's thread. */
typedef struct mb_pipeline mb_pipeline;

/**
 * As many threads as OpenMP may use, less the owner's, which works too while it waits; none where
 * the system has no more: then the owner does everything.
 *
 * @param n_jobs   that are under way at most, >= 1.
 * @param job_size bytes of a job; all start as zeros, and keep what they hold from one use to the
 *                 next.
 * @param work     done for each job, by any thread; touches nothing but the job. It is told of no
 *                 failure: a job has a place of its own for it.
 * @param pipeline Transferred.
 */
MB_NODISCARD mb_status mb_pipeline_create(size_t n_jobs, size_t job_size, void (*work)(void *job),
                                          mb_pipeline **pipeline);

/**
 * Waits for the jobs under way, and forgets those that nobody has begun.
 * @param fini NULL, or called for each of the n_jobs jobs.
 */
void mb_pipeline_destroy(mb_pipeline *pipeline, void (*fini)(void *job)); /* NULL is fine */

/** The job to hand in next, the owner's until then; NULL while all are under way. */
void *mb_pipeline_vacant(mb_pipeline *pipeline);

/** Hands in what mb_pipeline_vacant() gave. */
void mb_pipeline_submit(mb_pipeline *pipeline);

/** The oldest job handed in, once it is done; NULL if there is none. The owner's until released. */
void *mb_pipeline_oldest(mb_pipeline *pipeline);

/** Makes the oldest job, which is done, vacant again. */
void mb_pipeline_release(mb_pipeline *pipeline);

#endif
