/* cuda/host/atomics.h - CUDA's atomic operations: relaxed, they order nothing but themselves. Each
 * takes the types that nvcc takes, so that what compiles here compiles there. */
#ifndef MB_CUDA_HOST_ATOMICS_H
#define MB_CUDA_HOST_ATOMICS_H

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace mb_emulator {

/** Lets another thread run first, as often as the options say. */
void preempt();

template <class T, class... Types> constexpr bool is_one_of() {
  return (std::is_same<T, Types>::value || ...);
}

template <class T, class Update> inline T read_modify_write(T *place, Update update) {
  using word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  word *cell = reinterpret_cast<word *>(place);
  T before;
  word desired;

  preempt();
  word found = __atomic_load_n(cell, __ATOMIC_RELAXED);
  do {
    memcpy(&before, &found, sizeof found);
    T after = update(before);
    memcpy(&desired, &after, sizeof desired);
  } while (!__atomic_compare_exchange_n(cell, &found, desired, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
  preempt();
  return before;
}

/** Keeps a template parameter from being deduced, so that 1 adds to any number. */
template <class T> using same = std::common_type_t<T>;

/** Sums that wrap, as the device's do; in C++ signed overflow is undefined. */
template <class T> inline T wrapping_add(T a, T b) {
  if constexpr (std::is_integral<T>::value) {
    using bits = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<bits>(a) + static_cast<bits>(b));
  } else {
    return a + b;
  }
}

} // namespace mb_emulator

template <class T> inline T atomicAdd(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long, float, double>(),
                "atomicAdd takes int, unsigned, unsigned long long, float and double");
  return mb_emulator::read_modify_write(
      place, [=](T old) { return mb_emulator::wrapping_add<T>(old, value); });
}

template <class T> inline T atomicSub(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned>(), "atomicSub takes int and unsigned");
  return mb_emulator::read_modify_write(place, [=](T old) {
    return static_cast<T>(static_cast<unsigned>(old) - static_cast<unsigned>(value));
  });
}

template <class T> inline T atomicMin(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, long long, unsigned long long>(),
                "atomicMin takes 32- and 64-bit integers");
  return mb_emulator::read_modify_write(place, [=](T old) { return value < old ? value : old; });
}

template <class T> inline T atomicMax(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, long long, unsigned long long>(),
                "atomicMax takes 32- and 64-bit integers");
  return mb_emulator::read_modify_write(place, [=](T old) { return value > old ? value : old; });
}

template <class T> inline T atomicAnd(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long>(),
                "atomicAnd takes int, unsigned and unsigned long long");
  return mb_emulator::read_modify_write(place, [=](T old) { return old & value; });
}

template <class T> inline T atomicOr(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long>(),
                "atomicOr takes int, unsigned and unsigned long long");
  return mb_emulator::read_modify_write(place, [=](T old) { return old | value; });
}

template <class T> inline T atomicXor(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long>(),
                "atomicXor takes int, unsigned and unsigned long long");
  return mb_emulator::read_modify_write(place, [=](T old) { return old ^ value; });
}

template <class T> inline T atomicExch(T *place, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long, float>(),
                "atomicExch takes int, unsigned, unsigned long long and float");
  return mb_emulator::read_modify_write(place, [=](T) { return value; });
}

template <class T>
inline T atomicCAS(T *place, mb_emulator::same<T> expected, mb_emulator::same<T> value) {
  static_assert(mb_emulator::is_one_of<T, int, unsigned, unsigned long long>(),
                "atomicCAS takes int, unsigned and unsigned long long");
  return mb_emulator::read_modify_write(place,
                                        [=](T old) { return old == expected ? value : old; });
}

/** Counts up to `limit`, then starts over at 0. */
inline unsigned atomicInc(unsigned *place, unsigned limit) {
  return mb_emulator::read_modify_write(place,
                                        [=](unsigned old) { return old >= limit ? 0U : old + 1; });
}

#endif
