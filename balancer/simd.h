/* balancer/simd.h - internal: how a compiler is asked for wide instructions; other compilers build
 * the same without. What comes out is the same to the bit: doubles are only compared and combined
 * lane by lane.
 */
#ifndef MB_BALANCER_SIMD_H
#define MB_BALANCER_SIMD_H

#include <limits.h> /* names the C library, which has to help with the choice */

/* Before a function: built for several instruction sets, of which the program picks the widest that
   the machine has; each at the start of a cache line, or what else is linked would decide how fast
   its loops run. The choice is made before sanitizers are ready for it, so not with them. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MB_SIMD_CLONES __attribute__((target_clones("default", "avx2", "avx512f"), aligned(64)))
#else
#define MB_SIMD_CLONES
#endif

/* A condition that mostly fails: what it guards may not cost the loop around it any registers. */
#if defined(__GNUC__)
#define MB_RARELY(condition) __builtin_expect((condition), 0)
#else
#define MB_RARELY(condition) (condition)
#endif

/* Before a loop over lanes, which gcc would rather unroll than make instructions of. */
#if defined(__GNUC__) && !defined(__clang__)
#define MB_SIMD_LOOP _Pragma("GCC unroll 1")
#else
#define MB_SIMD_LOOP
#endif

#endif
