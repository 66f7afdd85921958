/* cuda/host/intrinsics.h - CUDA's small functions of one or two values. */
#ifndef MB_CUDA_HOST_INTRINSICS_H
#define MB_CUDA_HOST_INTRINSICS_H

#include <cstdint>
#include <cstring>
#include <type_traits>

#include <math.h>

namespace mb_emulator {

template <class To, class From> inline To reinterpret(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same number of bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

template <class T> constexpr bool is_nan(T value) {
  if constexpr (std::is_floating_point<T>::value) {
    return __builtin_isnan(value);
  } else {
    return false;
  }
}

template <class A, class B>
using if_arithmetic = std::enable_if_t<std::is_arithmetic<A>::value && std::is_arithmetic<B>::value,
                                       std::common_type_t<A, B>>;

} // namespace mb_emulator

/* CUDA's min and max take mixed types; of a number and a NaN they give the number. */
template <class A, class B> constexpr mb_emulator::if_arithmetic<A, B> min(A a, B b) {
  using type = std::common_type_t<A, B>;
  auto x = static_cast<type>(a);
  auto y = static_cast<type>(b);
  return y < x || mb_emulator::is_nan(x) ? y : x;
}
template <class A, class B> constexpr mb_emulator::if_arithmetic<A, B> max(A a, B b) {
  using type = std::common_type_t<A, B>;
  auto x = static_cast<type>(a);
  auto y = static_cast<type>(b);
  return y > x || mb_emulator::is_nan(x) ? y : x;
}

// NOLINTBEGIN(bugprone-reserved-identifier)

inline int __popc(unsigned bits) {
  return __builtin_popcount(bits);
}
inline int __popcll(unsigned long long bits) {
  return __builtin_popcountll(bits);
}
inline int __clz(int value) {
  return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value));
}
inline int __clzll(long long value) {
  return value == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(value));
}
inline int __ffs(int value) {
  return __builtin_ffs(value);
}
inline int __ffsll(long long value) {
  return __builtin_ffsll(value);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}

template <class T> inline T __ldg(const T *place) {
  return *place;
}

inline int __float_as_int(float value) {
  return mb_emulator::reinterpret<int>(value);
}
inline unsigned __float_as_uint(float value) {
  return mb_emulator::reinterpret<unsigned>(value);
}
inline float __int_as_float(int bits) {
  return mb_emulator::reinterpret<float>(bits);
}
inline float __uint_as_float(unsigned bits) {
  return mb_emulator::reinterpret<float>(bits);
}
inline long long __double_as_longlong(double value) {
  return mb_emulator::reinterpret<long long>(value);
}
inline double __longlong_as_double(long long bits) {
  return mb_emulator::reinterpret<double>(bits);
}

/* Never fused with a neighbour; the project's flags see to it here. */
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline double __dsub_rn(double a, double b) {
  return a - b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline double __ddiv_rn(double a, double b) {
  return a / b;
}
inline double __dsqrt_rn(double a) {
  return sqrt(a);
}

// NOLINTEND(bugprone-reserved-identifier)

#endif
