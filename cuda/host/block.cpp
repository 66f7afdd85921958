/* cuda/host/block.cpp - one block at a time: its threads take turns on one thread of the host. */
#include "cuda/host/block.h"

#include <cstdarg>
#include <deque>
#include <utility>

#include "cuda/host/report.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace mb_emulator {

block_state block;
mb_emulator_stats stats;

namespace {

fiber_stacks stacks;
/* TSan's tokens beyond a block: launched, all threads ended, and the one that all fences share. */
char launched;
char ended;
char fenced;

/* TSan's fibers of threads that have ended. It gives their numbers to new ones, and what two
 * threads of one number do is no race to it; so those of the blocks before are kept, as many as it
 * bears. */
constexpr size_t tsan_retired_max = 4096;
std::deque<void *> tsan_retired;

int block_threads() {
  return static_cast<int>(block.threads.size());
}

uint3 unfold(unsigned id, const dim3 &extent) {
  return {id % extent.x, id / extent.x % extent.y, id / extent.x / extent.y};
}

fiber &fiber_of(cuda_thread *thread) {
  return thread != nullptr ? thread->stack : block.host;
}

void switch_to(cuda_thread *next, bool running_ends) {
  fiber &from = fiber_of(block.running);

  block.running = next;
  if (next != nullptr) {
    threadIdx = next->index;
  }
  stats.switches++;
  fiber_switch(from, fiber_of(next), running_ends);
}

/* NULL, the host, when nobody can go on: the block has ended, or is stuck. */
cuda_thread *next_ready() {
  return block.ready.empty() ? nullptr : &block.threads[static_cast<size_t>(block.ready.pop())];
}

[[noreturn]] void thread_main() {
  const void *stack = nullptr;
  size_t stack_bytes = 0;

  fiber_entered(&stack, &stack_bytes);
  if (block.host.stack == nullptr) {
    /* The first thread of a launch comes from the host, whose stack ASan knows. */
    block.host.stack = static_cast<char *>(const_cast<void *>(stack));
    block.host.stack_bytes = stack_bytes;
  }
  tsan_acquire(&block.tokens->start);
  cuda_thread &self = *block.running;
  (*block.thread_body)();
  tsan_release(&ended);
  self.state = thread_state::ended;
  block.alive--;
  barrier_complete_if_all_came();
  warp_check_ended(self);
  switch_to(next_ready(), true);
  __builtin_unreachable();
}

bool threads_prepare(size_t n) {
  size_t stack_bytes = options().stack_bytes;

  block.threads.resize(n);
  if (!stacks.provide(n, stack_bytes)) {
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    cuda_thread &thread = block.threads[i];
    thread.id = static_cast<int>(i);
    thread.index = unfold(static_cast<unsigned>(i), blockDim);
    fiber_prepare(thread.stack, stacks.at(i), stack_bytes, thread_main);
  }
  block.alive = block_threads();
  block.at_barrier = 0;
  block.ready.clear();
  threads_visit(0, block_threads(), thread_make_ready);
  return true;
}

/* Threads that will never end; for TSan they have, so that their memory can be freed. */
void threads_abandon() {
  for (cuda_thread &thread : block.threads) {
    if (thread.state != thread_state::ended && under_tsan()) {
      tsan_become(thread.stack.tsan);
      tsan_release(&ended);
      tsan_become(block.host.tsan);
    }
  }
  stacks.forget_frames();
}

void tsan_retire(size_t kept_max) {
  while (tsan_retired.size() > kept_max) {
    __tsan_destroy_fiber(tsan_retired.front());
    tsan_retired.pop_front();
  }
}

void report_stuck() {
  constexpr int shown_max = 4;
  int shown = 0;

  report_add("kernel %s, block (%u,%u,%u): deadlock, %d threads wait for ever",
             block.launch->kernel, blockIdx.x, blockIdx.y, blockIdx.z, block.alive);
  for (const cuda_thread &thread : block.threads) {
    if (thread.state == thread_state::ended || shown++ >= shown_max) {
      continue;
    }
    report_add("; thread %d at %s:%d, %s", thread.id, thread.at.file, thread.at.line,
               thread.state == thread_state::at_barrier ? "a barrier" : "a warp operation");
    if (thread.state == thread_state::at_warp_operation) {
      report_add(" with mask %08x", thread.request.mask);
    }
  }
  block.failed = true;
}

void check_shared_total() {
  size_t bytes = block.shared_static_bytes + block.launch->dynamic_shared_bytes;

  if (bytes > options().shared_bytes_max && !block.failed) {
    report_add("kernel %s: %zu bytes of shared memory in a block, %zu are the most",
               block.launch->kernel, bytes, options().shared_bytes_max);
    block.failed = true;
  }
}

void block_run(unsigned id, size_t n_threads) {
  blockIdx = unfold(id, gridDim);
  if (under_tsan()) {
    block.tsan = __tsan_create_fiber(0);
    tsan_release(&launched);
    tsan_become(block.tsan);
    tsan_acquire(&launched);
  }
  bool prepared = shared_prepare() && threads_prepare(n_threads);
  if (prepared) {
    tsan_release(&block.tokens->start);
  }
  tsan_become(block.host.tsan);
  if (prepared) {
    switch_to(next_ready(), false);
    if (block.alive > 0 && !block.failed) {
      report_stuck();
    }
    check_shared_total();
    threads_abandon();
  } else {
    report_add("kernel %s: no memory for the emulated threads", block.launch->kernel);
    block.failed = true;
  }
  for (size_t i = 0; i < n_threads && under_tsan() && prepared; i++) {
    tsan_retired.push_back(block.threads[i].stack.tsan);
  }
  tsan_retire(tsan_retired_max);
  tsan_become(block.tsan);
  tsan_acquire(&ended);
  shared_release();
  tsan_become(block.host.tsan);
  if (under_tsan()) {
    __tsan_destroy_fiber(block.tsan);
  }
  stats.blocks++;
  stats.threads += n_threads;
}

/* The blocks in the order of the schedule. */
std::vector<unsigned> block_order(unsigned n) {
  std::vector<unsigned> order(n);

  for (unsigned i = 0; i < n; i++) {
    order[i] = options().order == MB_EMULATOR_DESCENDING ? n - 1 - i : i;
  }
  for (unsigned i = n; i > 1 && options().order == MB_EMULATOR_RANDOM; i--) {
    std::swap(order[i - 1], order[random_below(i)]);
  }
  return order;
}

} // namespace

int ready_queue::pop() {
  if (options().order == MB_EMULATOR_RANDOM) {
    std::swap(ids[head % threads_max], ids[(head + random_below(count)) % threads_max]);
  }
  count--;
  return ids[head++ % threads_max];
}

void thread_make_ready(cuda_thread &thread) {
  thread.state = thread_state::ready;
  block.ready.push(thread.id);
}

void thread_wait() {
  cuda_thread *next = next_ready();

  if (next != block.running) {
    switch_to(next, false);
  }
}

void preempt() {
  int percent = options().preempt_percent;

  if (percent > 0 && block.running != nullptr && static_cast<int>(random_below(100)) < percent) {
    thread_make_ready(*block.running);
    thread_wait();
  }
}

void fence() {
  tsan_acquire(&fenced);
  tsan_release(&fenced);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void block_fail(const char *format, ...) {
  va_list arguments;

  tsan_become(block.host.tsan);
  report_add("kernel %s, block (%u,%u,%u): ", block.launch->kernel, blockIdx.x, blockIdx.y,
             blockIdx.z);
  va_start(arguments, format);
  report_add_list(format, arguments);
  va_end(arguments);
  block.failed = true;
  switch_to(nullptr, true);
  __builtin_unreachable();
}

bool grid_run(const launch_shape &launch, const std::function<void()> &thread_body) {
  size_t n_threads = static_cast<size_t>(launch.block.x) * launch.block.y * launch.block.z;

  report_clear();
  block.launch = &launch;
  block.thread_body = &thread_body;
  block.failed = false;
  block.running = nullptr;
  block.host.stack = nullptr;
  block.host.tsan = under_tsan() ? __tsan_get_current_fiber() : nullptr;
  gridDim = launch.grid;
  blockDim = launch.block;
  for (unsigned id : block_order(gridDim.x * gridDim.y * gridDim.z)) {
    block_run(id, n_threads);
    if (block.failed) {
      break;
    }
  }
  tsan_acquire(&ended);
  tsan_retire(0);
  stats.launches++;
  return !block.failed;
}

} // namespace mb_emulator

mb_emulator_stats mb_emulator_stats_get(void) {
  return mb_emulator::stats;
}
