/* cuda/host/barrier.cpp - __syncthreads and its kin. */
#include "cuda/host/block.h"

#include <cstring>

namespace mb_emulator {
namespace {

bool same_place(const cuda_thread &a, const cuda_thread &b) {
  return a.at.line == b.at.line && a.barrier == b.barrier && strcmp(a.at.file, b.at.file) == 0;
}

/* All have come; to the same barrier? Else they have gone different ways, and a GPU may hang. */
void check_same_barrier() {
  const cuda_thread *first = nullptr;

  for (const cuda_thread &thread : block.threads) {
    if (thread.state != thread_state::at_barrier) {
      continue;
    }
    first = first != nullptr ? first : &thread;
    if (!same_place(*first, thread)) {
      block_fail("divergent barrier: thread %d at %s:%d, thread %d at %s:%d", first->id,
                 first->at.file, first->at.line, thread.id, thread.at.file, thread.at.line);
    }
  }
}

uint64_t answer(barrier_kind kind, int n, int n_true) {
  switch (kind) {
  case barrier_kind::any:
    return n_true > 0;
  case barrier_kind::all:
    return n_true == n;
  case barrier_kind::count:
    return static_cast<uint64_t>(n_true);
  default:
    return 0;
  }
}

void complete() {
  int n_true = 0;
  int n = block.at_barrier;

  check_same_barrier();
  for (const cuda_thread &thread : block.threads) {
    n_true += thread.state == thread_state::at_barrier && thread.predicate;
  }
  block.at_barrier = 0;
  threads_visit(0, static_cast<int>(block.threads.size()), [=](cuda_thread &thread) {
    if (thread.state == thread_state::at_barrier) {
      thread_acquire(thread, &block.tokens->barrier);
      thread.result = answer(thread.barrier, n, n_true);
      thread_make_ready(thread);
    }
  });
}

} // namespace

void barrier_complete_if_all_came() {
  if (block.alive > 0 && block.at_barrier == block.alive) {
    complete();
  }
}

int barrier(barrier_kind kind, bool predicate, location at) {
  cuda_thread &self = *block.running;

  stats.barriers++;
  self.state = thread_state::at_barrier;
  self.at = at;
  self.barrier = kind;
  self.predicate = predicate;
  tsan_release(&block.tokens->barrier);
  block.at_barrier++;
  barrier_complete_if_all_came();
  thread_wait();
  return static_cast<int>(self.result);
}

} // namespace mb_emulator
