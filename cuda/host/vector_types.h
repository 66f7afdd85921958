/* cuda/host/vector_types.h - CUDA's small structures. */
#ifndef MB_CUDA_HOST_VECTOR_TYPES_H
#define MB_CUDA_HOST_VECTOR_TYPES_H

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;

  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {
  }
  constexpr dim3(uint3 u) : x(u.x), y(u.y), z(u.z) {
  }
};

#define MB_EMULATOR_VECTORS(type, name)                              \
  struct alignas(2 * sizeof(type)) name##2 {                         \
    type x, y;                                                       \
  };                                                                 \
  struct alignas(16) name##4 {                                       \
    type x, y, z, w;                                                 \
  };                                                                 \
  constexpr name##2 make_##name##2(type x, type y) {                 \
    return {x, y};                                                   \
  }                                                                  \
  constexpr name##4 make_##name##4(type x, type y, type z, type w) { \
    return {x, y, z, w};                                             \
  }

MB_EMULATOR_VECTORS(int, int)
MB_EMULATOR_VECTORS(unsigned, uint)
MB_EMULATOR_VECTORS(float, float)
MB_EMULATOR_VECTORS(double, double)
MB_EMULATOR_VECTORS(long long, longlong)
MB_EMULATOR_VECTORS(unsigned long long, ulonglong)

#undef MB_EMULATOR_VECTORS

#endif
