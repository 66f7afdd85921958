/* cuda/host/block.h - internal: the one block that runs now, its threads and who goes next. */
#ifndef MB_CUDA_HOST_BLOCK_H
#define MB_CUDA_HOST_BLOCK_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "cuda/host/device.h"
#include "cuda/host/emulator_control.h"
#include "cuda/host/fiber.h"
#include "cuda/host/launch.h"
#include "cuda/host/options.h"
#include "cuda/host/sanitizers.h"

namespace mb_emulator {

constexpr int threads_max = 1024; /* of a block */
constexpr int lanes = 32;         /* of a warp */

enum class thread_state : uint8_t { ready, at_barrier, at_warp_operation, ended };

struct cuda_thread {
  fiber stack;
  uint3 index;
  int id; /* counted through the block, x fastest */
  thread_state state;
  location at; /* of the barrier or warp operation that it has come to */
  barrier_kind barrier;
  bool predicate;
  warp_request request;
  uint64_t result;
};

/* The threads that could go on, a ring in the order in which they became ready. Each is in it at
 * most once, and nothing is allocated: it is used while TSan is with a CUDA thread. */
class ready_queue {
public:
  void clear() {
    count = 0;
  }
  bool empty() const {
    return count == 0;
  }
  void push(int id) {
    ids[(head + count++) % threads_max] = id;
  }
  /** The oldest, or any under the random order. */
  int pop();

private:
  int ids[threads_max];
  unsigned head = 0;
  unsigned count = 0;
};

/* TSan's tokens of one block; fresh for each, or order would leak from block to block. */
struct order_tokens {
  char start;
  char barrier;
  char warp[threads_max / lanes][lanes]; /* by warp and lowest lane of the mask */
};

/* Storage behind one GPU_SHARED_ARRAY or GPU_SHARED_VAR. */
struct shared_segment {
  const void *key;
  void *memory;
};
constexpr int shared_segments_max = 64;

struct block_state {
  const launch_shape *launch;
  const std::function<void()> *thread_body;
  std::vector<cuda_thread> threads;
  cuda_thread *running; /* NULL while the host is */
  fiber host;
  ready_queue ready;
  int alive;      /* threads that haven't ended */
  int at_barrier; /* those of them that wait at a barrier */
  bool failed;

  void *tsan; /* the fiber that shared memory is allocated and freed by, for TSan */
  order_tokens *tokens;
  void *shared_dynamic;
  size_t shared_static_bytes;
  shared_segment shared[shared_segments_max];
  int n_shared;
};
extern block_state block;
extern mb_emulator_stats stats;

/** Runs all blocks of a launch. False: something was wrong, and the report says what. */
bool grid_run(const launch_shape &launch, const std::function<void()> &thread_body);

/** The running thread waits until it is made ready again. */
void thread_wait();
void thread_make_ready(cuda_thread &thread);

/** Ends the block with a report, and doesn't return to the thread that has called it. */
[[noreturn]] void block_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Calls visit(thread) for threads first..last-1, in the order of the schedule. */
template <class Visit> inline void threads_visit(int first, int last, Visit visit) {
  bool down = options().order == MB_EMULATOR_DESCENDING;
  for (int i = 0; i < last - first; i++) {
    visit(block.threads[static_cast<size_t>(down ? last - 1 - i : first + i)]);
  }
}

/** What the barrier does when a thread ends: the others may be complete now. */
void barrier_complete_if_all_came();

/** What a warp does when a thread ends: others may wait for it in vain. */
void warp_check_ended(const cuda_thread &ended);

/** TSan: `thread` has seen what others released, said on its behalf at the moment when all came.
 * Were it to acquire when it wakes up, threads that ran ahead would have released later writes into
 * the same token, and the very race between the two would be hidden. */
inline void thread_acquire(const cuda_thread &thread, void *token) {
  if (under_tsan()) {
    tsan_become(thread.stack.tsan);
    tsan_acquire(token);
    tsan_become(block.running->stack.tsan);
  }
}

bool shared_prepare();
void shared_release();

} // namespace mb_emulator

#endif
