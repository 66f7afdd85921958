/* workloads/import.h - what importers tell of an input, step by step, becomes a trace. */
#ifndef MB_WORKLOADS_IMPORT_H
#define MB_WORKLOADS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"
#include "workloads/model.h"
#include "workloads/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the loads of several ranks are to each other. */
typedef enum mb_semantics {
  MB_SEMANTICS_ASSUMED = 0,  /* nobody says: as the format has it, else as attention_dp */
  MB_SEMANTICS_ATTENTION_DP, /* every rank counts tokens of its own: the sum is the load */
  MB_SEMANTICS_ATTENTION_TP, /* all ranks count the same tokens: any one of them is the load */
} mb_semantics;

/** How requests that were recorded one by one are served together; for importer `tokens`. */
typedef struct mb_import_serving {
  int64_t concurrency;     /* requests that decode at once */
  int64_t tokens_per_step; /* tokens a step at most, with chunked prefill; 0: no prefill is cut */
  int64_t dp_ranks;        /* R: requests go to the ranks in turn */
  double arrival_rate;     /* requests a step, Poisson; 0: as soon as there is room */
  int64_t warm_up;         /* steps left out at the start; -1: one mean request lifetime */
  bool shuffle;            /* requests in random order rather than the file's */
  uint64_t seed;
} mb_import_serving;

/** What the user says of the input. */
typedef struct mb_import_options {
  const char *dataset;     /* npz, hdf5: the array; NULL: the one that can be meant */
  const char *model_name;  /* NULL: not given */
  const mb_model *model;   /* the preset of that name, or NULL */
  int64_t top_k, n_groups; /* 0: not given */
  const char *phase;       /* one of the names; NULL: not given */
  const char *source;      /* how it was recorded, licence; NULL: not given */
  const char *created_by;  /* required */
  mb_semantics semantics;
  bool keep_sources; /* write /load_by_source */
  mb_import_serving serving;
  const char
      *serving_option; /* the first option of serving that was given, for messages, or NULL */
} mb_import_options;

/** What an input says of itself; zeros and NULL where it doesn't. */
typedef struct mb_import_facts {
  size_t n_layers, n_experts; /* >= 1 */
  size_t n_sources;           /* R >= 1: ranks whose loads are told apart; 1: they aren't */
  const int32_t *layer_ids;   /* [L] NULL: not known */
  int64_t top_k, n_groups;
  const char *model, *phase, *padding, *counts;
  mb_semantics semantics;
  int64_t steps_per_record;
  bool has_tokens; /* mb_import_step() brings the tokens of each rank */
} mb_import_facts;

/** A trace in the making, or with no output only a check of the input. */
typedef struct mb_import mb_import;

/**
 * @param output  the trace, written under a temporary name until mb_import_finish(); NULL: none,
 *                all is checked and nothing is written.
 * @param format  the importer's name, for the trace's `source`.
 * @param options Borrowed as long as the import lives.
 */
MB_NODISCARD mb_status mb_import_create(const char *output, const char *format,
                                        const mb_import_options *options, mb_import **import);
void mb_import_destroy(mb_import *import); /* leaves nothing behind. NULL is fine */

/**
 * What comes next is of this input (the first, where several are parts of one recording). Has to be
 * called before steps; whatever begins later has to fit the first in layers, experts, ranks and
 * top_k. @param facts copied.
 * @return MB_OK; MB_ERR_FORMAT, MB_ERR_SHAPE or MB_ERR_PARAM naming the file and what does not fit:
 *         the options, a model, or the input before.
 */
MB_NODISCARD mb_status mb_import_begin(mb_import *import, const mb_input *input,
                                       const mb_import_facts *facts);

/**
 * The next step.
 * @param load   [L,R,E] tokens. @param tokens [R] of each rank; NULL unless has_tokens.
 * @return MB_OK; MB_ERR_FORMAT naming file, step, layer and expert, where a sum exceeds 2^32 - 1;
 *         MB_ERR_CANCELLED; what writing returned.
 */
MB_NODISCARD mb_status mb_import_step(mb_import *import, const uint64_t *load,
                                      const uint32_t *tokens);

/** Something that was assumed, left out or found, for people: one line, printed once in the end. */
void mb_import_note(mb_import *import, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** What came of it. Borrowed from the import. */
typedef struct mb_import_summary {
  size_t n_steps, n_layers, n_experts, n_sources;
  int64_t top_k;
  const char *const *notes; /* [n_notes] */
  size_t n_notes;
} mb_import_summary;

/** Completes the trace and gives it its name. Ends as mb_import_step() where no step came. The
 * import is still to be destroyed. */
MB_NODISCARD mb_status mb_import_finish(mb_import *import, mb_import_summary *summary);

/** Asked with every step, and by mb_import_poll(), with the steps so far; MB_ERR_CANCELLED stops
 * the import. */
void mb_import_watch(mb_import *import, mb_status (*progress)(void *context, size_t n_steps),
                     void *context);

/** For importers that look through an input before its first step: whether to go on. To be called
 * many times a second. @return MB_OK; MB_ERR_CANCELLED. */
MB_NODISCARD mb_status mb_import_poll(mb_import *import);

#ifdef __cplusplus
}
#endif

#endif
