/* workloads/vllm_requests.h - requests with the experts that each token was routed to, a .npz file
 * a request, as vLLM returns them: routed_experts [tokens, layers, k], prompt_token_ids,
 * output_token_ids, request_id.
 */
#ifndef MB_WORKLOADS_VLLM_REQUESTS_H
#define MB_WORKLOADS_VLLM_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "workloads/import.h"
#include "workloads/input.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whether an .npz has routed_experts, or the first .npz of a folder. */
bool mb_vllm_requests_recognise(const mb_input *input);

/** All of them served together (workloads/serving.h), in the order of the inputs; those of a folder
 * in the order of their names. */
MB_NODISCARD mb_status mb_vllm_requests_read(size_t n_inputs, const mb_input *inputs,
                                             const mb_import_options *options, mb_import *import);

#ifdef __cplusplus
}
#endif

#endif
