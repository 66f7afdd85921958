/* cuda/host/fiber.cpp */
#include "cuda/host/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include "cuda/host/sanitizers.h"

namespace mb_emulator {

#ifdef MB_EMULATOR_UCONTEXT

static void switch_stacks(fiber &from, fiber &to) {
  (void)swapcontext(&from.context, &to.context);
}

static void prepare_stack(fiber &fresh, fiber_entry entry) {
  (void)getcontext(&fresh.context);
  fresh.context.uc_stack.ss_sp = fresh.stack;
  fresh.context.uc_stack.ss_size = fresh.stack_bytes;
  fresh.context.uc_link = nullptr;
  makecontext(&fresh.context, entry, 0);
}

#else

/* Saves what the System V ABI lets a function rely on after a call, and takes it from the other
 * stack. Control words of the floating-point units are left alone: no kernel changes them. */
extern "C" void mb_emulator_switch_stacks(void **from, void *to);
asm(R"(
.text
.globl mb_emulator_switch_stacks
.type mb_emulator_switch_stacks, @function
mb_emulator_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size mb_emulator_switch_stacks, . - mb_emulator_switch_stacks
)");

static void switch_stacks(fiber &from, fiber &to) {
  mb_emulator_switch_stacks(&from.stack_pointer, to.stack_pointer);
}

static void prepare_stack(fiber &fresh, fiber_entry entry) {
  constexpr int saved_registers = 6;
  constexpr size_t alignment = 16;
  void **word = reinterpret_cast<void **>(fresh.stack + fresh.stack_bytes / alignment * alignment);

  /* A return address that is never used, and puts the stack where a call would have left it. */
  *--word = nullptr;
  *--word = reinterpret_cast<void *>(entry);
  for (int i = 0; i < saved_registers; i++) {
    *--word = nullptr;
  }
  fresh.stack_pointer = word;
}

#endif

void fiber_prepare(fiber &fresh, char *stack, size_t stack_bytes, fiber_entry entry) {
  fresh.stack = stack;
  fresh.stack_bytes = stack_bytes;
  fresh.fake_stack = nullptr;
  fresh.tsan = under_tsan() ? __tsan_create_fiber(0) : nullptr;
  prepare_stack(fresh, entry);
}

void fiber_entered(const void **stack_before, size_t *stack_bytes_before) {
  if (under_asan()) {
    __sanitizer_finish_switch_fiber(nullptr, stack_before, stack_bytes_before);
  }
}

void fiber_switch(fiber &from, fiber &to, bool from_ends) {
  tsan_become(to.tsan);
  if (under_asan()) {
    __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake_stack, to.stack,
                                   to.stack_bytes);
  }
  switch_stacks(from, to);
  if (under_asan()) {
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
  }
}

static size_t page_bytes() {
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

fiber_stacks::~fiber_stacks() {
  release();
}

size_t fiber_stacks::stride() const {
  return stack_bytes + page_bytes();
}

void fiber_stacks::release() {
  if (memory != nullptr) {
    (void)munmap(memory, count * stride());
    memory = nullptr;
  }
}

bool fiber_stacks::provide(size_t n, size_t bytes) {
  size_t pages = (bytes + page_bytes() - 1) / page_bytes();

  if (memory != nullptr && n <= count && pages * page_bytes() == stack_bytes && !under_tsan()) {
    return true;
  }
  release();
  stack_bytes = pages * page_bytes();
  count = n;
  void *mapped = mmap(nullptr, count * stride(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return false;
  }
  memory = static_cast<char *>(mapped);
  /* TSan's threads are short-lived and many: a thousand guard pages a block would cost too much. */
  for (size_t i = 0; i < count && !under_tsan(); i++) {
    (void)mprotect(memory + i * stride(), page_bytes(), PROT_NONE);
  }
  return true;
}

char *fiber_stacks::at(size_t i) const {
  return memory + i * stride() + page_bytes();
}

void fiber_stacks::forget_frames() const {
  for (size_t i = 0; i < count && __asan_unpoison_memory_region != nullptr; i++) {
    __asan_unpoison_memory_region(at(i), stack_bytes);
  }
}

} // namespace mb_emulator
