/* workloads/pipeline.c - a mutex and two conditions around three counters. */
#include "workloads/pipeline.h"

#include <assert.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { THREADS_MAX = 64 };

/* Job i is in place i % n_jobs. released <= begun <= submitted <= released + n_jobs. */
struct mb_pipeline {
  size_t n_jobs, job_size;
  void (*work)(void *job);
  unsigned char *jobs; /* [n_jobs] of job_size bytes */
  bool *done;          /* [n_jobs] */
  uint64_t released, begun, submitted;
  bool ending;
  pthread_mutex_t mutex; /* of the counters, `done` and `ending` */
  pthread_cond_t handed_in, finished;
  size_t n_threads;
  pthread_t threads[THREADS_MAX];
};

static void *place_of(mb_pipeline *pipeline, uint64_t job) {
  return pipeline->jobs + (size_t)(job % pipeline->n_jobs) * pipeline->job_size;
}

/* The mutex is held, but not while the work is done; a job has been handed in. */
static void do_next(mb_pipeline *pipeline) {
  uint64_t job = pipeline->begun++;

  (void)pthread_mutex_unlock(&pipeline->mutex);
  pipeline->work(place_of(pipeline, job));
  (void)pthread_mutex_lock(&pipeline->mutex);
  pipeline->done[job % pipeline->n_jobs] = true;
  (void)pthread_cond_signal(&pipeline->finished);
}

static void *run_thread(void *data) {
  mb_pipeline *pipeline = data;

  (void)pthread_mutex_lock(&pipeline->mutex);
  while (!pipeline->ending) {
    if (pipeline->begun < pipeline->submitted) {
      do_next(pipeline);
    } else {
      (void)pthread_cond_wait(&pipeline->handed_in, &pipeline->mutex);
    }
  }
  (void)pthread_mutex_unlock(&pipeline->mutex);
  return NULL;
}

/* Signals are left to the threads that know of them. */
static void start_threads(mb_pipeline *pipeline) {
  int n_processors = omp_get_max_threads();
  size_t n_wanted = n_processors > 1 ? (size_t)n_processors - 1 : 0;
  sigset_t all;
  sigset_t before;

  n_wanted = n_wanted < THREADS_MAX ? n_wanted : THREADS_MAX;
  n_wanted = n_wanted < pipeline->n_jobs ? n_wanted : pipeline->n_jobs;
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pipeline->n_threads < n_wanted &&
         pthread_create(&pipeline->threads[pipeline->n_threads], NULL, run_thread, pipeline) == 0) {
    pipeline->n_threads++;
  }
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void free_memory(mb_pipeline *pipeline) {
  free(pipeline->jobs);
  free(pipeline->done);
  free(pipeline);
}

/* False, and nothing is left to destroy, where the system has none. */
static bool init_locks(mb_pipeline *pipeline) {
  if (pthread_mutex_init(&pipeline->mutex, NULL) != 0) {
    return false;
  }
  if (pthread_cond_init(&pipeline->handed_in, NULL) != 0) {
    (void)pthread_mutex_destroy(&pipeline->mutex);
    return false;
  }
  if (pthread_cond_init(&pipeline->finished, NULL) != 0) {
    (void)pthread_cond_destroy(&pipeline->handed_in);
    (void)pthread_mutex_destroy(&pipeline->mutex);
    return false;
  }
  return true;
}

mb_status mb_pipeline_create(size_t n_jobs, size_t job_size, void (*work)(void *job),
                             mb_pipeline **pipeline) {
  assert(n_jobs >= 1 && job_size >= 1 && work != NULL);
  mb_pipeline *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu jobs", n_jobs);
  }
  made->n_jobs = n_jobs;
  made->job_size = job_size;
  made->work = work;
  made->jobs = calloc(n_jobs, job_size);
  made->done = calloc(n_jobs, sizeof *made->done);
  if (made->jobs == NULL || made->done == NULL || !init_locks(made)) {
    free_memory(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu jobs", n_jobs);
  }
  start_threads(made);
  *pipeline = made;
  return MB_OK;
}

void mb_pipeline_destroy(mb_pipeline *pipeline, void (*fini)(void *job)) {
  if (pipeline == NULL) {
    return;
  }
  (void)pthread_mutex_lock(&pipeline->mutex);
  pipeline->ending = true;
  (void)pthread_cond_broadcast(&pipeline->handed_in);
  (void)pthread_mutex_unlock(&pipeline->mutex);
  for (size_t i = 0; i < pipeline->n_threads; i++) {
    (void)pthread_join(pipeline->threads[i], NULL);
  }
  for (size_t i = 0; fini != NULL && i < pipeline->n_jobs; i++) {
    fini(place_of(pipeline, i));
  }
  (void)pthread_cond_destroy(&pipeline->finished);
  (void)pthread_cond_destroy(&pipeline->handed_in);
  (void)pthread_mutex_destroy(&pipeline->mutex);
  free_memory(pipeline);
}

/* Only the owner changes `submitted` and `released`, so it may read them without the mutex. */
void *mb_pipeline_vacant(mb_pipeline *pipeline) {
  bool full = pipeline->submitted - pipeline->released == pipeline->n_jobs;

  return full ? NULL : place_of(pipeline, pipeline->submitted);
}

void mb_pipeline_submit(mb_pipeline *pipeline) {
  assert(pipeline->submitted - pipeline->released < pipeline->n_jobs);
  (void)pthread_mutex_lock(&pipeline->mutex);
  pipeline->done[pipeline->submitted % pipeline->n_jobs] = false;
  pipeline->submitted++;
  (void)pthread_cond_signal(&pipeline->handed_in);
  (void)pthread_mutex_unlock(&pipeline->mutex);
}

void *mb_pipeline_oldest(mb_pipeline *pipeline) {
  if (pipeline->released == pipeline->submitted) {
    return NULL;
  }
  const bool *done = &pipeline->done[pipeline->released % pipeline->n_jobs];
  (void)pthread_mutex_lock(&pipeline->mutex);
  while (!*done) {
    if (pipeline->begun < pipeline->submitted) {
      do_next(pipeline);
    } else {
      (void)pthread_cond_wait(&pipeline->finished, &pipeline->mutex);
    }
  }
  (void)pthread_mutex_unlock(&pipeline->mutex);
  return place_of(pipeline, pipeline->released);
}

void mb_pipeline_release(mb_pipeline *pipeline) {
  assert(pipeline->released < pipeline->submitted);
  pipeline->released++;
}
