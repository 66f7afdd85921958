/* cuda/host/report.h - internal: the line that says what went wrong. */
#ifndef MB_CUDA_HOST_REPORT_H
#define MB_CUDA_HOST_REPORT_H

#include <cstdarg>

namespace mb_emulator {

void report_clear();

/** Adds to the line; what doesn't fit is cut off. Never while TSan is with a CUDA thread. */
void report_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_add_list(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

} // namespace mb_emulator

#endif
