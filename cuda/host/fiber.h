/* cuda/host/fiber.h - internal: a stack of its own for each CUDA thread, and switching between
 * them.
 *
 * On x86-64 a switch is a dozen instructions; elsewhere, or with MB_EMULATOR_UCONTEXT defined, it
 * is ucontext's, about 17 times slower for its system calls. */
#ifndef MB_CUDA_HOST_FIBER_H
#define MB_CUDA_HOST_FIBER_H

#include <cstddef>

#if !defined(__x86_64__) && !defined(MB_EMULATOR_UCONTEXT)
#define MB_EMULATOR_UCONTEXT
#endif
#ifdef MB_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

namespace mb_emulator {

struct fiber {
  char *stack; /* its lowest byte */
  size_t stack_bytes;
  void *tsan;       /* TSan's own fiber that goes with it */
  void *fake_stack; /* ASan's, kept while the fiber is switched away */
#ifdef MB_EMULATOR_UCONTEXT
  ucontext_t context;
#else
  void *stack_pointer;
#endif
};

/** What runs on a fresh fiber. It never returns: it ends in a switch away. */
using fiber_entry = void (*)();

/** A fresh fiber on that stack; the first switch to it enters `entry`. */
void fiber_prepare(fiber &fresh, char *stack, size_t stack_bytes, fiber_entry entry);

/** To be called first by an entry. Answers where the stack is that was switched away from. */
void fiber_entered(const void **stack_before, size_t *stack_bytes_before);

/** Runs `to`, until something switches back to `from`; `from_ends` says that nothing will. */
void fiber_switch(fiber &from, fiber &to, bool from_ends);

/** Stacks of equal size, each with a page below it that may not be touched. */
class fiber_stacks {
public:
  fiber_stacks() = default;
  fiber_stacks(const fiber_stacks &) = delete;
  fiber_stacks &operator=(const fiber_stacks &) = delete;
  ~fiber_stacks();

  /** At least n stacks; under TSan always fresh ones, without the history of the last block's.
   * False if memory is short. */
  bool provide(size_t n, size_t bytes);
  char *at(size_t i) const;
  /** After threads that never returned: ASan still guards what was in their frames. */
  void forget_frames() const;

private:
  size_t stride() const;
  void release();

  char *memory = nullptr;
  size_t count = 0;
  size_t stack_bytes = 0;
};

} // namespace mb_emulator

#endif
