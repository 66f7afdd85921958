/* balancer/status.h - what every fallible call returns, and the one line that says what went wrong.
 */
#ifndef MB_BALANCER_STATUS_H
#define MB_BALANCER_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* One list, so that codes and texts cannot drift apart. */
#define MB_STATUS_LIST(X)                                                 \
  X(MB_OK, "ok")                                                          \
  X(MB_ERR_SHAPE, "sizes that do not fit each other")                     \
  X(MB_ERR_RANGE, "a value out of range")                                 \
  X(MB_ERR_PARAM, "an unknown or ill-formed parameter")                   \
  X(MB_ERR_MEMORY, "out of memory")                                       \
  X(MB_ERR_IO, "a file could not be read or written")                     \
  X(MB_ERR_FORMAT, "a file is not what it should be")                     \
  X(MB_ERR_UNSUPPORTED, "not supported by this build or on this machine") \
  X(MB_ERR_CANCELLED, "stopped on request")

#define MB_STATUS_ENUM(name, text) name,
typedef enum mb_status { MB_STATUS_LIST(MB_STATUS_ENUM) } mb_status;
#undef MB_STATUS_ENUM

#if defined(__GNUC__)
#define MB_NODISCARD __attribute__((warn_unused_result))
#define MB_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define MB_NODISCARD
#define MB_PRINTF(text, first)
#endif

/** What a status means, in a few words. Static. */
const char *mb_status_text(mb_status status);

/**
 * The message of the last failure on this thread: what, where, and what would be right; one line,
 * at most 1023 bytes, no newline or other control character. Static until the thread's next
 * failure; "" before the first.
 */
const char *mb_error_message(void);

/** Sets this thread's message and returns `status`: `return MB_FAIL(MB_ERR_RANGE, "...", ...)`.
 * The macro names the status once more, so that compilers and analysers see what is returned. */
mb_status mb_fail(mb_status status, const char *format, ...) MB_PRINTF(2, 3);
#define MB_FAIL(status, ...) ((void)mb_fail((status), __VA_ARGS__), (mb_status)(status))

/** Passes a failure on; only while the function owns nothing, else `goto cleanup`. */
#define MB_TRY(call)                   \
  do {                                 \
    mb_status mb_try_status_ = (call); \
    if (mb_try_status_ != MB_OK) {     \
      return mb_try_status_;           \
    }                                  \
  } while (0)

#ifdef __cplusplus
}
#endif

#endif
