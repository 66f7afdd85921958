/* balancer/options.h - internal: the parameters over mb_balance_options, written once. */
#ifndef MB_BALANCER_OPTIONS_H
#define MB_BALANCER_OPTIONS_H

#include "balancer/pack.h"
#include "balancer/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lines of a parameter table; the help is the same wherever a key is heeded. */
#define MB_OPTION_MAX_ROUNDS                                                                \
  {                                                                                         \
    .key = "max_rounds", .type = MB_PARAM_INT, .unit = "rounds", .initial = "50", .min = 0, \
    .max = 1e9, .word = "unlimited", .word_value = MB_ROUNDS_UNLIMITED,                     \
    .help = "swaps at most in one packing; unlimited: until none gains",                    \
    .offset = offsetof(mb_balance_options, max_rounds)                                      \
  }

#define MB_OPTION_MIN_GAIN(unit_)                                                           \
  {                                                                                         \
    .key = "min_gain", .type = MB_PARAM_REAL, .unit = (unit_), .initial = "1e-6", .min = 0, \
    .max = 1e300, .help = "a swap must gain more than this",                                \
    .offset = offsetof(mb_balance_options, min_gain)                                        \
  }

#define MB_OPTION_REFERENCE_QUIRKS                                                              \
  {                                                                                             \
    .key = "reference_quirks", .type = MB_PARAM_BOOL, .unit = "1", .initial = "false",          \
    .help = "experts without any load: all extra replicas to the first, as DeepSeek EPLB does", \
    .offset = offsetof(mb_balance_options, reference_quirks)                                    \
  }

/** MB_OK, or MB_ERR_PARAM naming the option that is out of range. */
MB_NODISCARD mb_status mb_balance_options_check(const mb_balance_options *options);

#ifdef __cplusplus
}
#endif

#endif
