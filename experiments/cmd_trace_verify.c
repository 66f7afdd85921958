/* experiments/cmd_trace_verify.c - `moebal trace verify`: reads every byte of a trace. */
#include <argp.h>
#include <stdio.h>

#include "experiments/trace_command.h"
#include "workloads/trace.h"

static error_t parse(int key, char *value, struct argp_state *state) {
  return mb_trace_parse_place(key, value, state, state->input, NULL);
}

static mb_status verify(const char *path) {
  char digest[MB_DIGEST_SIZE];
  mb_trace *trace = NULL;

  MB_TRY(mb_trace_verify(path, digest));
  MB_TRY(mb_trace_open(path, &trace));
  bool recorded = mb_trace_get_info(trace)->load_xxh3[0] != '\0';
  mb_trace_destroy(trace);
  (void)printf("%s: ok, all of it can be read\nXXH3-128 of the loads: %s, %s\n", path, digest,
               recorded ? "as recorded in the file" : "and none is recorded in the file");
  return MB_OK;
}

static int run(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse,
      .args_doc = "FILE",
      .doc = "Reads every chunk of every object of a trace, whatever its size, and compares the "
             "loads with the digest that is recorded in the file.",
  };
  const char *path = NULL;

  (void)argp_parse(&argp, argc, argv, 0, NULL, &path);
  return verify(path) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_verify = {
    .name = "verify",
    .summary = "read every byte of a trace, and compare its digest",
    .run = run,
};
