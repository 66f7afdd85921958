/* workloads/digest.h - internal: how the digest of loads is written. */
#ifndef MB_WORKLOADS_DIGEST_H
#define MB_WORKLOADS_DIGEST_H

#include <stddef.h>
#include <xxhash.h>

#include "workloads/trace.h"

/** XXH3-128 of what the state has seen: 32 lower-case hex digits, the canonical order. */
static inline void mb_digest_format(const XXH3_state_t *hash, char digest[MB_DIGEST_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  XXH128_canonical_t canonical;

  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash));
  for (size_t i = 0; i < sizeof canonical.digest; i++) {
    digest[2 * i] = digits[canonical.digest[i] >> 4];
    digest[2 * i + 1] = digits[canonical.digest[i] & 15];
  }
  digest[MB_DIGEST_SIZE - 1] = '\0';
}

#endif
