/* experiments/trace_command.h - the sub-commands of `moebal trace`, and what several of them need.
 */
#ifndef MB_EXPERIMENTS_TRACE_COMMAND_H
#define MB_EXPERIMENTS_TRACE_COMMAND_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

#include "experiments/command.h"
#include "workloads/trace.h"

/** Each is one file, cmd_trace_<name>.c, and one line in trace_commands.def; cmd_trace.c finds them
 * there. */
#define MB_TRACE_COMMAND(name) extern const mb_command mb_trace_command_##name;
#include "experiments/trace_commands.def"
#undef MB_TRACE_COMMAND

/** Steps that are read or made at a time: 4 MiB of loads; no more than there are. */
size_t mb_trace_chunk_steps(const mb_trace_info *info);

/** Room for that many. @return Transferred: free() it; NULL, and an error, without memory. */
uint32_t *mb_trace_chunk_allocate(const mb_trace_info *info);

/** A whole number from the command line; argp_error() where it is none. @param what "--seed". */
uint64_t mb_trace_parse_number(struct argp_state *state, const char *what, const char *text);

/**
 * What commands that read one trace have in common: FILE, and -o FILE where they write one.
 * @param output NULL: the command has none.
 * @return as an argp parser: ARGP_ERR_UNKNOWN for all other keys.
 */
error_t mb_trace_parse_place(int key, char *value, struct argp_state *state, const char **path,
                             const char **output);

/** Whether a file may be written there: MB_ERR_PARAM where it is the file that is read. */
MB_NODISCARD mb_status mb_trace_check_output(const char *output, const char *input);

/** What a trace that is made of another one says of its source: "SOURCE; ...". @return
 * Transferred: free() it; NULL without memory. */
char *mb_trace_history(const char *source, const char *format, ...) MB_PRINTF(2, 3);

#endif
