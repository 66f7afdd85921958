/* cuda/host/report.cpp */
#include "cuda/host/report.h"

#include <cstdio>
#include <cstring>

#include "cuda/host/emulator_control.h"

namespace mb_emulator {
namespace {

char report[2048];

} // namespace

void report_clear() {
  report[0] = '\0';
}

void report_add_list(const char *format, va_list arguments) {
  size_t used = strlen(report);

  // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): all callers have started theirs.
  (void)vsnprintf(report + used, sizeof report - used, format, arguments);
}

void report_add(const char *format, ...) {
  va_list arguments;

  va_start(arguments, format);
  report_add_list(format, arguments);
  va_end(arguments);
}

} // namespace mb_emulator

const char *mb_emulator_last_report(void) {
  return mb_emulator::report;
}
