/* cuda/host/options.cpp */
#include "cuda/host/options.h"

#include <cassert>
#include <cstdlib>
#include <cstring>

#include "cuda/host/sanitizers.h"

namespace mb_emulator {
namespace {

constexpr size_t kib = 1024;
constexpr size_t shared_kib_h100 = 227;
constexpr size_t stack_bytes_plain = 64 * kib;
constexpr size_t stack_bytes_sanitized = 256 * kib;
constexpr int preempt_percent_random = 30;

struct settings {
  bool ready;
  mb_emulator_options options;
  const char *ill_said;
  uint64_t random;
};
settings current;

/* A whole number in decimal digits and nothing else. */
bool parse_number(const char *text, uint64_t *number) {
  char *end = nullptr;

  *number = strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0';
}

bool parse_order(const char *text, mb_emulator_options *parsed) {
  if (strcmp(text, "ascending") == 0) {
    parsed->order = MB_EMULATOR_ASCENDING;
    return true;
  }
  if (strcmp(text, "descending") == 0) {
    parsed->order = MB_EMULATOR_DESCENDING;
    return true;
  }
  parsed->order = MB_EMULATOR_RANDOM;
  parsed->preempt_percent = preempt_percent_random;
  return strcmp(text, "random") == 0 ||
         (strncmp(text, "random:", 7) == 0 && parse_number(text + 7, &parsed->seed));
}

bool parse_shared(const char *text, mb_emulator_options *parsed) {
  uint64_t number;

  if (!parse_number(text, &number) || number == 0 || number > shared_kib_h100) {
    return false;
  }
  parsed->shared_bytes_max = number * kib;
  return true;
}

mb_emulator_options from_environment() {
  mb_emulator_options parsed = {};
  const char *order = getenv("MB_EMULATOR_ORDER");
  const char *shared = getenv("MB_EMULATOR_SHARED_KIB");

  current.ill_said = nullptr;
  if (order != nullptr && !parse_order(order, &parsed)) {
    current.ill_said = "MB_EMULATOR_ORDER";
  }
  parsed.shared_bytes_max = shared_kib_h100 * kib;
  if (shared != nullptr && !parse_shared(shared, &parsed)) {
    current.ill_said = "MB_EMULATOR_SHARED_KIB";
  }
  return parsed;
}

void configure(const mb_emulator_options *wanted) {
  mb_emulator_options environment = from_environment();
  mb_emulator_options &now = current.options;

  now = wanted != nullptr ? *wanted : environment;
  assert(now.preempt_percent >= 0 && now.preempt_percent <= 100);
  assert(now.shared_bytes_max <= shared_kib_h100 * kib);
  if (now.shared_bytes_max == 0) {
    now.shared_bytes_max = environment.shared_bytes_max;
  }
  if (now.stack_bytes == 0) {
    now.stack_bytes = under_tsan() || under_asan() || __msan_poison != nullptr
                          ? stack_bytes_sanitized
                          : stack_bytes_plain;
  }
  current.random = now.seed;
  current.ready = true;
}

void configure_once() {
  if (!current.ready) {
    configure(nullptr);
  }
}

} // namespace

const mb_emulator_options &options() {
  configure_once();
  return current.options;
}

const char *options_ill_said() {
  configure_once();
  return device_presence_now() == device_presence::ill_said ? "MB_EMULATOR_DEVICES"
                                                            : current.ill_said;
}

device_presence device_presence_now() {
  const char *text = getenv("MB_EMULATOR_DEVICES");

  if (text == nullptr || strcmp(text, "1") == 0) {
    return device_presence::present;
  }
  if (strcmp(text, "0") == 0) {
    return device_presence::none;
  }
  if (strcmp(text, "no-driver") == 0) {
    return device_presence::no_driver;
  }
  return strcmp(text, "old-driver") == 0 ? device_presence::old_driver : device_presence::ill_said;
}

/* SplitMix64 (Steele, Lea and Flood 2014): any seed will do, and no call that TSan intercepts. */
uint32_t random_below(uint32_t n) {
  current.random += 0x9E3779B97F4A7C15ULL;
  uint64_t mixed = current.random;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
  return static_cast<uint32_t>((mixed >> 33) % n);
}

} // namespace mb_emulator

void mb_emulator_configure(const mb_emulator_options *options) {
  mb_emulator::configure(options);
}
