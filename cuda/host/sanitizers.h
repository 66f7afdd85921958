/* cuda/host/sanitizers.h - what the sanitizers want to be told by a program that switches stacks.
 *
 * The symbols are weak: they are there when the program is linked with that sanitizer, so one
 * source works with all. The emulator itself is compiled without ASan and TSan, whose checks belong
 * to the kernels; with MSan it is instrumented, or what it writes would count as never written.
 *
 * TSan intercepts libc even in code that it didn't instrument. So while a CUDA thread is its
 * current fiber the emulator allocates, copies and formats nothing; where it has to, it switches
 * TSan to the host or to the block first. */
#ifndef MB_CUDA_HOST_SANITIZERS_H
#define MB_CUDA_HOST_SANITIZERS_H

#include <cstddef>

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
__attribute__((weak)) void *__tsan_get_current_fiber();
__attribute__((weak)) void *__tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void *fiber);
__attribute__((weak)) void __tsan_switch_to_fiber(void *fiber, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void *token);
__attribute__((weak)) void __tsan_release(void *token);
__attribute__((weak)) void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom,
                                                          size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom,
                                                           size_t *bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *memory, size_t bytes);
__attribute__((weak)) void __msan_poison(const volatile void *memory, size_t bytes);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace mb_emulator {

/* A switch of TSan's fibers that says nothing about the order of memory. */
constexpr unsigned tsan_no_order = 1;

inline bool under_tsan() {
  return __tsan_switch_to_fiber != nullptr;
}

inline bool under_asan() {
  return __sanitizer_start_switch_fiber != nullptr && !under_tsan();
}

/** TSan's fiber of the code that runs now; the stack stays what it is. */
inline void tsan_become(void *fiber) {
  if (under_tsan()) {
    __tsan_switch_to_fiber(fiber, tsan_no_order);
  }
}

/** What happened before a release happened before what follows a later acquire of that token. */
inline void tsan_acquire(void *token) {
  if (under_tsan()) {
    __tsan_acquire(token);
  }
}

inline void tsan_release(void *token) {
  if (under_tsan()) {
    __tsan_release(token);
  }
}

/** Never written, as far as MSan is concerned. */
inline void msan_forget(void *memory, size_t bytes) {
  if (__msan_poison != nullptr) {
    __msan_poison(memory, bytes);
  }
}

} // namespace mb_emulator

#endif
