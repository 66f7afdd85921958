/* cuda/host/shared_memory.cpp - a block's own memory: fresh for each block and full of garbage, so
 * that a block which relies on what another has left, or on zeros, goes wrong. Each variable is a
 * heap block of its own, and ASan guards its ends. */
#include <cstdlib>
#include <cstring>

#include "cuda/host/block.h"

namespace mb_emulator {
namespace {

constexpr int garbage = 0xA5;
constexpr size_t alignment_min = 16;

void *allocate(size_t bytes, size_t alignment) {
  void *memory = nullptr;

  if (posix_memalign(&memory, alignment < alignment_min ? alignment_min : alignment,
                     bytes > 0 ? bytes : 1) != 0) {
    return nullptr;
  }
  memset(memory, garbage, bytes);
  msan_forget(memory, bytes);
  return memory;
}

} // namespace

bool shared_prepare() {
  block.n_shared = 0;
  block.shared_static_bytes = 0;
  block.tokens = static_cast<order_tokens *>(malloc(sizeof *block.tokens));
  block.shared_dynamic = allocate(block.launch->dynamic_shared_bytes, alignment_min);
  return block.tokens != nullptr && block.shared_dynamic != nullptr;
}

void shared_release() {
  while (block.n_shared > 0) {
    free(block.shared[--block.n_shared].memory);
  }
  free(block.shared_dynamic);
  free(block.tokens);
}

void *shared_variable(const void *key, size_t bytes, size_t alignment) {
  int i = 0;

  while (i < block.n_shared && block.shared[i].key != key) {
    i++;
  }
  if (i == block.n_shared) {
    if (i == shared_segments_max) {
      block_fail("more than %d variables in shared memory", shared_segments_max);
    }
    tsan_become(block.tsan);
    void *memory = allocate(bytes, alignment);
    tsan_release(&block.tokens->start);
    tsan_become(block.running->stack.tsan);
    if (memory == nullptr) {
      block_fail("no memory for %zu bytes of shared memory", bytes);
    }
    block.shared[block.n_shared++] = {key, memory};
    block.shared_static_bytes += bytes;
  }
  tsan_acquire(&block.tokens->start);
  return block.shared[i].memory;
}

void *shared_dynamic() {
  return block.shared_dynamic;
}

} // namespace mb_emulator
