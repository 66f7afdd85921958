/* balancer/status.c */
#include "balancer/status.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

const char *mb_status_text(mb_status status) {
#define MB_STATUS_CASE(name, text) \
  case name:                       \
    return text;
  switch (status) { MB_STATUS_LIST(MB_STATUS_CASE) }
#undef MB_STATUS_CASE
  return "unknown status";
}

const char *mb_error_message(void) {
  return message;
}

/* Names that a message quotes may hold anything; a message is one line that a terminal can show. */
static void blank_controls(char *text) {
  for (char *c = text; *c != '\0'; c++) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f) {
      *c = ' ';
    }
  }
}

mb_status mb_fail(mb_status status, const char *format, ...) {
  /* Formatted aside first: an argument may be the old message, which the new one wraps. */
  char text[sizeof message];
  va_list arguments;

  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  blank_controls(text);
  (void)snprintf(message, sizeof message, "%s", text);
  return status;
}
