/* workloads/serving.h - requests that were recorded one by one, served together: continuous
 * batching.
 *
 * Requests come in the order of the recording, or shuffled; at a rate of `arrival_rate` a step
 * (times between them are exponential), or 0: all are there from the start. A step begins with
 * requests being let in, first come first served, until `concurrency` are running. Each goes to the
 * next of `dp_ranks` ranks, in turn. Then every request whose prompt has been read decodes one
 * token; the others read their prompts, in the order that they came in, as far as tokens_per_step
 * allows, or at once where that is 0; where no prompt was recorded, all tokens are decoded. A
 * request leaves after the step of its last token, and a step
 * without a request is none: time goes on to the next arrival.
 *
 * The first `warm_up` steps are left out: all requests begin together, so their ends come in waves
 * at first; -1: as many steps as a request runs on average. It ends when requests leave and too few
 * are left to take their places, for then the load only falls. Both are noted.
 */
#ifndef MB_WORKLOADS_SERVING_H
#define MB_WORKLOADS_SERVING_H

#include "workloads/import.h"
#include "workloads/input.h"
#include "workloads/routed.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @param options Of them, `serving`: concurrency >= 1, dp_ranks >= 1, tokens_per_step 0 or >=
 *                concurrency.
 * @param model   name, or NULL where not known.
 * @param input   for messages: the first of the recording.
 * @return MB_OK; MB_ERR_PARAM also where no step is left; what the import returns.
 */
MB_NODISCARD mb_status mb_serving_replay(const mb_routed_view *view,
                                         const mb_import_options *options, const char *model,
                                         const mb_input *input, mb_import *import);

#ifdef __cplusplus
}
#endif

#endif
